"""A schema of one's own in each stand-in, and a connector of each provider that reads it."""

import logging
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from connectors import Connector, NetworkPolicy, connect


@pytest.fixture(scope="session")
def private_name() -> str:
    """A name for a schema or dataset that no other run uses."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def loopback() -> NetworkPolicy:
    """The policy of an operator who allows this machine, whatever the port."""
    return NetworkPolicy.allowing(["127.0.0.0/8", "nowhere.invalid"])


@pytest.fixture
def opened(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy
) -> Iterator[Callable[..., Connector]]:
    """Make connectors, with changed credentials or network if wanted; closed at the end."""
    with ExitStack() as stack:

        def make(provider: str, network: NetworkPolicy = loopback, **changes: Any) -> Connector:
            form = credentials[provider] | changes
            return stack.enter_context(connect(provider, form, network=network))

        yield make


@pytest.fixture
def connector(request: pytest.FixtureRequest, opened: Callable[..., Connector]) -> Connector:
    """A working connector of the provider that the test's module names."""
    return opened(request.module.PROVIDER)


@pytest.fixture(scope="session")
def owner(endpoints: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """The source database as its owner."""
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def source(owner: psycopg.Connection[Any]) -> Iterator[str]:
    """An empty schema of the source database, dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    owner.execute(f"CREATE SCHEMA {name}")
    yield name
    owner.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def closed_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A loopback port that listens; ``accept`` raises BlockingIOError when nobody has called."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        yield server


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs in the test, with its fields in the text."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(_AllFields())
    return caplog


class _AllFields(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {vars(record)!r}"
