"""The JSON in duckdb's comments: what Snowflake knows of tables and columns and duckdb does not."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import duckdb

from sandbox.snowflake.duck import one, rows
from sandbox.snowflake.names import TableName, literal, quote


@dataclass(frozen=True)
class ColumnFacts:
    """What was declared of a column, as far as duckdb's type does not tell it."""

    type: str | None = None
    length: int | None = None
    comment: str | None = None

    def json(self) -> str | None:
        """Return the facts as JSON, None when there are none."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(known) if known else None


@dataclass(frozen=True)
class TableFacts:
    """What was declared of a table; `id` is new each time a table of this name is made."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    primary_key: tuple[str, ...] = ()
    primary_key_name: str | None = None
    comment: str | None = None

    def json(self) -> str:
        """Return the facts as JSON."""
        return json.dumps({name: value for name, value in vars(self).items() if value})


@dataclass(frozen=True)
class Column:
    """A column as duckdb stores it, with what was declared."""

    name: str
    type: str
    nullable: bool
    default: str | None
    facts: ColumnFacts


def read_table(connection: Any, table: TableName) -> TableFacts | None:
    """Return a table's facts, None when there is no such table (a view is none)."""
    row = one(
        connection,
        "SELECT comment FROM duckdb_tables() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        [table.database, table.schema, table.table],
    )
    if row is None:
        return None
    raw: dict[str, Any] = json.loads(row[0]) if row[0] else {"id": ""}
    return TableFacts(**{**raw, "primary_key": tuple(raw.get("primary_key", ()))})


def read_columns(connection: Any, table: TableName) -> list[Column]:
    """Return a table's or view's columns in order, none when it does not exist."""
    found = rows(
        connection,
        "SELECT column_name, data_type, is_nullable, column_default, comment "
        "FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ? "
        "ORDER BY column_index",
        [table.database, table.schema, table.table],
    )
    return [
        Column(name, kind, nullable, default, ColumnFacts(**json.loads(comment or "{}")))
        for name, kind, nullable, default, comment in found
    ]


def exists(connection: Any, table: TableName) -> bool:
    """Tell whether there is a table or view of this name; not for use in a transaction.

    Unlike the functions above this does not go through the whole catalog, but it fails inside
    duckdb when there is none, which would end a transaction.
    """
    try:
        connection.sql(f"SELECT * FROM {table.sql}")
    except duckdb.CatalogException:
        return False
    return True


def write_table(connection: Any, table: TableName, facts: TableFacts) -> None:
    """Keep a table's facts."""
    rows(connection, f"COMMENT ON TABLE {table.sql} IS {literal(facts.json())}")


def write_column(connection: Any, table: TableName, column: str, facts: ColumnFacts) -> None:
    """Keep a column's facts."""
    text = facts.json()
    value = literal(text) if text else "NULL"
    rows(connection, f"COMMENT ON COLUMN {table.sql}.{quote(column)} IS {value}")
