"""What Snowflake's catalog says of tables: three set-based reads a page, however many tables.

INFORMATION_SCHEMA can be filtered and paged. It is read by the warehouse, which bills the seconds
(and a minute where it was asleep); the SHOW commands bill nothing but end at 10,000 rows, which
are the columns of 500 tables. Only primary keys are nowhere else: beyond 10,000 key columns in
the schemas asked for, those of the last tables are not known.

Source: Snowflake documentation, Information Schema, SHOW TABLES, SHOW PRIMARY KEYS.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.snowflake.sql import quoted
from connectors.snowflake.types import arrow_type
from connectors.types import Column, Table, TableFilter

Row = Sequence[Any]
Name = tuple[str, str]
"""Schema and table."""
Statement = tuple[str, list[object]]

KINDS = {"BASE TABLE": "table"}
"""Where our word is not Snowflake's in lower case."""

_TABLES = """
SELECT table_schema, table_name, table_type, row_count, bytes, comment
FROM information_schema.tables
WHERE {where}
ORDER BY table_schema, table_name
LIMIT {limit}
"""

_COLUMNS = """
SELECT table_schema, table_name, column_name, ordinal_position, is_nullable, data_type,
       numeric_precision, numeric_scale, datetime_precision, comment
FROM information_schema.columns
WHERE {where}
ORDER BY table_schema, table_name, ordinal_position
"""


def tables_read(wanted: TableFilter) -> Statement:
    """The page of tables that is asked for."""
    where, values = _where(wanted, None)
    return _TABLES.format(where=where, limit=wanted.limit), values


def columns_read(wanted: TableFilter, last: Name) -> Statement:
    """The columns of that page, whose last table is ``last``."""
    where, values = _where(wanted, last)
    return _COLUMNS.format(where=where), values


def keys_read(wanted: TableFilter, database: str) -> str:
    """The primary keys of all tables that may be on a page."""
    if wanted.schema is None:
        return f"SHOW PRIMARY KEYS IN DATABASE {quoted(database)}"
    return f"SHOW PRIMARY KEYS IN SCHEMA {quoted(database, wanted.schema)}"


def tables(
    database: str, found: Iterable[Row], columns: Iterable[Row], keys: Iterable[Mapping[str, Any]]
) -> list[Table]:
    """Tables in the order they were ``found``, with their columns and primary keys."""
    columns_of: dict[Name, list[Column]] = {}
    for schema, table, *column in columns:
        columns_of.setdefault((schema, table), []).append(_column(*column))
    keys_of: dict[Name, list[tuple[int, str]]] = {}
    for key in keys:
        name = (key["schema_name"], key["table_name"])
        keys_of.setdefault(name, []).append((int(key["key_sequence"]), key["column_name"]))
    return [
        Table(
            catalog=database,
            schema=schema,
            name=name,
            kind=KINDS.get(kind, kind.lower()),
            columns=tuple(columns_of.get((schema, name), ())),
            primary_key=tuple(column for _, column in sorted(keys_of.get((schema, name), ()))),
            row_count=None if rows is None else int(rows),
            size_bytes=None if size is None else int(size),
            comment=comment or None,
        )
        for schema, name, kind, rows, size, comment in found
    ]


def _where(wanted: TableFilter, last: Name | None) -> tuple[str, list[object]]:
    parts = ["table_schema <> 'INFORMATION_SCHEMA'"]
    values: list[object] = []
    beyond = "(table_schema > ? OR (table_schema = ? AND table_name > ?))"
    if wanted.schema is not None:
        parts.append("table_schema = ?")
        values.append(wanted.schema)
    if wanted.search:
        parts.append("CONTAINS(LOWER(table_name), LOWER(?))")
        values.append(wanted.search)
    if wanted.after:
        parts.append(beyond)
        values += [wanted.after[0], *wanted.after]
    if last:
        parts.append(f"NOT {beyond}")
        values += [last[0], *last]
    return " AND ".join(parts), values


def _column(
    name: str,
    position: int,
    nullable: str,
    data_type: str,
    precision: int | None,
    scale: int | None,
    fraction: int | None,
    comment: str | None,
) -> Column:
    if data_type == "NUMBER":
        data_type = f"NUMBER({precision},{scale})"
    elif fraction is not None and data_type.startswith("TIME"):
        data_type = f"{data_type}({fraction})"
    return Column(
        name=name,
        native_type=data_type,
        nullable=nullable == "YES",
        position=int(position),
        arrow_type=arrow_type(data_type),
        comment=comment or None,
    )
