"""One run of a pipeline: extract → stage → load → advance, table by table."""

from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from connectors.abilities import BulkLoad, Extract
from connectors.base import Connector
from connectors.errors import ConnectorError, LoadSuperseded, Unsupported
from connectors.types import LoadTarget, Manifest, Watermark
from etl.errors import LeaseLost, NoPrimaryKey, StageFailed
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
            _remove_older(run)
            _finish(run, RunStatus.SUCCEEDED)
    except (LeaseLost, LoadSuperseded):
        log.warning("run.lease_lost", run_id=str(run.pk), attempt=run.attempt)
        return None
    except ConnectorError as exc:
        again = exc.retryable and run.attempt < MAX_ATTEMPTS
        _finish(run, RunStatus.QUEUED if again else RunStatus.FAILED, exc)
    except Exception as exc:
        _finish(run, RunStatus.FAILED, ConnectorError("The run failed for an unknown reason."))
        log.exception("run.crashed", run_id=str(run.pk), error=type(exc).__name__)
    return run


def _move_tables(run: PipelineRun, heartbeat: Heartbeat, observer: Observer) -> None:
    stage = Stage()
    with (
        connections.opened(run.pipeline.source, run=str(run.pk)) as source,
        connections.opened(run.pipeline.destination, run=str(run.pk)) as destination,
    ):
        for table in run.tables.select_related("table").exclude(step=Step.DONE):
            mover = _Mover(run, table, stage, heartbeat, observer)
            heartbeat.progress = table
            manifest = mover.staged() or mover.extract(source)
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

    def extract(self, source: Connector) -> Manifest:
        if not isinstance(source, Extract):
            raise Unsupported(f"{source.label} cannot be the source of a pipeline.")
        table, definition = self._table, self._table.table
        since = Watermark(**definition.watermark) if definition.watermark else None
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

    def load(self, destination: Connector, manifest: Manifest) -> None:
        if not isinstance(destination, BulkLoad):
            raise Unsupported(f"{destination.label} cannot be the destination of a pipeline.")
        self._save(Step.LOADING)
        pipeline, definition = self._run.pipeline, self._table.table
        target = LoadTarget(
            schema=pipeline.destination_schema,
            table=definition.destination_table,
            stage=pipeline.stage,
            fence=self._run.fence,
        )
        outcome = destination.load(manifest, target)
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
    """Staged files stay until the next run has succeeded; then only that run's are kept."""
    try:
        Stage().remove_all_but(_pipeline_folder(run), keep=_run_folder(run))
    except StageFailed:
        log.warning("stage.not_cleaned", run_id=str(run.pk))


def _finish(run: PipelineRun, status: RunStatus, error: ConnectorError | None = None) -> None:
    """End the run, or put it back, if this attempt still holds it."""
    run.status = status
    run.finished_at = None if status == RunStatus.QUEUED else timezone.now()
    run.error_code = error.code if error else ""
    run.error = error.detail[:500] if error else ""
    held(run).update(
        status=status,
        finished_at=run.finished_at,
        error_code=run.error_code,
        error=run.error,
    )
    log.info("run.finished", run_id=str(run.pk), status=status, code=run.error_code)


def _pipeline_folder(run: PipelineRun) -> str:
    return f"{run.pipeline.team_id}/{run.pipeline_id}"


def _run_folder(run: PipelineRun) -> str:
    return f"{_pipeline_folder(run)}/run-{run.pk}"
