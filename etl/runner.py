"""One run of a pipeline, from its claim to its end: table by table."""

from contextlib import suppress
from uuid import UUID

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from connectors.errors import ConnectorError
from etl import ends, stored
from etl.errors import LeaseLost, ServiceDatabaseFailed, StageFailed
from etl.lease import MAX_ATTEMPTS, Heartbeat, claim, held
from etl.models import Chunk, PipelineRun, RunStatus, Step, TableRun
from etl.mover import Call, Mover, Observer, run_folder
from etl.stage import Stage
from warehouse import connections

log = structlog.get_logger(__name__)


def execute(
    run_id: UUID | str,
    observer: Observer = lambda _: None,
    *,
    sessions: int | None = None,
    call: Call | None = None,
) -> PipelineRun | None:
    """Claim the run and bring it to an end; ``None`` when another worker has it.

    ``sessions`` read the source at once, if not as many as the pipeline says: one of them here,
    and the others where ``call`` gets them, or in threads of this process.
    A table that an earlier attempt has staged is loaded from that stage; one that it has loaded
    is recognised by the destination's ledger. The watermark of a table moves only with its rows.
    A run that fails keeps the error; it is queued again when that may pass and tries are left.
    """
    run = claim(run_id)
    if run is None:
        return None
    about = {"run_id": str(run.pk), "pipeline": str(run.pipeline_id)}
    log.info("run.started", **about, attempt=run.attempt, is_refresh=run.is_refresh)
    try:
        with Heartbeat(held(run)) as heartbeat:
            _move_tables(run, heartbeat, observer, sessions, call)
        _finish(run, RunStatus.SUCCEEDED)
    except (LeaseLost, TableRun.DoesNotExist):
        # With its pipeline a run is deleted, and with it what it keeps of its tables.
        _let_go(run)
        return None
    except ConnectorError as exc:
        return _fail(run, exc)
    except DatabaseError:
        connection.close()
        log.warning("run.database_failed", run_id=str(run.pk))
        return _fail(run, ServiceDatabaseFailed())
    except Exception as exc:
        log.exception("run.crashed", run_id=str(run.pk), error=type(exc).__name__)
        return _fail(run, ConnectorError("The run failed for an unknown reason."))
    _remove_older(run)
    return run


def _fail(run: PipelineRun, error: ConnectorError) -> PipelineRun | None:
    """Keep the error; queue the run again when that may pass and tries are left."""
    again = error.retryable and run.attempt < MAX_ATTEMPTS
    try:
        _finish(run, RunStatus.QUEUED if again else RunStatus.FAILED, error)
    except LeaseLost:
        _let_go(run)
        return None
    return run


def _let_go(run: PipelineRun) -> None:
    """Another worker has it, or somebody paused or cancelled it."""
    now = PipelineRun.objects.filter(pk=run.pk).values_list("status", flat=True).first()
    log.warning("run.lease_lost", run_id=str(run.pk), attempt=run.attempt, status=now)
    if now is None and run.pipeline.destination is None:
        # Its pipeline is gone, and what was loaded after that must not stay.
        with suppress(ConnectorError):
            stored.tidy(run.pipeline.team_id)


def _move_tables(
    run: PipelineRun,
    heartbeat: Heartbeat,
    observer: Observer,
    sessions: int | None,
    call: Call | None,
) -> None:
    stage = _stage_of(run)
    with (
        connections.opened(run.pipeline.source, run=str(run.pk)) as source,
        ends.destination(run.pipeline, str(run.pk)) as destination,
    ):
        for table in run.tables.select_related("table").exclude(step=Step.DONE):
            mover = Mover(run, table, stage, heartbeat, observer)
            manifest = mover.staged() or mover.changes(source, destination)
            if manifest is None:
                mover.lay_out(source, destination)
                manifest = mover.extract(
                    ends.source(source), sessions or run.pipeline.max_source_load, call
                )
            mover.load(destination, manifest)
            mover.arrived(source)


def _remove_older(run: PipelineRun) -> None:
    """Staged files, and the ledger of them, stay until a later run of the pipeline succeeds."""
    ended = run.pipeline.runs.filter(created_at__lt=run.created_at)
    older = {run_folder(run, pk) for pk in ended.values_list("pk", flat=True)}
    Chunk.objects.filter(table__run__in=ended).delete()
    stage = _stage_of(run)
    try:
        for folder in older & stage.folders(str(run.pipeline_id)):
            stage.remove(folder)
    except StageFailed:
        log.warning("stage.not_cleaned", run_id=str(run.pk))


def _finish(run: PipelineRun, status: RunStatus, error: ConnectorError | None = None) -> None:
    """End the run, or put it back; raises LeaseLost when it is another worker's by now."""
    run.status = status
    run.finished_at = None if status == RunStatus.QUEUED else timezone.now()
    run.error_code = error.code if error else ""
    run.error = sentence(error)[:500] if error else ""
    kept = held(run).update(
        status=status, finished_at=run.finished_at, error_code=run.error_code, error=run.error
    )
    if not kept:
        raise LeaseLost()
    log.info(
        "run.finished",
        run_id=str(run.pk),
        pipeline=str(run.pipeline_id),
        status=str(status),
        code=run.error_code,
        attempt=run.attempt,
    )


def sentence(error: ConnectorError) -> str:
    """The error with the fields at fault."""
    faults = "; ".join(f"{name}: {text}" for name, text in error.fields.items())
    return f"{error.detail} {faults}".strip()


def _stage_of(run: PipelineRun) -> Stage:
    return Stage(str(run.pipeline.team_id))
