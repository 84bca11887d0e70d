"""One session's transaction over duckdb's, which knows less than Snowflake's."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import duckdb

from sandbox.snowflake.errors import SqlError
from sandbox.snowflake.names import TableName


def _failed() -> SqlError:
    return SqlError(
        "000002",
        "0A000",
        "A statement in this transaction failed and this stand-in has rolled the transaction back "
        "(Snowflake would keep it open). Send ROLLBACK, then begin again.",
    )


def _idled() -> SqlError:
    return SqlError(
        "000625",
        "57014",
        "The transaction was rolled back: it was idle and held a table that another statement "
        "waits for.",
    )


class Transaction:
    """Begins in duckdb with the first statement after BEGIN, so that waiting for a lock is free.

    `on_end` is told which tables were written, whether they were committed or not.
    """

    def __init__(self, connection: Any, on_end: Callable[[set[TableName]], None]) -> None:
        """Begin with none open."""
        self._connection = connection
        self._on_end = on_end
        self._started = False
        self._touched: set[TableName] = set()
        self._last_used = time.monotonic()
        self._broken: Callable[[], SqlError] | None = None
        self.open = False

    def begin(self) -> None:
        """Open one; an open one stays as it is."""
        self.open = True

    def use(self) -> None:
        """Raise SqlError if the transaction is gone; otherwise note that it is in use."""
        if self._broken is not None:
            raise self._broken()
        self._last_used = time.monotonic()

    def start(self) -> None:
        """Begin in duckdb if a transaction is open and has not begun."""
        if self.open and not self._started and self._broken is None:
            self._connection.begin()
            self._started = True

    def commit(self) -> None:
        """Keep what was done; raises SqlError if it is gone already. None open: no matter."""
        broken, self._broken = self._broken, None
        if broken is not None:
            self._end()
            raise broken()
        try:
            if self._started:
                self._connection.commit()
        except duckdb.Error:
            self._undo()
            raise
        finally:
            self._end()

    def rollback(self) -> None:
        """Undo what was done. None open: no matter."""
        self._broken = None
        self._undo()
        self._end()

    def fail(self) -> None:
        """Note that a statement failed half-way: what came before is undone as well."""
        self._break(_failed)

    def abort_if_idle(self, seconds: float) -> None:
        """Undo everything if no statement used it for so long."""
        if self.open and time.monotonic() - self._last_used >= seconds:
            self._break(_idled)

    def touch(self, tables: Iterable[TableName]) -> None:
        """Note that tables are written."""
        self._touched.update(tables)

    def finish_statement(self) -> None:
        """Let go of tables and report them, unless a transaction keeps them."""
        self._last_used = time.monotonic()
        if not self.open:
            self._end()

    def _break(self, why: Callable[[], SqlError]) -> None:
        self._undo()
        self._end()
        # Still open for the client, who must be told before anything else is done for it.
        self.open, self._broken = True, why

    def _undo(self) -> None:
        if self._started:
            self._started = False
            try:
                self._connection.rollback()
            except duckdb.TransactionException:
                # duckdb has ended a transaction of its own accord after some errors.
                return

    def _end(self) -> None:
        self.open = self._started = False
        touched, self._touched = self._touched, set()
        self._on_end(touched)
