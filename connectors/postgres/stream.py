"""Rows of one statement as they arrive over Postgres' wire, with neither cursor nor pile.

For servers that a cursor costs dear: Redshift materialises one on its leader node, allows one a
session, and advises against it. Here the statement runs as any other, by the extended protocol
(so that the server takes one statement only and parameters are bound natively); libpq hands its
rows over in chunks, and the connection itself holds the server back while nobody reads.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psycopg
import pyarrow as pa
from psycopg import waiting
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute, fetch, send
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.types.string import ByteaBinaryLoader

from connectors.errors import QueryTimeout
from connectors.postgres import text_rows, wire
from connectors.postgres.binary import GatheredRows
from connectors.postgres.types import copied
from connectors.result import Execution
from connectors.types import Params, RunStats

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

T = TypeVar("T")

UNNAMED = b""
# Few enough for the values of a chunk to stay in the processor's cache until they are Arrow's.
CHUNK_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
CANCEL_S = 5.0
# What a server may take for a word that needs no work; an idle serverless one wakes up first.
AWAKE_S = 10.0
# The server's own limit should come first: its error is the better one.
GRACE_S = 1.0
# How long an interrupt from the keyboard may go unseen.
WAKE_S = 0.1


class ChunkCursor(psycopg.RawCursor[tuple[Any, ...]]):
    """A cursor that describes its result before it runs, and reads it chunk by chunk.

    Speaks as Amazon's own driver does: prepare, describe, execute, with text for parameters.
    """

    def prepare(self, sql: str, params: Params, deadline: float) -> None:
        """Have the server read the statement and describe its result."""
        self._tx = Transformer(self)
        given = list(params)
        self._values = self._tx.dump_sequence(given, [PyFormat.TEXT] * len(given))
        self._pgconn.send_prepare(UNNAMED, sql.encode(), self._tx.types)
        self._ask(deadline)
        self._pgconn.send_describe_prepared(UNNAMED)
        self.pgresult = self._ask(deadline)

    def start(self, result_format: Format, deadline: float) -> None:
        """Set the statement off, without waiting for rows; binary values stay bytes."""
        for column in self.description or ():
            self.adapters.register_loader(column.type_code, ByteaBinaryLoader)
        self._pgconn.send_query_prepared(UNNAMED, self._values, result_format=result_format)
        self._pgconn.set_chunked_rows_mode(CHUNK_ROWS)
        self._wait(send(self._pgconn), deadline)

    def chunks(self, deadline: float) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, CHUNK_ROWS at most at a time. Called once."""
        known = False
        while (result := self._wait(fetch(self._pgconn), deadline)) is not None:
            if result.status not in (ExecStatus.TUPLES_CHUNK, ExecStatus.TUPLES_OK):
                self.drain(deadline)
                raise wire.error_of(result)
            self._tx.set_pgresult(result, set_loaders=not known)
            known = True
            if result.ntuples:
                yield self._tx.load_rows(0, result.ntuples, tuple)

    def drain(self, deadline: float) -> None:
        """Throw away what is still to come, be it an error."""
        while self._wait(fetch(self._pgconn), deadline) is not None:
            pass

    def _ask(self, deadline: float) -> "PGresult":
        return _answer(self._wait(execute(self._pgconn), deadline)[-1])

    def _wait(self, steps: "PQGen[T]", deadline: float) -> T:
        return _wait(self._pgconn, steps, deadline)


def command(connection: "psycopg.Connection[Any]", sql: str, timeout_s: float) -> None:
    """Run statements that return nothing; raises QueryTimeout where the server falls silent."""
    connection.pgconn.send_query(sql.encode())
    results = _wait(connection.pgconn, execute(connection.pgconn), time.monotonic() + timeout_s)
    for result in results:
        _answer(result)


def _wait(pgconn: "PGconn", steps: "PQGen[T]", deadline: float) -> T:
    """Run one of psycopg's generators to its end; raises QueryTimeout at ``deadline``."""
    left = max(0.0, deadline - time.monotonic())
    try:
        return waiting.wait(steps, pgconn.socket, WAKE_S, left)
    except psycopg.OperationalError as exc:
        if time.monotonic() >= deadline:
            raise QueryTimeout from exc
        raise


def _answer(result: "PGresult") -> "PGresult":
    if result.status != ExecStatus.COMMAND_OK:
        raise wire.error_of(result)
    return result


class Rows(Protocol):
    """Makes a batch of chunks of rows."""

    @property
    def num_rows(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def add(self, rows: Sequence[Sequence[Any]]) -> None: ...

    def batch(self) -> pa.RecordBatch: ...


class StreamExecution(Execution):
    """One statement in a transaction of its own.

    ``begin`` starts it, and ``sql`` has ``$1``, ``$2``, … for the values of ``params``.
    """

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        begin: str,
        sql: str,
        params: Params,
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._begin = begin
        self._sql = sql
        self._params = params
        self._timeout_s = timeout_s
        self._cursor = ChunkCursor(connection)
        self._deadline = time.monotonic() + timeout_s + GRACE_S
        self._closing = threading.Lock()
        self._closed = False

    def start(self) -> None:
        with wire.told_apart(self._deadline - GRACE_S):
            try:
                command(self._connection, self._begin, min(self._timeout_s, AWAKE_S))
            except BaseException:
                # Half begun is not begun: the next statement takes a new session.
                self._connection.close()
                raise
            self._cursor.prepare(self._sql, self._params, self._deadline)
            described = self._cursor.description or ()
            self.schema = text_rows.arrow_schema(described)
            self._columns = [
                copied(column.type_code, field)
                for column, field in zip(described, self.schema, strict=True)
            ]
            self.is_binary = all(column.read for column in self._columns)
            self._cursor.start(Format.BINARY if self.is_binary else Format.TEXT, self._deadline)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of about BATCH_ROWS rows or BATCH_BYTES bytes, whichever is less."""
        rows = self._new_rows()
        with wire.told_apart(self._deadline - GRACE_S):
            for chunk in self._cursor.chunks(self._deadline):
                rows.add(chunk)
                if rows.num_rows >= text_rows.BATCH_ROWS or rows.nbytes >= BATCH_BYTES:
                    yield rows.batch()
                    rows = self._new_rows()
        if rows.num_rows:
            yield rows.batch()

    def _new_rows(self) -> "Rows":
        if self.is_binary:
            return GatheredRows(self._columns, self.schema)
        return text_rows.TextRows(self.schema)

    def stats(self) -> RunStats:
        """The id is the session's, which Redshift's histories have as ``pid`` or ``session_id``."""
        return RunStats(vendor_query_id=str(self._connection.info.backend_pid))

    def cancel(self) -> None:
        # A request that comes late would end the session's next statement.
        with self._closing:
            if not self._closed and not self._connection.closed:
                self._connection.cancel_safe(timeout=CANCEL_S)

    def close(self) -> None:
        """End the statement on the server if it runs, and the session if that does not answer."""
        with self._closing:
            self._closed = True
        connection = self._connection
        try:
            if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                connection.cancel_safe(timeout=CANCEL_S)
                self._cursor.drain(time.monotonic() + CANCEL_S)
            if not connection.closed:
                command(connection, "ROLLBACK", CANCEL_S)
        except (psycopg.Error, QueryTimeout):
            # A session in an unknown state must not be used again.
            connection.close()
