"""A running Databricks stand-in, and the vendor's own client for it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from sandbox.services.databricks import client_for
from tests.databricks_standin import StandIn, running

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def standin() -> Iterator[StandIn]:
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def endpoint(standin: StandIn) -> dict[str, Any]:
    return standin.endpoint


@pytest.fixture
def connect(endpoint: dict[str, Any]) -> Iterator[Connect]:
    """Open connections of the vendor's client; they are closed at the end."""
    made: list[Any] = []

    def make(to: dict[str, Any] = endpoint, **options: Any) -> Any:
        made.append(client_for(to, **options))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture(scope="session")
def shared(endpoint: dict[str, Any]) -> Iterator[Any]:
    """A connection that many tests use one after another: none of them may spoil it."""
    with client_for(endpoint) as connection:
        yield connection


@pytest.fixture
def cursor(shared: Any) -> Iterator[Any]:
    with shared.cursor() as opened:
        yield opened


@contextmanager
def new_schema(connection: Any) -> Iterator[str]:
    """An empty schema; dropped at the end with all that is in it."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {name}")
        yield name
        cursor.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def schema(shared: Any) -> Iterator[str]:
    """An empty schema of the test's own."""
    with new_schema(shared) as name:
        yield name


def table(cursor: Any, sql: str, parameters: Any = None) -> pa.Table:
    cursor.execute(sql, parameters)
    return cursor.fetchall_arrow()


def rows(cursor: Any, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table(cursor, sql, parameters).to_pylist()]
