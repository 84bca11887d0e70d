"""Row counts and bytes of tables, measured when somebody asks and kept until the next write.

Bytes are uncompressed: rows times the width of each fixed-width column, plus the real lengths of
texts, binaries and variants. Snowflake reports its compressed micro-partitions instead.
"""

import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import duckdb
import pyarrow as pa

from sandbox.snowflake.catalog import STATISTICS
from sandbox.snowflake.duck import one, rows
from sandbox.snowflake.engine import Engine
from sandbox.snowflake.names import TableName, quote

_WIDTHS = {"BOOLEAN": 1, "DATE": 4, "TIME": 8, "DOUBLE": 8, "FLOAT": 4, "HUGEINT": 16}
_TABLE = f"{STATISTICS}.main.tables"
_UNKNOWN = f"""
SELECT database_name, schema_name, table_name, column_name, data_type, estimated_size
FROM duckdb_columns()
JOIN duckdb_tables() USING (database_name, schema_name, table_name)
ANTI JOIN {_TABLE} USING (database_name, schema_name, table_name)
WHERE NOT temporary AND NOT starts_with(database_name, '_fs_')
    AND NOT starts_with(schema_name, '_fs_') AND database_name = coalesce(?, database_name)
ORDER BY column_index"""
_MEASURED = "_measured"
_Column = tuple[str, str]


class Statistics:
    """One account's measurements."""

    def __init__(self, engine: Engine) -> None:
        """Begin knowing nothing."""
        self._connection = engine.connect()
        # One connection, asked from many threads.
        self._one_at_a_time = threading.Lock()

    def forget(self, tables: Iterable[TableName]) -> None:
        """Measure these tables again when they are next asked for: they were written."""
        with self._one_at_a_time:
            for table in tables:
                rows(
                    self._connection,
                    f"DELETE FROM {_TABLE} WHERE "
                    "(database_name, schema_name, table_name) = (?, ?, ?)",
                    [table.database, table.schema, table.table],
                )

    def refresh(self, database: str | None = None) -> None:
        """Measure every table, of one database or of all, that was written since."""
        with self._one_at_a_time:
            # Read once for all of them: duckdb_columns() goes through the whole catalog.
            columns: dict[TableName, list[_Column]] = {}
            empty = set()
            for catalog, schema, table, name, kind, size in rows(
                self._connection, _UNKNOWN, [database]
            ):
                key = TableName(catalog, schema, table)
                columns.setdefault(key, []).append((name, kind))
                if size == 0:
                    empty.add(key)
            measured = {}
            for table, described in columns.items():
                # Another session may have dropped it since.
                with suppress(duckdb.CatalogException):
                    measured[table] = (
                        (0, 0) if table in empty else _measure(self._connection, table, described)
                    )
            self._store(measured)

    def of(self, table: TableName) -> tuple[int, int]:
        """Return a table's rows and bytes as last committed."""
        with self._one_at_a_time:
            known = one(
                self._connection,
                f"SELECT row_count, bytes FROM {_TABLE} WHERE "
                "(database_name, schema_name, table_name) = (?, ?, ?)",
                [table.database, table.schema, table.table],
            )
            if known is not None:
                return int(known[0]), int(known[1])
            measured = measure(self._connection, table)
            self._store({table: measured})
            return measured

    def _store(self, measured: dict[TableName, tuple[int, int]]) -> None:
        if not measured:
            return
        values = [
            [table.database, table.schema, table.table, *numbers]
            for table, numbers in measured.items()
        ]
        names = ["database_name", "schema_name", "table_name", "row_count", "bytes"]
        self._connection.register(
            _MEASURED, pa.table(dict(zip(names, zip(*values, strict=True), strict=True)))
        )
        rows(self._connection, f"INSERT OR REPLACE INTO {_TABLE} SELECT * FROM {_MEASURED}")
        self._connection.unregister(_MEASURED)


def measure(connection: Any, table: TableName) -> tuple[int, int]:
    """Count a table's rows and bytes as this connection sees them."""
    relation = connection.sql(f"SELECT * FROM {table.sql}")
    columns = list(zip(relation.columns, map(str, relation.types), strict=True))
    return _measure(connection, table, columns)


def _measure(connection: Any, table: TableName, columns: list[_Column]) -> tuple[int, int]:
    lengths = [f"sum({_length(quote(name), kind)})" for name, kind in columns if _varies(kind)]
    (found,) = rows(connection, f"SELECT {', '.join(['count(*)', *lengths])} FROM {table.sql}")
    fixed = sum(_width(kind) for _, kind in columns if not _varies(kind))
    count = int(found[0])
    return count, count * fixed + sum(int(length or 0) for length in found[1:])


def _varies(kind: str) -> bool:
    return kind in {"VARCHAR", "JSON", "BLOB"}


def _length(column: str, kind: str) -> str:
    return f"octet_length({column})" if kind == "BLOB" else f"strlen({column})"


def _width(kind: str) -> int:
    if decimal := re.match(r"DECIMAL\((\d+)", kind):
        digits = int(decimal[1])
        return next(width for most, width in ((4, 2), (9, 4), (18, 8), (38, 16)) if digits <= most)
    return _WIDTHS.get(kind, 8)
