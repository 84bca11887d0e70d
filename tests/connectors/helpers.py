"""What the tests of this folder do alike."""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from connectors import Connector


def rows_of(connector: Connector, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
    """All rows of a query, as tuples."""
    return [tuple(row.values()) for row in connector.query(sql, params).read_all().to_pylist()]


def assert_arrives(connector: Connector, sql: str, kind: pa.DataType, value: Any) -> None:
    """The expression yields that value, in that Arrow type."""
    table = connector.query(f"SELECT {sql} AS v").read_all()
    assert (table.schema.types, table.column(0).to_pylist()) == ([kind], [value])


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Poll until something holds; it has to within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
