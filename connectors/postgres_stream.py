"""Rows of one statement as they arrive over Postgres' wire, with neither cursor nor pile.

For servers that a cursor costs dear: Redshift materialises one on its leader node, allows one a
session, and advises against it. Here the statement runs as any other, by the extended protocol
(so that the server takes one statement only and parameters are bound natively); libpq hands its
rows over in chunks, and the connection itself holds the server back while nobody reads.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pyarrow as pa
from psycopg import errors as psycopg_errors
from psycopg import waiting
from psycopg.generators import fetch
from psycopg.pq import ExecStatus, TransactionStatus

from connectors import postgres_wire as wire
from connectors.errors import QueryTimeout
from connectors.result import Execution
from connectors.types import Params, RunStats

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

T = TypeVar("T")

# Few enough for the values of a chunk to stay in the processor's cache until they are Arrow's.
CHUNK_ROWS = 1_000
BATCH_BYTES = 8 * 1024 * 1024
CANCEL_S = 5.0
# The server's own limit should come first: its error is the better one.
GRACE_S = 1.0
# How long an interrupt from the keyboard may go unseen.
WAKE_S = 0.1


class ChunkCursor(psycopg.RawCursor[tuple[Any, ...]]):
    """A cursor whose result is read chunk by chunk. Stands on what ``Cursor.stream`` stands on,
    which yields single rows, waits without end, and does not describe an empty result."""

    def send(self, sql: str, params: Params, deadline: float) -> None:
        """Start the statement and read its first chunk, after which it can be described."""
        query: Any = sql.encode()
        self._wait(self._stream_send_gen(query, params or None, size=CHUNK_ROWS), deadline)
        self._first: list[tuple[Any, ...]] | None = self._read(deadline, first=True)

    def chunks(self, deadline: float) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, CHUNK_ROWS at most at a time. Called once."""
        rows, self._first = self._first, None
        while rows is not None:
            yield rows
            rows = self._read(deadline, first=False)

    def drain(self, deadline: float) -> None:
        """Throw away what is still to come, be it an error."""
        while self._wait(fetch(self._pgconn), deadline) is not None:
            pass

    def _read(self, deadline: float, *, first: bool) -> list[tuple[Any, ...]] | None:
        result = self._wait(fetch(self._pgconn), deadline)
        if result is None:
            return None
        if result.status not in (ExecStatus.TUPLES_CHUNK, ExecStatus.TUPLES_OK):
            self.drain(deadline)
            raise _error(result)
        self.pgresult = result
        self._tx.set_pgresult(result, set_loaders=first)
        return self._tx.load_rows(0, result.ntuples, tuple)

    def _wait(self, steps: "PQGen[T]", deadline: float) -> T:
        """Run one of psycopg's generators to its end; raises QueryTimeout at ``deadline``."""
        left = max(0.0, deadline - time.monotonic())
        try:
            return waiting.wait(steps, self._pgconn.socket, WAKE_S, left)
        except psycopg.OperationalError as exc:
            if time.monotonic() >= deadline:
                raise QueryTimeout from exc
            raise


def _error(result: "PGresult") -> psycopg.Error:
    error = psycopg_errors.error_from_result(result, encoding="utf-8")
    if error.sqlstate is None:
        # libpq's own words: the connection broke.
        return psycopg.OperationalError(str(error))
    return error


class StreamExecution(Execution):
    """One statement in the transaction that its connection is in, which ends with it.

    ``sql`` has ``$1``, ``$2``, … for the values of ``params``.
    """

    def __init__(
        self, connection: "psycopg.Connection[Any]", sql: str, params: Params, timeout_s: float
    ) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + timeout_s + GRACE_S
        self._cursor = ChunkCursor(connection)
        try:
            self._cursor.send(sql, params, self._deadline)
            self.schema = wire.arrow_schema(self._cursor.description or ())
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of about BATCH_ROWS rows or BATCH_BYTES bytes, whichever is less."""
        parts: list[pa.RecordBatch] = []
        for rows in self._cursor.chunks(self._deadline):
            if rows:
                parts.append(wire.record_batch(rows, self.schema))
            if _is_full(parts):
                yield pa.concat_batches(parts)
                parts = []
        if parts:
            yield pa.concat_batches(parts)

    def stats(self) -> RunStats:
        return RunStats(vendor_query_id=str(self._connection.info.backend_pid))

    def cancel(self) -> None:
        self._connection.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        """End the statement on the server if it runs, and the session if that does not answer."""
        connection = self._connection
        try:
            if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                connection.cancel_safe(timeout=CANCEL_S)
                self._cursor.drain(time.monotonic() + CANCEL_S)
            if not connection.closed:
                connection.rollback()
        except (psycopg.Error, QueryTimeout):
            # A session in an unknown state must not be used again.
            connection.close()


def _is_full(parts: list[pa.RecordBatch]) -> bool:
    rows: int = sum(part.num_rows for part in parts)
    size: int = sum(part.nbytes for part in parts)
    return rows >= wire.BATCH_ROWS or size >= BATCH_BYTES
