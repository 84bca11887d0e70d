"""What the tests of this folder do alike."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors import Connector, Limits
from tests.waiting import wait_for


def rows_of(connector: Connector, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
    """All rows of a query, as tuples."""
    return [tuple(row.values()) for row in connector.query(sql, params).read_all().to_pylist()]


def drain(connector: Connector, sql: str, timeout_s: float = 60, run_id: str = "") -> int:
    """Read a query to its end, keeping nothing; its number of rows."""
    with connector.query(sql, limits=Limits(timeout_s), run_id=run_id) as result:
        return sum(batch.num_rows for batch in result)


def assert_arrives(connector: Connector, sql: str, kind: pa.DataType, value: Any) -> None:
    """The expression yields that value, in that Arrow type."""
    table = connector.query(f"SELECT {sql} AS v").read_all()
    assert (table.schema.types, table.column(0).to_pylist()) == ([kind], [value])


def open_sockets() -> set[str]:
    """The sockets that this process holds."""
    links = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return {target for link in links if (target := os.readlink(link)).startswith("socket:")}


@contextmanager
def nothing_is_left(temporary: Path) -> Iterator[None]:
    """What is done inside leaves no thread, no socket and no file in ``temporary``."""
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    wait_for(lambda: set(threading.enumerate()) <= threads)
    wait_for(lambda: open_sockets() <= sockets)
    assert list(temporary.iterdir()) == []
