"""Filling tables of a warehouse that speaks Postgres' wire protocol.

Where columns differ another table takes the place in a transaction: one that began before that, and
reads the table for the first time afterwards, finds no rows in it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from connectors.filling import ExchangeFilling, FillTable, FillTarget
from connectors.types import Limits, Params, RunStats

NAMES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND left(c.relname, length($2)) = $2
"""
COMMENTS = """
SELECT d.description FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0
    AND d.classoid = (SELECT oid FROM pg_class WHERE relname = 'pg_class' AND relnamespace = 11)
WHERE n.nspname = $1 AND c.relname = $2
"""


class PostgresFill(FillTable):
    """The promises are those of ``FillTable``."""

    folds_names: ClassVar[bool] = False
    """Names are in lower case, quoted or not."""
    locks_tables: ClassVar[bool] = True
    """Writers can be kept out of a table while others read it."""
    _connection: "psycopg.Connection[Any]"

    @contextmanager
    def _filling(self, target: FillTarget, limits: Limits) -> Iterator["PostgresFilling"]:
        """Each statement of this session commits by itself meanwhile."""
        connection, was = self._connection, self._connection.autocommit
        connection.rollback()
        connection.autocommit = True
        try:
            timeout_ms = max(1, int(limits.timeout_s * 1000))
            connection.execute(f"SET statement_timeout TO {timeout_ms}")
            yield PostgresFilling(
                connection, target, folds=self.folds_names, locks=self.locks_tables
            )
        finally:
            with suppress(psycopg.Error):
                connection.execute("RESET statement_timeout")
                connection.autocommit = was


class PostgresFilling(ExchangeFilling):
    """``connection`` commits each statement by itself, and is read-only unless told otherwise."""

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        target: FillTarget,
        *,
        folds: bool,
        locks: bool,
    ) -> None:
        super().__init__(target)
        self._connection = connection
        self._folded = str.lower if folds else str
        self._locks = locks

    def _build(self, sql: str, params: Params) -> None:
        aside = self._path(self.target.aside)
        with self._transaction():
            made = f"CREATE TABLE {aside} AS {sql}".encode()
            # binary= keeps it to the one-statement protocol.
            psycopg.RawCursor(self._connection).execute(made, params or None, binary=True)
            self._comment_on(self.target.aside)

    def _stats(self) -> RunStats:
        return RunStats(vendor_query_id=str(self._connection.info.backend_pid))

    def _names(self) -> list[str]:
        place = (self._folded(self.target.schema), self._folded(self.target.prefix))
        return [name for (name,) in self._run(NAMES, place).fetchall()]

    def _comments(self, table: str) -> list[str | None]:
        place = (self._folded(self.target.schema), self._folded(table))
        return [comment for (comment,) in self._run(COMMENTS, place).fetchall()]

    def _count(self) -> int:
        row = self._run(f"SELECT count(*) FROM {self._path(self.target.aside)}").fetchone()
        return int(row[0]) if row else 0

    def _drop(self, table: str) -> None:
        with self._transaction():
            self._run(f"DROP TABLE IF EXISTS {self._path(table)}")

    def _shape(self, table: str) -> Sequence[Any]:
        found = self._run(f"SELECT * FROM {self._path(table)} LIMIT 0").description or ()
        return [(one.name, one.type_code, one.display_size, one.scale) for one in found]

    def _mark(self, table: str) -> None:
        with self._transaction():
            self._comment_on(table)

    def _comment_on(self, table: str) -> None:
        self._run(f"COMMENT ON TABLE {self._path(table)} IS '{self.target.mark}'")

    def _rename(self, table: str, name: str) -> None:
        with self._transaction():
            self._run(f"ALTER TABLE {self._path(table)} RENAME TO {self._quoted(name)}")

    def _copy(self, source: str, table: str) -> int:
        with self._transaction():
            if self._locks:
                # Else a DELETE that has waited for another copy does not see what that has put in.
                self._run(f"LOCK TABLE {self._path(table)} IN SHARE ROW EXCLUSIVE MODE")
            self._run(f"DELETE FROM {self._path(table)}")
            copied = f"INSERT INTO {self._path(table)} SELECT * FROM {self._path(source)}"
            return self._run(copied).rowcount

    def _exchange(self, source: str, table: str) -> None:
        with self._transaction():
            self._run(f"DROP TABLE {self._path(table)}")
            self._run(f"ALTER TABLE {self._path(source)} RENAME TO {self._quoted(table)}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN READ WRITE")
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error):
                self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _run(self, sql: str, params: Params = ()) -> "psycopg.Cursor[Any]":
        return psycopg.RawCursor(self._connection).execute(sql.encode(), params or None)

    def _path(self, table: str) -> str:
        return f"{self._quoted(self.target.schema)}.{self._quoted(table)}"

    def _quoted(self, name: str) -> str:
        return sql.Identifier(self._folded(name)).as_string()
