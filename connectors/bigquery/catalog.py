"""Tables of BigQuery from INFORMATION_SCHEMA: a constant number of statements, however many.

Rights and scope of each view, from cloud.google.com/bigquery/docs/information-schema-intro and the
pages of the views: all need bigquery.tables.get and bigquery.tables.list, on the project when they
are asked for a whole region, on the dataset otherwise; TABLE_STORAGE exists for regions only, and
KEY_COLUMN_USAGE for datasets only. What they do not serve comes from the older __TABLES__.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.bigquery.types import arrow_type
from connectors.types import Column, Table, TableFilter

DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}")
DATASETS_A_STATEMENT = 150
"""A query may name 1,000 tables (quotas page); each dataset takes five of them."""

COLUMNS_OF = {
    "TABLES": "table_schema, table_name, table_type",
    "COLUMNS": "table_schema, table_name, column_name, ordinal_position, is_nullable, data_type, "
    "is_hidden",
    "COLUMN_FIELD_PATHS": "table_schema, table_name, column_name, field_path, description",
    "TABLE_OPTIONS": "table_schema, table_name, option_name, option_value",
    "KEY_COLUMN_USAGE": "table_schema, table_name, column_name, ordinal_position, "
    "position_in_unique_constraint",
}

_TABLES = """
WITH page AS (
  SELECT table_schema, table_name, table_type FROM {TABLES} WHERE {wanted}
  ORDER BY table_schema, table_name LIMIT {limit}
)
SELECT page.table_schema, page.table_name, page.table_type, c.column_name, c.ordinal_position,
  c.is_nullable, c.data_type, f.description, o.option_value, s.total_rows, s.total_logical_bytes
FROM page
LEFT JOIN {COLUMNS} AS c ON c.table_schema = page.table_schema
  AND c.table_name = page.table_name AND c.is_hidden = 'NO'
LEFT JOIN {COLUMN_FIELD_PATHS} AS f ON f.table_schema = page.table_schema
  AND f.table_name = page.table_name AND f.column_name = c.column_name
  AND f.field_path = c.column_name
LEFT JOIN {TABLE_OPTIONS} AS o ON o.table_schema = page.table_schema
  AND o.table_name = page.table_name AND o.option_name = 'description'
LEFT JOIN {STORAGE} AS s ON s.table_schema = page.table_schema
  AND s.table_name = page.table_name
"""

_KEYS = """
SELECT table_schema, table_name, column_name FROM {KEY_COLUMN_USAGE}
WHERE position_in_unique_constraint IS NULL ORDER BY table_schema, table_name, ordinal_position
"""

Row = dict[str, Any]
Statement = tuple[str, dict[str, object]]
"""Its text, and the values bound to it."""


def of_region(project: str, location: str, wanted: TableFilter) -> Statement:
    """Tables of all datasets in a location; needs rights on the project."""
    where = f"`{project}`.`region-{location.lower()}`.INFORMATION_SCHEMA"
    views = {view: f"{where}.{view}" for view in COLUMNS_OF}
    storage = (
        "(SELECT table_schema, table_name, total_rows, total_logical_bytes "
        f"FROM {where}.TABLE_STORAGE WHERE NOT deleted)"
    )
    return _tables(views | {"STORAGE": storage}, wanted)


def of_datasets(project: str, datasets: Sequence[str], wanted: TableFilter) -> Statement:
    """Tables of these datasets; needs rights on each of them."""
    views = {view: _united(project, datasets, view) for view in COLUMNS_OF}
    # Kind 1 is a table; the others have no rows of their own.
    storage = " UNION ALL ".join(
        "SELECT dataset_id AS table_schema, table_id AS table_name, row_count AS total_rows, "
        f"size_bytes AS total_logical_bytes FROM `{project}`.`{dataset}`.__TABLES__ WHERE type = 1"
        for dataset in datasets
    )
    return _tables(views | {"STORAGE": f"({storage})"}, wanted)


def keys(project: str, datasets: Sequence[str]) -> str:
    """Primary keys of all tables in these datasets."""
    return _KEYS.format(KEY_COLUMN_USAGE=_united(project, datasets, "KEY_COLUMN_USAGE"))


def _united(project: str, datasets: Sequence[str], view: str) -> str:
    parts = (
        f"SELECT {COLUMNS_OF[view]} FROM `{project}`.`{dataset}`.INFORMATION_SCHEMA.{view}"
        for dataset in datasets
    )
    return f"({' UNION ALL '.join(parts)})"


def _tables(sources: dict[str, str], wanted: TableFilter) -> Statement:
    conditions = ["TRUE"]
    values: dict[str, object] = {}
    if wanted.search:
        conditions.append("STRPOS(LOWER(table_name), LOWER(@search)) > 0")
        values["search"] = wanted.search
    if wanted.after is not None:
        conditions.append(
            "(table_schema > @schema OR table_schema = @schema AND table_name > @name)"
        )
        values["schema"], values["name"] = wanted.after
    where = " AND ".join(conditions)
    return _TABLES.format(**sources, wanted=where, limit=int(wanted.limit)), values


@dataclass
class _Rows:
    """What the rows of one table say."""

    first: Row
    columns: list[Column]


Found = dict[tuple[str, str], _Rows]


def gathered(rows: Iterable[Row]) -> Found:
    """The rows of a statement, of which every column has one, by table."""
    found: Found = {}
    for row in rows:
        of_table = found.setdefault((row["table_schema"], row["table_name"]), _Rows(row, []))
        if row["column_name"] is not None:
            of_table.columns.append(_column(row))
    return found


def tables(
    project: str, found: Found, keys: Mapping[tuple[str, str], Sequence[str]]
) -> Iterator[Table]:
    """The tables of what was gathered, with their keys."""
    for name, rows in found.items():
        first = rows.first
        yield Table(
            catalog=project,
            schema=first["table_schema"],
            name=first["table_name"],
            kind=first["table_type"].lower().removeprefix("base "),
            columns=tuple(sorted(rows.columns, key=lambda column: column.position)),
            primary_key=tuple(keys.get(name, ())),
            row_count=first["total_rows"],
            size_bytes=first["total_logical_bytes"],
            comment=_unquoted(first["option_value"]),
        )


def _column(row: Row) -> Column:
    return Column(
        name=row["column_name"],
        native_type=row["data_type"],
        nullable=row["is_nullable"] == "YES",
        position=int(row["ordinal_position"] or 0),
        arrow_type=arrow_type(row["data_type"]),
        comment=row["description"],
    )


def _unquoted(literal: str | None) -> str | None:
    """The text of a SQL string literal, whose escapes are Python's."""
    if literal is None:
        return None
    try:
        return str(ast.literal_eval(literal))
    except (ValueError, SyntaxError):
        return literal
