"""A query's rows by COPY (FORMAT BINARY): the fastest way out of Postgres, and an exact one.

The rows come in pieces that fit a processor's cache; each is decoded a column at a time, with no
Python object for any value, and pieces make up batches.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import pyarrow as pa
from psycopg import waiting
from psycopg.generators import execute, fetch
from psycopg.pq import ExecStatus, TransactionStatus
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from connectors.errors import QueryCancelled, SqlRefused
from connectors.postgres import compiled, text_rows, wire
from connectors.postgres.binary import BinaryRows
from connectors.postgres.receive import Receiver, drained
from connectors.postgres.types import CopiedColumn, copied
from connectors.quarantine import Quarantine

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

T = TypeVar("T")

PIECE_BYTES = 2**21
"""Of messages: many enough rows to be worth the calls for each column, and few to hold."""
FIRST_BYTES = 2**16
"""A reader sees the first rows early; each batch may then be GROWTH times as large as the last."""
GROWTH = 4
WAKE_S = 0.1
"""How long a cancel may go unseen when the server has missed it, and a row be held for others."""


class CopyExecution(wire.CursorExecution):
    """A query without parameters in a read-only transaction of its own, copied out.

    A cursor is declared first and never read: so the server itself has read the text as one
    query, planned it, judged its privileges and described its columns before it becomes a part of
    COPY. With ``max_rows`` the server ends after one row more, which tells that there are more.
    With a quarantine, values that cannot be carried exactly go there instead of ending it.
    """

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        sql: str,
        timeout_s: float,
        name: str,
        max_rows: int | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        super().__init__(connection, sql, (), timeout_s, name)
        self._max_rows = max_rows
        self._quarantine = quarantine
        self._copied = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Of BATCH_BYTES at most, but for a row that is larger; the first ones are smaller."""
        return batched(self.pieces())

    def close(self) -> None:
        """End the copy if it runs, and the session if the server does not answer."""
        self._refuse_cancels()
        connection, pgconn = self._connection, self._connection.pgconn
        if pgconn.transaction_status == TransactionStatus.ACTIVE:
            wire.cancel(connection)
            try:
                waiting.wait(drained(pgconn), pgconn.socket, WAKE_S, wire.END_S)
            except psycopg.Error:
                # A session in an unknown state must not be used again.
                connection.close()
        super().close()

    def pieces(self) -> Iterator[pa.RecordBatch]:
        """As ``batches``, smaller, for whoever puts them together in a way of his own."""
        described = zip(self._cursor.description or (), self.schema, strict=True)
        columns = [copied(column.type_code, field) for column, field in described]
        rows, receiver = self._decoder(columns)
        with closing(receiver):
            self._begin(copy_statement(self._sql, columns, self._max_rows))
            yield self._piece(rows, receiver, FIRST_BYTES)
            while not self._copied:
                yield self._piece(rows, receiver, PIECE_BYTES)
        rows.end()

    def _decoder(self, columns: Sequence[CopiedColumn]) -> tuple[BinaryRows, Receiver]:
        pgconn = self._connection.pgconn
        if compiled.usable():
            rows = BinaryRows(columns, self._quarantine, split=compiled.columns)
            return rows, compiled.Pump(pgconn)
        return BinaryRows(columns, self._quarantine), Receiver(pgconn)

    def _piece(self, rows: BinaryRows, receiver: Receiver, enough: int) -> pa.RecordBatch:
        data, sizes, more = self._wait(receiver.received(enough))
        self._copied = not more
        if self._copied:
            # Before the last rows, so that whoever stops at them leaves nothing to cancel.
            self._end()
        return rows.decode(data, sizes)

    def _begin(self, statement: str) -> None:
        pgconn = self._connection.pgconn
        pgconn.send_query_params(statement.encode(), None)
        result = self._wait(execute(pgconn))[-1]
        self._judge(result, ExecStatus.COPY_OUT)

    def _end(self) -> None:
        """Raises what the server says in place of the rows that are missing."""
        while (result := self._wait(fetch(self._connection.pgconn))) is not None:
            self._judge(result, ExecStatus.COMMAND_OK)

    def _judge(self, result: "PGresult", expected: ExecStatus) -> None:
        if result.status != expected:
            with wire.told_apart(self._limit_at):
                raise wire.error_of(result)

    def _wait(self, steps: "PQGen[T]") -> T:
        return waiting.wait(self._watched(steps), self._connection.pgconn.socket, WAKE_S)

    def _watched(self, steps: "PQGen[T]") -> "PQGen[T]":
        """A cancel that comes before the server has the statement ends nothing there."""
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if self._cancelled:
                    raise QueryCancelled
                wanted = steps.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result


def batched(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join them up to BATCH_BYTES, but for the first one; only a piece can be larger.

    One that was long in coming is not held. Keeps nothing of what it has handed out.
    """
    held: list[pa.RecordBatch] = []
    size = goal = 0
    asked = time.monotonic()
    for piece in pieces:
        added, is_late = piece.nbytes, time.monotonic() - asked >= WAKE_S
        if size + added > text_rows.BATCH_BYTES:
            yield from _joined(held)
            size = 0
        held.append(piece)
        size += added
        del piece
        # Another one like this would be too much: what is there need not wait for it.
        if size + added > goal or is_late:
            yield from _joined(held)
            size, goal = 0, min(max(goal, FIRST_BYTES) * GROWTH, text_rows.BATCH_BYTES)
        asked = time.monotonic()
    yield from _joined(held)


def _joined(pieces: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One batch of those that have rows, if any has; takes them out of the list."""
    some = [piece for piece in pieces if piece.num_rows]
    pieces.clear()
    if len(some) > 1:
        some = [pa.concat_batches(some)]
    while some:
        yield some.pop()


def copy_statement(sql: str, columns: Sequence[CopiedColumn], max_rows: int | None = None) -> str:
    """COPY of a query whose columns these are; of one row more than ``max_rows`` at most.

    The query is left as it is where it can be. Where the server has to make text of a column, or
    to stop, it becomes a subquery, with OFFSET 0 so that no expression of it is computed twice; a
    scan of a subquery keeps the order of its rows.
    """
    query = f"(\n{_enclosable(sql)}\n)"
    if max_rows is not None or not all(column.read for column in columns):
        names = [f"c{n}" for n in range(len(columns))]
        values = ", ".join(map(_value, names, columns))
        bound = "OFFSET 0" if max_rows is None else f"LIMIT {max_rows + 1}"
        inner = f"(SELECT * FROM {query} AS q {bound}) AS q"
        query = f"(SELECT {values} FROM {inner}{'(' + ', '.join(names) + ')' if names else ''})"
    return f"COPY {query} TO STDOUT (FORMAT BINARY)"


def _value(name: str, column: CopiedColumn) -> str:
    """The column, or what its type's output function makes of it: a cast to text may do more.

    Whether it is NULL is asked in a way that takes ROW(NULL) for a value, as it is.
    """
    if column.read:
        return name
    return f"CASE WHEN {name} IS DISTINCT FROM NULL THEN pg_catalog.concat({name}) END"


def _enclosable(sql: str) -> str:
    """The query without what may follow it: semicolons, comments. Raises SqlRefused.

    No parenthesis of it closes one that it has not opened, so none that is put around it.
    """
    try:
        tokens = Postgres().tokenize(sql)
    except SqlglotError:
        raise SqlRefused("unparseable", "The query cannot be parsed.") from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        del tokens[-1]
    depth = 0
    for token in tokens:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if depth < 0 or token.token_type == TokenType.SEMICOLON:
            raise SqlRefused("multiple_statements", "Only one statement may be sent at a time.")
    if depth or not tokens:
        raise SqlRefused("unparseable", "The query cannot be parsed.")
    return sql[: tokens[-1].end + 1]
