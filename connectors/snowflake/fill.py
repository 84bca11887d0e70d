"""Filling tables of Snowflake. Its data definition commits by itself, each statement whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from connectors.filling import ExchangeFilling, FillTable, FillTarget
from connectors.snowflake.sql import count, literal, quoted
from connectors.types import Limits, Params, RunStats

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

TABLES = "FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = ?"
Run = Callable[[str, Params], "SnowflakeCursor"]


class SnowflakeFill(FillTable):
    """The promises are those of ``FillTable``."""

    _run: Callable[..., "SnowflakeCursor"]

    @contextmanager
    def _filling(self, target: FillTarget, limits: Limits) -> Iterator["SnowflakeFilling"]:
        yield SnowflakeFilling(lambda sql, params: self._run(sql, params, limits.timeout_s), target)


class SnowflakeFilling(ExchangeFilling):
    """``run`` runs one statement to its end."""

    def __init__(self, run: Run, target: FillTarget) -> None:
        super().__init__(target)
        self._send = run
        self._query_id: str | None = None

    def _build(self, sql: str, params: Params) -> None:
        made = f"CREATE TABLE {self._path(self.target.aside)} COMMENT = {literal(self.target.mark)}"
        self._query_id = self._run(f"{made} AS {sql}", params).sfqid

    def _stats(self) -> RunStats:
        return RunStats(vendor_query_id=self._query_id)

    def _names(self) -> list[str]:
        place = (self.target.schema, self.target.prefix)
        return self._column(f"SELECT TABLE_NAME {TABLES} AND STARTSWITH(TABLE_NAME, ?)", place)

    def _comments(self, table: str) -> list[str | None]:
        place = (self.target.schema, table)
        return self._column(f"SELECT COMMENT {TABLES} AND TABLE_NAME = ?", place)

    def _count(self) -> int:
        return int(self._column(count(self.target.schema, self.target.aside))[0])

    def _drop(self, table: str) -> None:
        self._run(f"DROP TABLE IF EXISTS {self._path(table)}")

    def _shape(self, table: str) -> Sequence[Any]:
        found = self._run(f"SELECT * FROM {self._path(table)} LIMIT 0").description or ()
        return [(one.name, one.type_code, one.precision, one.scale) for one in found]

    def _mark(self, table: str) -> None:
        self._run(f"COMMENT ON TABLE {self._path(table)} IS {literal(self.target.mark)}")

    def _rename(self, table: str, name: str) -> None:
        self._run(f"ALTER TABLE {self._path(table)} RENAME TO {self._path(name)}")

    def _copy(self, source: str, table: str) -> int:
        self._run("BEGIN")
        try:
            self._run(f"DELETE FROM {self._path(table)}")
            copied = f"INSERT INTO {self._path(table)} SELECT * FROM {self._path(source)}"
            written = int(self._column(copied)[0])
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")
        return written

    def _exchange(self, source: str, table: str) -> None:
        self._run(f"ALTER TABLE {self._path(source)} SWAP WITH {self._path(table)}")

    def _run(self, sql: str, params: Params = ()) -> "SnowflakeCursor":
        return self._send(sql, params)

    def _column(self, sql: str, params: Params = ()) -> list[Any]:
        return [row[0] for row in self._run(sql, params).fetchall() if isinstance(row, tuple)]

    def _path(self, table: str) -> str:
        return quoted(self.target.schema, table)
