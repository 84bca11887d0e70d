"""What Redshift's system views tell of tables: three set-based reads and their rows put together.

The first two read the leader node only, the third compute nodes too, so Redshift cannot join it
with them; it is also kept from ordinary users until somebody grants it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from connectors.types import Column, Table

Row = tuple[Any, ...]

KINDS = {
    "BASE TABLE": "table",
    "VIEW": "view",
    "EXTERNAL TABLE": "external table",
    "SHARED TABLE": "shared table",
}
MIB = 2**20

# Redshift keeps every name that begins with pg_ for itself.
_OWN = "{0} <> 'information_schema' AND substring({0}, 1, 3) <> 'pg_'"
_ONE = "{0} = $1"

_TABLES = """
SELECT t.table_schema, t.table_name, t.table_type, k.conkey
FROM svv_tables t
LEFT JOIN (
    SELECT n.nspname, c.relname, p.conkey
    FROM pg_catalog.pg_constraint p
    JOIN pg_catalog.pg_class c ON c.oid = p.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE p.contype = 'p'
) k ON k.nspname = t.table_schema AND k.relname = t.table_name
WHERE {where}
ORDER BY 1, 2
"""

_COLUMNS = """
SELECT table_schema, table_name, column_name, ordinal_position, is_nullable, data_type,
       character_maximum_length, numeric_precision, numeric_scale
FROM svv_columns
WHERE {where}
ORDER BY 1, 2, 4
"""

# Its tbl_rows counts deleted rows too that wait for VACUUM.
_SIZES = """
SELECT "schema", "table", coalesce(estimated_visible_rows, tbl_rows), size
FROM svv_table_info
WHERE {where}
"""


def statements(schema: str | None) -> tuple[str, str, str]:
    """The reads of tables, columns and sizes; with ``schema`` they take it as their one value."""
    condition = _OWN if schema is None else _ONE
    return (
        _TABLES.format(where=condition.format("t.table_schema")),
        _COLUMNS.format(where=condition.format("table_schema")),
        _SIZES.format(where=condition.format('"schema"')),
    )


def tables(found: Iterable[Row], columns: Iterable[Row], sizes: Iterable[Row]) -> list[Table]:
    """Tables with their columns, in order; row count and size where ``sizes`` has them."""
    by_table: dict[tuple[str, str], list[Column]] = {}
    for schema, table, *column in columns:
        by_table.setdefault((schema, table), []).append(_column(*column))
    known = {(schema, table): (rows, blocks) for schema, table, rows, blocks in sizes}
    return [_table(row, by_table, known) for row in found]


def _table(
    row: Row, columns: Mapping[tuple[str, str], list[Column]], sizes: Mapping[tuple[str, str], Row]
) -> Table:
    schema, name, kind, key = row
    of_table = tuple(columns.get((schema, name), ()))
    rows, blocks = sizes.get((schema, name), (None, None))
    names = {column.position: column.name for column in of_table}
    # An array of positions, as text: {2,1}.
    positions = [int(position) for position in re.findall(r"\d+", key or "")]
    return Table(
        catalog=None,
        schema=schema,
        name=name,
        kind=KINDS.get(kind, kind.lower()),
        columns=of_table,
        primary_key=tuple(names[position] for position in positions if position in names),
        row_count=None if rows is None else int(rows),
        # Blocks of Redshift's are 1 MiB.
        size_bytes=None if blocks is None else int(blocks) * MIB,
    )


def _column(
    name: str,
    position: int,
    nullable: str,
    data_type: str,
    length: int | None,
    precision: int | None,
    scale: int | None,
) -> Column:
    if data_type.startswith("character") and length:
        data_type = f"{data_type}({length})"
    elif data_type == "numeric" and precision:
        data_type = f"numeric({precision},{scale or 0})"
    return Column(name, data_type, {"YES": True, "NO": False}.get(nullable), position)
