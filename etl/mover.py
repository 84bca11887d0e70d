"""Moves one table of a run: extract → stage → load → advance."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from connectors.abilities import BulkLoad, Extract, ReadPlan
from connectors.base import Connector
from connectors.errors import ChangesLost
from connectors.types import Contract, LoadMode, LoadTarget, Manifest, Watermark
from etl import ends, lease, ledger, modes, quarantine, stored
from etl.changes import Log
from etl.errors import LeaseLost, TargetChanged
from etl.lease import Heartbeat, held
from etl.models import PipelineRun, ReadMode, Step, TableRun
from etl.reader import Crew, Reader
from etl.stage import Stage
from etl.stopwatch import Stopwatch

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2
"""How often a runner with nothing to read looks whether others have read their chunks."""
SHOW_EVERY_S = 0.5
NUMBERS = (
    *("rows", "bytes_staged", "chunks", "chunks_staged", "rows_expected"),
    *("extract_s", "load_s"),
)

Observer = Callable[[TableRun], None]
"""Called in the runner's thread whenever a table's progress has changed."""

Call = Callable[[PipelineRun], None]
"""Asks other workers to read chunks of a run beside its runner."""


class Mover:
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
        self._shown_at = time.monotonic()
        self._mode = table.table.mode
        self._stopwatch: Stopwatch | None = None
        self._as_of = timezone.now()
        self._location = f"{run_folder(run)}/table-{table.table_id}"

    def staged(self) -> Manifest | None:
        """What an earlier attempt of this run has staged in full."""
        if self._table.step in (Step.STAGED, Step.LOADING):
            return self._stage.read_manifest(self._table.location, self._table.manifest)
        return None

    def changes(self, source: Connector, destination: BulkLoad) -> Manifest | None:
        """Stage what the source's log has; ``None`` where the table is to be read itself."""
        self._stopwatch, self._as_of = Stopwatch(self._table, "extract_s"), lease.now()
        since = self._since(destination) if self._mode == ReadMode.CDC else None
        if since is None:
            return None
        self._save(Step.EXTRACTING, location=self._location)
        folder = f"changes-{self._run.fence}"
        try:
            manifest, mode = Log(self._table.table, source).stage(
                self._table, self._stage, folder, since, self._watch
            )
        except ChangesLost as exc:
            log.warning("changes.lost", table=str(self._table.table), reason=exc.detail)
            return None
        self._save_staged(manifest, mode)
        return manifest

    def lay_out(self, source: Connector, destination: BulkLoad) -> None:
        """Plan what is to be read. The session keeps the plan's snapshot, unless this raises."""
        definition, since, self._as_of = self._table.table, None, lease.now()
        # A refresh leaves no ghost, so a row that was deleted since must not be kept.
        may_keep = not self._run.is_refresh
        if self._mode == ReadMode.CDC:
            # Before the snapshot: what is committed between the two comes twice, not never.
            followed_from = Log(definition, source).follow().as_json()
            # A log that was begun anew does not tell what was deleted after an earlier snapshot.
            may_keep = followed_from == self._table.followed_from
            self._table.followed_from = followed_from
        else:
            since = self._since(destination)
        plan = modes.plan(definition, ends.source(source), since)
        try:
            self._enter(plan, ends.source(source), may_keep=may_keep)
        except BaseException:
            ends.source(source).release()
            raise

    def _enter(self, plan: ReadPlan, source: Extract, *, may_keep: bool) -> None:
        """Make the plan the table's, and the ledger the plan's."""
        keep = (
            may_keep
            and self._mode in modes.RESUMED
            and all(source.covers(Watermark(**mark)) for mark in self._table.watermarks)
        )
        with transaction.atomic():
            self._write(
                Step.EXTRACTING,
                location=self._location,
                followed_from=self._table.followed_from,
                note=plan.note,
            )
            ledger.lay_out(self._table, plan, keep=keep, compares=self._compares(plan))
        self._show()

    def extract(self, source: Extract, sessions: int, call: Call | None) -> Manifest:
        """Stage every chunk that is not, and the manifest of all; the snapshot is let go."""
        try:
            if call is not None and sessions > 1:
                call(self._run)
            stands_back = self._run.pipeline.max_source_mb_s is not None
            beside = (0 if call else sessions - 1) + stands_back
            with Crew(self._run, self._table, beside, sessions) as crew:
                if stands_back:
                    crew.wait(lambda: self._keep(source))
                self._read(Reader(self._table, source, self._stage, sessions, self._watch), source)
        finally:
            source.release()
        quarantine.judge(self._table, self._run.pipeline.quarantine_limit)
        plan = ledger.plan_of(self._table)
        manifest = ledger.manifest(self._table, compares=self._compares(plan))
        mode = modes.load_mode(self._table.table, plan.since)
        self._save_staged(manifest, LoadMode.SWAP if self._run.is_refresh else mode)
        return manifest

    def _save_staged(self, manifest: Manifest, mode: LoadMode) -> None:
        self._save(
            Step.STAGED,
            manifest=self._written(manifest),
            load_mode=mode.value,
            watermark=self._table.watermark,
            rows_expected=self._table.rows_expected,
            as_of=self._as_of,
        )
        log.info("table.staged", **self._numbers())

    def _written(self, manifest: Manifest) -> str:
        """The name of the manifest, as this attempt has it."""
        name = f"manifest-{self._run.fence}.json"
        self._stage.write_manifest(manifest, name)
        return name

    def _read(self, reader: Reader, source: Extract) -> None:
        while not ledger.is_complete(self._table):
            if not reader.read_next():
                self._keep(source)
                time.sleep(LOOK_EVERY_S)
            self._watch()

    def _keep(self, source: Extract) -> None:
        """Have the snapshot last while others read in it."""
        source.hold()
        self._watch()

    def _watch(self) -> None:
        """Go on only as long as the run is this worker's, and show how far it is."""
        self._heartbeat.verify()
        if time.monotonic() - self._shown_at > SHOW_EVERY_S:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        if self._stopwatch is not None:
            self._stopwatch.lap()
        self._table.refresh_from_db(fields=NUMBERS)
        self._observer(self._table)

    def _since(self, destination: BulkLoad) -> Watermark | None:
        if self._run.is_refresh:
            return None
        return modes.since(self._table.table, destination, self._target)

    def _compares(self, plan: ReadPlan) -> bool:
        """A refresh takes the place of all there is, so there is nothing to compare."""
        return not self._run.is_refresh and modes.compares(self._table.table, plan)

    @property
    def _target(self) -> LoadTarget:
        return LoadTarget(
            schema=self._run.pipeline.destination_schema,
            table=self._table.table.destination_table,
            stage=self._run.pipeline.stage,
            fence=self._run.fence,
            mode=LoadMode(self._table.load_mode),
            contract=Contract(self._run.pipeline.contract),
            delete_limit_percent=self._table.table.delete_limit_percent,
            follows=self._table.table.last_load,
        )

    def load(self, destination: BulkLoad, manifest: Manifest) -> None:
        self._stopwatch = Stopwatch(self._table, "load_s")
        plan = destination.plan_load(manifest.schema, manifest.primary_key, self._target)
        self._judge_target(destination, manifest, is_there=plan.creates is None)
        # Kept before anything is altered: whoever loads after a crash finds nothing that differs.
        kept: dict[str, Any] = {"drift": self._table.drift | plan.sentences}
        if plan.creates is not None:
            # The ledger may know the load from an attempt whose target is gone since.
            load_id = f"{self._table.load_id}-{self._run.fence}"
            manifest = replace(manifest, load_id=load_id)
            kept["manifest"] = self._written(manifest)
        self._save(Step.LOADING, **kept)
        try:
            outcome = destination.load(manifest, self._target, self._stage)
        finally:
            self._show()
            self._stopwatch = None
            self._keep_cost(destination)
        self._table.rows_in_target = outcome.rows_in_target
        self._advance(destination, manifest)
        log.info("table.loaded", **self._numbers(), rows_in_target=outcome.rows_in_target)

    def _judge_target(self, destination: BulkLoad, manifest: Manifest, *, is_there: bool) -> None:
        """See that what is staged follows what the target has; raises TargetChanged, and then
        whoever goes on reads the whole table."""
        if not is_there:
            # Before it is made: once it is there, and empty, the ledger still tells of old loads.
            self._forget()
        if self._is_all:
            return
        follows = is_there
        if follows and self._table.load_mode == LoadMode.APPEND:
            known = (self._table.table.last_load, manifest.load_id)
            follows = destination.last_load(self._target) in known
        if not follows:
            self._save(Step.WAITING)
            raise TargetChanged(fields={"table": str(self._table.table)})

    @property
    def _is_all(self) -> bool:
        """What is staged are all rows of the table, and not those since a watermark."""
        if self._table.load_mode == LoadMode.SWAP:
            return True
        plan = self._table.plan
        return self._mode != ReadMode.CDC and plan is not None and plan["since"] is None

    def _forget(self) -> None:
        """The watermark says nothing about what is in the target."""
        with transaction.atomic():
            self._write(Step(self._table.step))
            self._table.table.watermark = self._table.table.as_of = None
            self._table.table.save(update_fields=["watermark", "as_of"])

    def _keep_cost(self, destination: BulkLoad) -> None:
        """What the destination charged for all attempts at the load, be this one in vain."""
        cost = destination.load_cost(self._table.load_s or 0)
        self._table.cost = cost.as_json() if cost else None
        self._table.save(update_fields=["cost"])

    def _numbers(self) -> dict[str, Any]:
        """What the log says of the table."""
        numbers = {name: getattr(self._table, name) for name in NUMBERS}
        return {"run_id": str(self._run.pk), "table": str(self._table.table), **numbers}

    def _advance(self, destination: BulkLoad, manifest: Manifest) -> None:
        """Move the watermark, if this attempt still holds the run."""
        with transaction.atomic():
            self._write(Step.DONE)
            self._table.table.watermark = self._table.followed_from or self._table.watermark
            self._table.table.last_load = manifest.load_id
            self._table.table.as_of = self._table.as_of
            self._table.table.save(update_fields=["watermark", "last_load", "as_of"])
            stored.publish(self._table, destination, self._target)
        self._show()

    def arrived(self, source: Connector) -> None:
        """Let the source forget what is in the target now."""
        upto = ledger.watermark_of(self._table.table.watermark)
        if self._mode == ReadMode.CDC and upto is not None:
            Log(self._table.table, source).arrived(upto)

    def _save(self, step: Step, **fields: Any) -> None:
        with transaction.atomic():
            self._write(step, **fields)
        self._show()

    def _write(self, step: Step, **fields: Any) -> None:
        """Keep the table's step; raises LeaseLost when the run is another worker's by now."""
        if not held(self._run).select_for_update().exists():
            raise LeaseLost()
        for name, value in {"step": step, **fields}.items():
            setattr(self._table, name, value)
        self._table.save(update_fields=["step", "rows_in_target", *fields])


def run_folder(run: PipelineRun, run_id: UUID | None = None) -> str:
    """Where a run of the pipeline stages, itself or another one."""
    return f"{run.pipeline_id}/run-{run_id or run.pk}"
