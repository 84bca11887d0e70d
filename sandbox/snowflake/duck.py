"""Running duckdb's SQL to its end: a connection takes nothing new while a result is half read."""

from collections.abc import Sequence
from typing import Any


def rows(connection: Any, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one or more statements and return the last one's rows."""
    found: list[tuple[Any, ...]] = connection.execute(sql, list(values) or None).fetchall()
    return found


def one(connection: Any, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """Run a statement and return its first row, None when there is none."""
    return next(iter(rows(connection, sql, values)), None)
