"""What Redshift's system views tell of tables: three set-based reads and their rows put together.

``svv_tables`` and ``svv_columns`` read the leader node only; they have external tables and
late-binding views too. ``svv_table_info`` reads compute nodes, so Redshift cannot join it with
them; it is also kept from ordinary users until somebody grants it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from connectors.postgres import text_rows
from connectors.types import Column, Table, TableFilter

Row = tuple[Any, ...]
Statement = tuple[str, list[str]]
"""A text with ``$1``, ``$2``, … and the values for them."""

KINDS = {
    "BASE TABLE": "table",
    "VIEW": "view",
    "EXTERNAL TABLE": "external table",
    "SHARED TABLE": "shared table",
}
NULLABLE = {"YES": True, "TRUE": True, "NO": False, "FALSE": False}
MIB = 2**20

ARROW_TYPES: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "double": pa.float64(),
    "double precision": pa.float64(),
    "float": pa.float32(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "oid": pa.int64(),
    "real": pa.float32(),
    "smallint": pa.int16(),
    "timestamp": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "timestamp without time zone": pa.timestamp("us"),
    "tinyint": pa.int16(),
}
"""By the catalog's names, among them those that a data lake has for its external tables."""
NUMERIC = re.compile(r"(?:numeric|decimal)\((\d+), ?(\d+)\)")
NESTED = re.compile(r"(?:array|map|struct)<")

WHO = "SELECT current_user::varchar, current_database()::varchar"
"""The session's user and database."""
MAY_WRITE = """
SELECT has_database_privilege(current_database(), 'CREATE')
       OR EXISTS (
           SELECT 1 FROM pg_catalog.pg_namespace n
           WHERE n.nspname <> 'information_schema' AND substring(n.nspname, 1, 3) <> 'pg_'
             AND has_schema_privilege(n.nspname, 'CREATE'))
       OR EXISTS (
           SELECT 1 FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r'
             AND n.nspname <> 'information_schema' AND substring(n.nspname, 1, 3) <> 'pg_'
             AND (has_table_privilege(c.oid, 'INSERT') OR has_table_privilege(c.oid, 'UPDATE')
                  OR has_table_privilege(c.oid, 'DELETE')))
"""
"""Whether the user could change a table, or make one that stays."""

_TABLES = """
SELECT t.table_schema, t.table_name, t.table_type, t.remarks, k.conkey
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
LIMIT {limit}
"""

_COLUMNS = """
SELECT table_schema, table_name, column_name, ordinal_position, is_nullable, data_type,
       character_maximum_length, numeric_precision, numeric_scale, remarks
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


def arrow_type(native: str) -> pa.DataType | None:
    """What a query's result has for a column of this type; ``None`` for an external nested one.

    Names as in ``Column.native_type``; what is not listed arrives as text.
    """
    if found := NUMERIC.fullmatch(native):
        return text_rows.decimal_type(int(found[1]), int(found[2]))
    if NESTED.match(native):
        return None
    return ARROW_TYPES.get(native, pa.string())


def tables_read(wanted: TableFilter) -> Statement:
    """The page of tables that is asked for."""
    where, values = _where(wanted, None, "t.table_schema", "t.table_name")
    return _TABLES.format(where=where, limit=wanted.limit), values


def columns_read(wanted: TableFilter, last: Row) -> Statement:
    """The columns of that page, whose last schema and table is ``last``."""
    where, values = _where(wanted, last, "table_schema", "table_name")
    return _COLUMNS.format(where=where), values


def sizes_read(wanted: TableFilter, last: Row) -> Statement:
    """The sizes of that page."""
    where, values = _where(wanted, last, '"schema"', '"table"')
    return _SIZES.format(where=where), values


def tables(found: Iterable[Row], columns: Iterable[Row], sizes: Iterable[Row]) -> list[Table]:
    """Tables with their columns, in order; row count and size where ``sizes`` has them."""
    by_table: dict[tuple[str, str], list[Column]] = {}
    for schema, table, *column in columns:
        by_table.setdefault((schema, table), []).append(_column(*column))
    known = {(schema, table): (rows, blocks) for schema, table, rows, blocks in sizes}
    return [_table(row, by_table, known) for row in found]


def _where(
    wanted: TableFilter, last: Sequence[str] | None, schema: str, name: str
) -> tuple[str, list[str]]:
    values: list[str] = []

    def value(given: str) -> str:
        values.append(given)
        return f"${len(values)}"

    def beyond(sign: str, place: Sequence[str]) -> str:
        edge = value(place[0])
        return f"({schema} {sign} {edge} OR {schema} = {edge} AND {name} {sign} {value(place[1])})"

    # Redshift keeps every name that begins with pg_ for itself.
    parts = [f"{schema} <> 'information_schema' AND substring({schema}, 1, 3) <> 'pg_'"]
    if wanted.schema is not None:
        parts = [f"{schema} = {value(wanted.schema)}"]
    if wanted.search:
        parts.append(f"strpos(lower({name}), lower({value(wanted.search)})) > 0")
    if wanted.after:
        parts.append(beyond(">", wanted.after))
    if last:
        parts.append(f"NOT {beyond('>', last)}")
    return " AND ".join(parts), values


def _table(
    row: Row, columns: Mapping[tuple[str, str], list[Column]], sizes: Mapping[tuple[str, str], Row]
) -> Table:
    schema, name, kind, comment, key = row
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
        comment=comment or None,
    )


def _column(
    name: str,
    position: int,
    nullable: str | None,
    data_type: str,
    length: int | None,
    precision: int | None,
    scale: int | None,
    comment: str | None,
) -> Column:
    if data_type.startswith("character") and length:
        data_type = f"{data_type}({length})"
    elif data_type == "numeric" and precision:
        data_type = f"numeric({precision},{scale or 0})"
    return Column(
        name=name,
        native_type=data_type,
        nullable=NULLABLE.get((nullable or "").upper()),
        position=position,
        arrow_type=arrow_type(data_type),
        comment=comment or None,
    )
