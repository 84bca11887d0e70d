"""Listing tables in Databricks: two metadata calls, whatever the number of tables."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from connectors.databricks.types import arrow_type
from connectors.types import Column, Table, TableFilter

INFORMATION_SCHEMA = "information_schema"
NULLABLE = {0: False, 1: True}
NOT_PLAIN = re.compile(r"[^a-z0-9]+")


class Patterns(NamedTuple):
    """What a metadata call is asked for; ``None`` is everything."""

    schema_name: str | None
    table_name: str | None


class TableRow(NamedTuple):
    """The columns that we read of the call for tables."""

    TABLE_CAT: str | None
    TABLE_SCHEM: str
    TABLE_NAME: str
    TABLE_TYPE: str | None
    REMARKS: str | None


class ColumnRow(NamedTuple):
    """The columns that we read of the call for columns."""

    TABLE_CAT: str | None
    TABLE_SCHEM: str
    TABLE_NAME: str
    ORDINAL_POSITION: int | None
    COLUMN_NAME: str
    TYPE_NAME: str
    NULLABLE: int | None
    REMARKS: str | None


def quoted(*names: str) -> str:
    """Identifiers joined by dots; the only way a name gets into a statement."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def patterns(wanted: TableFilter) -> Patterns:
    """Patterns that everything wanted fits, and perhaps more.

    The calls cannot be given ``after``, and servers differ in how a ``%`` is escaped.
    """
    part = None if wanted.search is None else f"%{wanted.search}%"
    return Patterns(_fitting(wanted.schema), _fitting(part))


def columns_of(listed: Sequence[TableRow], asked: Patterns) -> Patterns:
    """Patterns for the columns of these tables, narrower where they are of one schema or name."""
    schemas = {row.TABLE_SCHEM for row in listed}
    names = {row.TABLE_NAME for row in listed}
    return Patterns(
        _fitting(schemas.pop()) if len(schemas) == 1 else asked.schema_name,
        _fitting(names.pop()) if len(names) == 1 else asked.table_name,
    )


def listed(answer: pa.Table, catalog: str, wanted: TableFilter) -> list[TableRow]:
    """The tables that are wanted, in order, from the answer about tables."""
    found = [
        row
        for row in (TableRow(*values) for values in _rows(answer, TableRow._fields))
        if (row.TABLE_CAT or catalog).lower() == catalog.lower()
        and row.TABLE_SCHEM != INFORMATION_SCHEMA
        and (row.TABLE_SCHEM, row.TABLE_NAME) in wanted
    ]
    found.sort(key=lambda row: (row.TABLE_SCHEM, row.TABLE_NAME))
    return found[: wanted.limit]


def tables(catalog: str, found: Sequence[TableRow], answer: pa.Table) -> list[Table]:
    """These tables, with their columns from the answer about columns."""
    columns: dict[tuple[str, str], list[ColumnRow]] = {
        (row.TABLE_SCHEM, row.TABLE_NAME): [] for row in found
    }
    names = pa.array([row.TABLE_NAME for row in found], pa.string())
    answer = answer.filter(pc.is_in(answer.column("TABLE_NAME"), names))
    for values in _rows(answer, ColumnRow._fields):
        row = ColumnRow(*values)
        of_table = columns.get((row.TABLE_SCHEM, row.TABLE_NAME))
        if of_table is not None and (row.TABLE_CAT or catalog).lower() == catalog.lower():
            of_table.append(row)
    return [
        Table(
            catalog=catalog,
            schema=row.TABLE_SCHEM,
            name=row.TABLE_NAME,
            kind=(row.TABLE_TYPE or "table").lower().replace("_", " "),
            columns=_columns(columns[row.TABLE_SCHEM, row.TABLE_NAME]),
            comment=row.REMARKS or None,
        )
        for row in found
    ]


def _columns(rows: list[ColumnRow]) -> tuple[Column, ...]:
    rows.sort(key=lambda row: row.ORDINAL_POSITION or 0)
    return tuple(
        Column(
            row.COLUMN_NAME,
            row.TYPE_NAME,
            None if row.NULLABLE is None else NULLABLE.get(row.NULLABLE),
            position,
            arrow_type(row.TYPE_NAME),
            row.REMARKS or None,
        )
        for position, row in enumerate(rows, 1)
    )


def _rows(answer: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(answer.column(name).to_pylist() for name in names), strict=True)


def _fitting(text: str | None) -> str | None:
    """A pattern that ``text`` fits, with ``%`` for all that is not a plain letter or digit.

    In lower case, which is how names of schemas and tables are kept.
    """
    if text is None:
        return None
    # Other letters may have a lower case that is spelled otherwise.
    return NOT_PLAIN.sub("%", re.sub(r"[A-Z]+", lambda upper: upper[0].lower(), text))
