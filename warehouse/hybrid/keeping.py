"""A query that is run in the warehouse, and whose answer is kept for others."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO

import pyarrow as pa
import structlog
from django.db import DatabaseError, connection
from django.db.models import F

from connectors.errors import ConnectorError
from warehouse import conf, secrets
from warehouse.hybrid import cache, pieces
from warehouse.hybrid.flights import Flight
from warehouse.hybrid.spool import Spool
from warehouse.runs import ChosenRun, Run

log = structlog.get_logger(__name__)

CONTENT_BYTES = 64 * 1024
"""An answer up to this size is kept in the service's database: one look finds and reads it."""


@dataclass(frozen=True)
class Label:
    """What an answer is the answer to, and for how long it is kept."""

    sql: str
    inputs: str
    """What else was asked, where it may be asked again."""
    kept_s: float


class KeepingRun(ChosenRun):
    """The warehouse's answer, copied while its reader has it.

    An answer is kept once its reader has closed it after reading all of it; one that was left,
    cancelled or failed is not. That it cannot be kept is no failure of the query.
    """

    _run: Run

    def __init__(self, run: Run, flight: Flight, label: Label) -> None:
        self.run_id = run.run_id
        self._run = run
        self._flight = flight
        self._label = label
        self._spool: Spool | None = None
        self._is_read = False
        self._is_closed = False

    def start(self) -> None:
        self._run.start()
        self._spool = Spool(self._run.schema, conf.store_cache_mb() * 10**6)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._spool is None:
            raise RuntimeError("A query is read after it has been started.")
        for batch in self._run:
            self._spool.add(batch)
            yield batch
        self._is_read = True

    def cancel(self) -> bool:
        return self._run.cancel()

    def close(self) -> None:
        """Give the session back, then keep the answer; a large one while nobody waits."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._run.close()
        finally:
            if self._spool is None:
                self._flight.give_up()
            elif not self._is_read:
                self._spool.close()
                self._flight.give_up()
            else:
                self._keep(self._spool)

    def _keep(self, spool: Spool) -> None:
        try:
            file = spool.finish()
        except (OSError, pa.ArrowException):
            spool.is_whole = False
        if not spool.is_whole:
            spool.close()
            self._flight.give_up(tell=True)
        elif spool.size_bytes <= CONTENT_BYTES:
            with closing(spool), self._harmless():
                self._land(spool, file.read())
        else:
            threading.Thread(target=self._store, args=[spool, file], name="keeper").start()

    def _store(self, spool: Spool, file: IO[bytes]) -> None:
        """What takes a while, in a thread of its own that outlives the query."""
        with closing(connection), closing(spool):
            with self._harmless():
                self._flight.hurry()
                pieces.write(self._flight.result, file)
                self._land(spool, None)
            with suppress(DatabaseError):
                cache.make_room()

    def _land(self, spool: Spool, content: bytes | None) -> None:
        stats = self._run.stats
        replaced = self._flight.land(
            sql=self._label.sql,
            sealed_inputs=self._sealed_inputs(),
            expires_at=F("created_at") + timedelta(seconds=self._label.kept_s),
            columns=[{"name": field.name, "type": str(field.type)} for field in self.schema],
            content=content,
            in_store=content is None,
            rows=self.rows,
            size_bytes=spool.size_bytes,
            truncated=self.truncated,
            run_id=self.run_id,
            vendor_query_id=stats.vendor_query_id,
            bytes_scanned=stats.bytes_scanned,
            bytes_billed=stats.bytes_billed,
        )
        if replaced is None:
            # It was invalidated meanwhile.
            replaced = [self._flight.result]
        pieces.drop(replaced)

    def _sealed_inputs(self) -> str:
        if not self._label.inputs:
            return ""
        context = self._flight.result.secret_context
        return secrets.encrypt({"inputs": self._label.inputs}, context)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Its reader has the answer; whether it is kept is no concern of theirs."""
        try:
            yield
        except (ConnectorError, OSError, DatabaseError) as exc:
            result = self._flight.result
            log.warning("cached_result.not_kept", result=str(result.pk), error=type(exc).__name__)
            self._flight.give_up(tell=True)
            pieces.drop([result])
