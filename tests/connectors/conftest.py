"""Connectors to try: on a schema of one's own in each stand-in, or on a real account's."""

import logging
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import Connector, NetworkPolicy, connect
from tests.connectors import live
from tests.connectors.copied import Session
from tests.connectors.matrix import MATRIX, Row
from tests.connectors.subject import Subject


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without ``-m live`` nothing of it is collected, nor counted."""
    return (collection_path.name == "test_live.py" and not live.is_wanted(config)) or None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract is held against every row of the matrix; with ``-m live``, for real.

    A test that asks for a ``way`` is held against every way in which a provider's rows come.
    """
    if "subject" not in metafunc.fixturenames:
        return
    marks, rows = list[pytest.MarkDecorator](), MATRIX
    if live.is_wanted(metafunc.config):
        marks = [pytest.mark.live]
        rows = tuple(row for row in MATRIX if live.is_given(row.provider))
    if "way" in metafunc.fixturenames:
        pairs = [
            pytest.param(row, way, id="-".join(filter(None, [row.provider, way])), marks=marks)
            for row in rows
            for way in row.through
        ]
        metafunc.parametrize("subject, way", pairs, indirect=["subject"], scope="module")
    else:
        params = [pytest.param(row, id=row.provider, marks=marks) for row in rows]
        metafunc.parametrize("subject", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
def subject(
    request: pytest.FixtureRequest,
    endpoints: dict[str, Any],
    credentials: dict[str, dict[str, Any]],
    network: NetworkPolicy,
    loopback: NetworkPolicy,
    private_name: str,
) -> Iterator[Subject]:
    row: Row = request.param
    if live.is_wanted(request.config):
        account = live.account(row.provider)
        with account.table(row) as name:
            yield Subject(row, account.schema, name, account.form, network, live=True)
        return
    schema, form = row.fold(private_name), credentials[row.provider]
    with row.prepared(endpoints, form, schema):
        yield Subject(row, schema, row.fold("numbers"), form, loopback)


@pytest.fixture(scope="module")
def shared(subject: Subject) -> Iterator[Connector]:
    """A session that many tests use one after another: none of them may spoil it."""
    with subject.connector() as connector:
        yield connector


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


@pytest.fixture
def session(connector: Connector) -> Session:
    """The session of an open connector, set up as it sets up its own."""
    connector.query("SELECT 1 AS one").read_all()
    found: Session = connector._connection  # type: ignore[attr-defined]
    return found


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
def writer(endpoints: dict[str, Any]) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Makes sessions whose transactions stay open until they are ended."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(endpoints["postgres"]["datavault_dsn"]))


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
