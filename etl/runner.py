"""One run of a pipeline: extract → stage → load → advance, table by table."""

from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from connectors.abilities import BulkLoad, Extract
from connectors.base import Connector
from connectors.errors import ConnectorError, Unsupported
from connectors.types import LoadTarget, Manifest, Watermark
from etl.errors import LeaseLost, NoPrimaryKey, ServiceDatabaseFailed, StageFailed
from etl.lease import MAX_ATTEMPTS, Heartbeat, claim, held
from etl.models import PipelineRun, RunStatus, Step, TableRun
from etl.stage import Stage
from warehouse import connections

log = structlog.get_logger(__name__)

Observer = Callable[[TableRun], None]
"""Called in the runner's thread whenever a table's progress has changed."""


def execute(run_id: UUID | str, observer: Observer = lambda _: None) -> PipelineRun | None:
    """Claim the run and bring it to an end; ``None`` when another worker has it.

    A table that an earlier attempt has staged is loaded from that stage; one that it has loaded
    is recognised by the destination's ledger. The watermark of a table moves only with its rows.
    A run that fails keeps the error; it is queued again when that may pass and tries are left.
    """
    run = claim(run_id)
    if run is None:
        return None
    log.info("run.started", run_id=str(run.pk), attempt=run.attempt)
    try:
        with Heartbeat(run) as heartbeat:
            _move_tables(run, heartbeat, observer)
        _finish(run, RunStatus.SUCCEEDED)
    except LeaseLost:
        log.warning("run.lease_lost", run_id=str(run.pk), attempt=run.attempt)
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
        log.warning("run.lease_lost", run_id=str(run.pk), attempt=run.attempt)
        return None
    return run


def _move_tables(run: PipelineRun, heartbeat: Heartbeat, observer: Observer) -> None:
    stage = _stage_of(run)
    with (
        connections.opened(run.pipeline.source, run=str(run.pk)) as source,
        connections.opened(run.pipeline.destination, run=str(run.pk)) as destination,
    ):
        if not isinstance(destination, BulkLoad):
            raise Unsupported(f"{destination.label} cannot be the destination of a pipeline.")
        for table in run.tables.select_related("table").exclude(step=Step.DONE):
            mover = _Mover(run, table, stage, heartbeat, observer)
            heartbeat.progress = table
            manifest = mover.staged() or mover.extract(source, destination)
            mover.load(destination, manifest)


class _Mover:
    """Moves one table in one attempt."""

    def __init__(
        self,
        run: PipelineRun,
        table: TableRun,
        stage: Stage,
        heartbeat: Heartbeat,
        observer: Observer,
    ) -> None:
        self._run = run
        self._table = table
        self._stage = stage
        self._heartbeat = heartbeat
        self._observer = observer

    def staged(self) -> Manifest | None:
        """What an earlier attempt of this run has staged in full."""
        if self._table.step in (Step.STAGED, Step.LOADING):
            return self._stage.read_manifest(self._table.location)
        return None

    def extract(self, source: Connector, destination: BulkLoad) -> Manifest:
        if not isinstance(source, Extract):
            raise Unsupported(f"{source.label} cannot be the source of a pipeline.")
        table, definition = self._table, self._table.table
        since = self._since(destination)
        extraction = source.extract(definition.source_schema, definition.source_table, since)
        if not extraction.primary_key:
            raise NoPrimaryKey(fields={"table": str(definition)})
        table.rows, table.bytes_staged = 0, 0
        table.rows_expected = extraction.estimated_rows
        self._save(Step.EXTRACTING)
        location = f"{_run_folder(self._run)}/attempt-{self._run.attempt}/table-{definition.pk}"
        files = self._stage.write(
            location, extraction.schema, extraction.batches, progress=self._progress
        )
        manifest = Manifest(
            load_id=f"{self._run.pk}-{definition.pk}",
            location=location,
            files=files,
            schema=extraction.schema,
            primary_key=extraction.primary_key,
        )
        self._stage.write_manifest(manifest)
        table.location, table.watermark = location, extraction.watermark.as_json()
        self._save(Step.STAGED)
        return manifest

    def _since(self, destination: BulkLoad) -> Watermark | None:
        """The watermark, if the destination still has what was loaded up to it."""
        kept = self._table.table.watermark
        return Watermark(**kept) if kept and destination.has_loaded(self._target) else None

    @property
    def _target(self) -> LoadTarget:
        return LoadTarget(
            schema=self._run.pipeline.destination_schema,
            table=self._table.table.destination_table,
            stage=self._run.pipeline.stage,
            fence=self._run.fence,
        )

    def load(self, destination: BulkLoad, manifest: Manifest) -> None:
        self._save(Step.LOADING)
        outcome = destination.load(manifest, self._target)
        self._table.rows_in_target = outcome.rows_in_target
        self._advance()
        log.info("table.loaded", run_id=str(self._run.pk), rows=manifest.rows)

    def _advance(self) -> None:
        """Move the watermark, if this attempt still holds the run."""
        with transaction.atomic():
            self._save(Step.DONE)
            self._table.table.watermark = self._table.watermark
            self._table.table.save(update_fields=["watermark"])

    def _progress(self, rows: int, size: int) -> None:
        self._heartbeat.verify()
        self._table.rows += rows
        self._table.bytes_staged += size
        self._observer(self._table)

    def _save(self, step: Step) -> None:
        """Keep the table's progress; raises LeaseLost when the run is another worker's by now."""
        with transaction.atomic():
            if not held(self._run).select_for_update().exists():
                raise LeaseLost()
            self._table.step = step
            self._table.save()
        self._observer(self._table)


def _remove_older(run: PipelineRun) -> None:
    """Staged files stay until a later run of the pipeline has succeeded."""
    ended = run.pipeline.runs.filter(created_at__lt=run.created_at)
    older = {_run_folder(run, pk) for pk in ended.values_list("pk", flat=True)}
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
    run.error = _sentence(error)[:500] if error else ""
    kept = held(run).update(
        status=status, finished_at=run.finished_at, error_code=run.error_code, error=run.error
    )
    if not kept:
        raise LeaseLost()
    log.info("run.finished", run_id=str(run.pk), status=status, code=run.error_code)


def _sentence(error: ConnectorError) -> str:
    """The error with the fields at fault."""
    faults = "; ".join(f"{name}: {text}" for name, text in error.fields.items())
    return f"{error.detail} {faults}".strip()


def _stage_of(run: PipelineRun) -> Stage:
    return Stage(str(run.pipeline.team_id))


def _run_folder(run: PipelineRun, run_id: UUID | None = None) -> str:
    return f"{run.pipeline_id}/run-{run_id or run.pk}"
