"""Rows of a query by COPY and by a cursor."""

from typing import Any

import psycopg
import pyarrow as pa

from connectors.postgres import wire
from connectors.postgres.copy import CopyExecution

Session = psycopg.Connection[Any]


def copy(session: Session, sql: str, max_rows: int | None = None) -> pa.Table:
    execution = CopyExecution(session, sql, 60, "test", max_rows)
    try:
        execution.start()
        return pa.Table.from_batches(execution.batches(), schema=execution.schema)
    finally:
        execution.close()


def by_cursor(session: Session, sql: str) -> pa.Table:
    execution = wire.CursorExecution(session, sql, (), 60, "test")
    try:
        execution.start()
        return pa.Table.from_batches(execution.batches(), schema=execution.schema)
    finally:
        execution.close()


def assert_same(session: Session, sql: str) -> pa.Table:
    """Both ways give one table; NaN and the sign of zero show in the text."""
    copied_, fetched = copy(session, sql), by_cursor(session, sql)
    assert copied_.schema.equals(fetched.schema, check_metadata=True)
    assert repr(copied_.to_pydict()) == repr(fetched.to_pydict())
    return copied_
