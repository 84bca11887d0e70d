"""Tables that are read from their source's own log, and what the source keeps for that."""

from collections.abc import Callable

import pyarrow as pa
import structlog
from django.db.models.functions import Now

from connectors.abilities import FollowChanges
from connectors.base import Connector
from connectors.errors import ConnectorError, Unsupported
from connectors.quarantine import Quarantine
from connectors.types import LoadMode, Manifest, StagedFile, Watermark
from etl import conf, ends, quarantine
from etl.models import Followed, PipelineTable, ReadMode, TableRun
from etl.stage import Stage
from warehouse import connections
from warehouse.errors import ConnectionPaused

log = structlog.get_logger(__name__)


class Log:
    """The log of one table, in a session with its source."""

    def __init__(self, table: PipelineTable, source: Connector) -> None:
        if not isinstance(source, FollowChanges):
            raise Unsupported(f"{source.label} has no log that a pipeline can read.")
        self._table = table
        self._source = source
        self._where = (name_of(table), table.source_schema, table.source_table)

    def follow(self) -> Watermark:
        """Have the source keep what changes from now on. It is written down here first."""
        name, schema, table = self._where
        Followed.objects.get_or_create(
            name=name,
            defaults={
                "connection_id": self._table.pipeline.source_id,
                "source_schema": schema,
                "source_table": table,
                "table": self._table,
            },
        )
        return self._source.follow(*self._where)

    def stage(
        self, run: TableRun, stage: Stage, folder: str, since: Watermark, watch: Callable[[], None]
    ) -> tuple[Manifest, LoadMode]:
        """Stage what was committed since, a part for each window; what it is and how it is loaded.

        ``watch`` is called with every row group. Raises ChangesLost, and QuarantineFull for more
        values than the pipeline takes that the destination cannot hold; DataError for one that
        Arrow cannot.
        """
        pipeline = run.run.pipeline
        changes, unfit = self._source.changes(*self._where, since), ends.loader(pipeline).unfit
        taken = Quarantine(changes.primary_key, pipeline.quarantine_limit)
        staged = _Staged(run, stage, folder, watch)
        for order, window in enumerate(changes.windows):
            if window.is_emptied:
                staged.forget()
            upserts = taken.without(window.upserts, unfit(window.upserts))
            staged.rows += staged.write(f"{order:05}", upserts, order)
            staged.deletes += staged.write(f"{order:05}-deletes", window.deletes, order)
        quarantine.keep(run, taken.entries)
        run.watermark = changes.watermark.as_json()
        run.rows_expected = sum(file.rows for file in (*staged.rows, *staged.deletes))
        manifest = Manifest(
            load_id=run.load_id,
            location=run.location,
            files=tuple(staged.rows),
            schema=changes.schema,
            primary_key=changes.primary_key,
            deletes=tuple(staged.deletes),
        )
        return manifest, LoadMode.SWAP if staged.is_anew else LoadMode.MERGE

    def arrived(self, upto: Watermark) -> None:
        """Let the source forget. Should it not, it will after the next run."""
        try:
            self._source.arrived(*self._where, upto)
        except ConnectorError as exc:
            log.warning("changes.kept", table=str(self._table), code=exc.code)


class _Staged:
    """The parts of some windows. ``is_anew``: they are all that the table has."""

    def __init__(self, run: TableRun, stage: Stage, folder: str, watch: Callable[[], None]) -> None:
        self.rows: list[StagedFile] = []
        self.deletes: list[StagedFile] = []
        self.is_anew = False
        self._run = run
        self._stage = stage
        self._folder = folder
        self._watch = watch

    def forget(self) -> None:
        """What came before is void."""
        self.is_anew = True
        self.rows.clear()
        self.deletes.clear()

    def write(self, name: str, batch: pa.RecordBatch, order: int) -> list[StagedFile]:
        if not batch.num_rows:
            return []
        folder = f"{self._folder}/{name}"
        location = f"{self._run.location}/{folder}"
        files = self._stage.write(location, batch.schema, iter([batch]), self._progress)
        return [
            StagedFile(f"{folder}/{file.name}", file.rows, file.bytes, file.sha256, order)
            for file in files
        ]

    def _progress(self, rows: int, size: int) -> None:
        self._watch()
        self._run.rows += rows
        self._run.bytes_staged += size
        TableRun.objects.filter(pk=self._run.pk).update(
            rows=self._run.rows, bytes_staged=self._run.bytes_staged
        )


def name_of(table: PipelineTable) -> str:
    """Of the slot and the publication; no other table of any service has it."""
    return f"warehouse_{table.pipeline_id.hex}_{table.pk}"


def look() -> None:
    """See how much each source keeps for us; what nobody reads, or is too much, is let go."""
    for followed in Followed.objects.select_related("connection", "table"):
        try:
            _look_at(followed)
        except (ConnectorError, ConnectionPaused) as exc:
            log.warning("log.not_seen", name=followed.name, code=exc.code)


def _look_at(followed: Followed) -> None:
    where = (followed.name, followed.source_schema, followed.source_table)
    with connections.opened(followed.connection, run="log") as source:
        if not isinstance(source, FollowChanges):
            raise Unsupported(f"{source.label} has no log that a pipeline can read.")
        retained = source.retained_bytes(*where)
        is_read = followed.table is not None and followed.table.mode == ReadMode.CDC
        if is_read and (retained or 0) <= conf.log_limit_bytes():
            Followed.objects.filter(pk=followed.pk).update(retained_bytes=retained, looked_at=Now())
            if (retained or 0) > conf.log_limit_bytes() / 2:
                log.warning("log.grows", name=followed.name, retained_bytes=retained)
            return
        source.unfollow(*where)
    log.warning("log.let_go", name=followed.name, retained_bytes=retained, is_read=is_read)
    followed.delete()
