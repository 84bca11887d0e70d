"""Who reads chunks: a session with the source, in the runner, beside it, or in another worker."""

import threading
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Self

import structlog
from django.db import DatabaseError, connection, transaction

from connectors.abilities import Extract, ReadPlan
from connectors.base import Connector
from connectors.errors import ConnectorError, QuarantineFull, QueryCancelled
from connectors.quarantine import Quarantine
from connectors.types import StagedFile
from etl import ends, ledger, quarantine
from etl.errors import ServiceDatabaseFailed
from etl.lease import Heartbeat
from etl.models import Chunk, PipelineRun, RunStatus, Step, TableRun
from etl.pace import paced, stand_back
from etl.stage import Stage
from warehouse import connections

log = structlog.get_logger(__name__)

CANCEL_EVERY_S = 0.2
WAIT_S = 1.0
MB = 10**6


class Reader:
    """Reads chunks of one table, one after the other, in one session.

    ``watch`` is called with every row group; what it raises ends the reading.
    """

    def __init__(
        self,
        table: TableRun,
        source: Extract,
        stage: Stage,
        sessions: int,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        pipeline = table.run.pipeline
        self._limit = pipeline.quarantine_limit
        self._unfit = ends.loader(pipeline).unfit
        self._table = table
        self._source = source
        self._stage = stage
        self._sessions = sessions
        self._watch = watch
        rate = pipeline.max_source_mb_s
        self._bytes_per_s = float(rate) * MB / sessions if rate else None
        self._interrupt = source.cancel if isinstance(source, Connector) else lambda _: False
        self.name = f"reader-{id(self)}"

    def read_next(self) -> bool:
        """Read a chunk and stage it; false when there is none to be had.

        A chunk that is not read to its end goes back into the ledger. Raises LeaseLost when it
        was taken over, QuarantineFull, SnapshotGone, StageFailed, and what the source raises.
        """
        chunk = ledger.claim(self._table, self._sessions)
        if chunk is None:
            return False
        plan = ledger.plan_of(chunk.table)
        taken = Quarantine(plan.primary_key, self._limit)
        try:
            files = self._read(chunk, plan, taken)
            with transaction.atomic():
                ledger.staged(chunk, files)
                quarantine.keep(chunk.table, taken.entries, chunk.number)
        except BaseException as exc:
            if isinstance(exc, QuarantineFull):
                quarantine.keep(chunk.table, taken.entries, chunk.number)
            ledger.give_back(chunk, exc.code if isinstance(exc, ConnectorError) else "")
            raise
        log.info(
            "chunk.staged",
            run_id=str(chunk.table.run_id),
            table=str(self._table.table),
            chunk=chunk.number,
            rows=sum(file.rows for file in files),
            bytes=sum(file.bytes for file in files),
        )
        quarantine.judge(chunk.table, self._limit)
        return True

    def _read(self, chunk: Chunk, plan: ReadPlan, taken: Quarantine) -> list[StagedFile]:
        plan = plan.of_keys() if chunk.keys else plan
        since = ledger.watermark_of(chunk.since) if chunk.catches_up else plan.since
        # Of this attempt alone: what one that was given up still writes gets into no manifest.
        folder = f"chunk-{chunk.number:05}-{chunk.claim}"
        beats = Heartbeat(
            ledger.mine(chunk),
            lambda: {"rows": chunk.rows, "bytes": chunk.bytes},
            lambda: ledger.tally(chunk.table),
            # A source that has nothing to say would keep a run that is paused for long.
            lambda: self._interrupt(self.name),
        )

        def watch() -> None:
            beats.verify()
            self._watch()

        def progress(rows: int, size: int) -> None:
            watch()
            chunk.rows += rows
            chunk.bytes += size

        gently = self._bytes_per_s is not None
        batches = self._source.read(plan, chunk.bounds, since, self.name, taken, gently=gently)
        with beats, closing(batches):
            location = f"{chunk.table.location}/{folder}"
            slowly = paced(batches, self._bytes_per_s, watch)
            fitting = (taken.without(batch, self._unfit(batch)) for batch in slowly)
            try:
                files = self._stage.write(location, plan.columns, fitting, progress)
            except QueryCancelled:
                # By the heartbeat, once the chunk is not this worker's: that is no failure.
                beats.verify()
                raise
        return [
            StagedFile(f"{folder}/{file.name}", file.rows, file.bytes, file.sha256)
            for file in files
        ]


class Crew:
    """While entered, threads that read chunks beside whoever has started them.

    They stand back where the pipeline has a rate: it is somebody else's work that counts then.
    """

    def __init__(self, run: PipelineRun, table: TableRun, size: int, sessions: int) -> None:
        self._over = threading.Event()
        self._sources: dict[str, Connector] = {}
        self._threads = [
            threading.Thread(
                target=_read_beside,
                args=(run, table, sessions, self._watch, self._sources),
                name=f"reader-{number}",
                daemon=True,
            )
            for number in range(size)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            # Again, should it have come between two statements.
            while thread.is_alive():
                for name, source in list(self._sources.items()):
                    source.cancel(name)
                thread.join(CANCEL_EVERY_S)

    def wait(self, meanwhile: Callable[[], None]) -> None:
        """Until none of them finds a chunk, or all have met an error."""
        while any(thread.is_alive() for thread in self._threads):
            meanwhile()
            self._threads[0].join(WAIT_S)

    def _watch(self) -> None:
        if self._over.is_set():
            raise QueryCancelled()


def help_out(run_id: str) -> None:
    """Read chunks of a run that another worker leads, until there are none to be had."""
    run = PipelineRun.objects.filter(pk=run_id, status=RunStatus.RUNNING).first()
    table = run.tables.filter(step=Step.EXTRACTING).first() if run else None
    if run is not None and table is not None:
        with Crew(run, table, 1, run.pipeline.max_source_load) as crew:
            crew.wait(lambda: None)


def _read_beside(
    run: PipelineRun,
    table: TableRun,
    sessions: int,
    watch: Callable[[], None],
    sources: dict[str, Connector],
) -> None:
    """Read while there are chunks to be had; ``sources`` gets the session, by the reader's name.

    What goes wrong is not raised: the chunk is back in the ledger, and the runner, who reads what
    nobody else has read, meets the same error or does not.
    """
    if run.pipeline.max_source_mb_s:
        stand_back()
    try:
        with connections.opened(run.pipeline.source, run=str(run.pk)) as source:
            stage = Stage(str(run.pipeline.team_id))
            reader = Reader(table, ends.source(source), stage, sessions, watch)
            sources[reader.name] = source
            while reader.read_next():
                watch()
    except (ConnectorError, DatabaseError) as exc:
        code = exc.code if isinstance(exc, ConnectorError) else ServiceDatabaseFailed.code
        log.warning("reader.ended", run_id=str(run.pk), code=code)
    except Exception as exc:
        log.exception("reader.crashed", run_id=str(run.pk), error=type(exc).__name__)
    finally:
        connection.close()
