"""The connector against a stand-in of these tests' own, and the stand-in's view of what it does."""

import gc
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from connectors import Connector, JobContext, NetworkPolicy, connect
from tests.sandbox_snowflake.standin import PASSWORD, StandIn, new_key
from tests.waiting import wait_for

LOCAL = NetworkPolicy.allowing(["127.0.0.1"])
SETTINGS = {
    # Short, so that most queries have to be asked for again.
    "answer_within_s": 0.02,
    "roles": {"SYSADMIN": True, "READER": False, "CHIEF_READER": False, "CHIEF_WRITER": False},
    "inherited_roles": {"CHIEF_READER": ["READER"], "CHIEF_WRITER": ["READER", "SYSADMIN"]},
    "warehouses": ["COMPUTE_WH", "ASLEEP", "OFF"],
    "suspended_warehouses": {"ASLEEP": True, "OFF": False},
}
LENDER = {
    # Reads in its own role, and has the rights of another besides.
    "name": "LENDER",
    "password": PASSWORD,
    "role": "READER",
    "warehouse": "COMPUTE_WH",
    "secondary_roles": ["SYSADMIN"],
}
# Runs for hours unless somebody ends it.
ENDLESS = (
    "SELECT COUNT(*) AS N FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
    "TABLE(GENERATOR(ROWCOUNT => 10000000)) b"
)

Open = Callable[..., Connector]
Launch = Callable[[], AbstractContextManager[StandIn]]


def many(rows: int) -> str:
    """So many rows of 64 characters that no compression shortens."""
    return (
        "SELECT SEQ4() AS N, MD5(SEQ4()::VARCHAR) || MD5((SEQ4() + 1)::VARCHAR) AS WORD "
        f"FROM TABLE(GENERATOR(ROWCOUNT => {rows}))"
    )


class Watcher:
    """The stand-in's own history."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def statements(self) -> list[dict[str, Any]]:
        """The latest statements, but for those of the watcher itself, oldest first."""
        found = self._cursor.execute(
            "SELECT QUERY_ID, QUERY_TEXT, QUERY_TAG, EXECUTION_STATUS, ERROR_CODE "
            "FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(RESULT_LIMIT => 10000)) "
            "WHERE QUERY_TAG <> ''"
        ).fetchall()
        names = ("id", "text", "tag", "status", "error")
        return [dict(zip(names, row, strict=True)) for row in found]

    def of_run(self, run: str) -> dict[str, Any] | None:
        """The statement that was tagged with that run, once there is one."""
        tagged = (one for one in self.statements() if json.loads(one["tag"]).get("run") == run)
        return next(tagged, None)

    def status(self, run: str) -> str | None:
        found = self.of_run(run)
        return found and found["status"]


def form_for(standin: StandIn) -> dict[str, Any]:
    """Credentials as a team would enter them."""
    return {
        "account": "SANDBOX",
        "user": "ETL",
        "password": PASSWORD,
        "warehouse": "COMPUTE_WH",
        "database": "DATAVAULT",
        "schema": "PUBLIC",
        "host": "127.0.0.1",
        "port": standin.port,
        "protocol": "http",
    }


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Run a server of one's own, with an empty database DATAVAULT."""

    @contextmanager
    def launched() -> Iterator[StandIn]:
        home = tmp_path_factory.mktemp("snowflake")
        standin = StandIn(home, new_key(), None, dict(SETTINGS), (LENDER,))
        standin.start()
        try:
            with standin.connect(database=None, schema=None) as connection:
                connection.cursor().execute("CREATE DATABASE DATAVAULT")
            yield standin
        finally:
            standin.end()

    return launched


@pytest.fixture(scope="session")
def standin(launch: Launch) -> Iterator[StandIn]:
    """The server that most tests share."""
    with launch() as running:
        yield running
        assert "query.broken" not in running.log(), running.log()


@pytest.fixture(scope="session")
def key_pem(standin: StandIn) -> str:
    """The private half of the key that the stand-in's user has."""
    return standin.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="session")
def keeper(standin: StandIn) -> Iterator[Any]:
    """A cursor of the vendor's own client, of somebody who may write."""
    with standin.connect() as connection:
        yield connection.cursor()


@pytest.fixture(scope="session")
def watcher(keeper: Any) -> Watcher:
    return Watcher(keeper)


@pytest.fixture
def schema(keeper: Any) -> Iterator[str]:
    """An empty schema of the test's own."""
    name = f"T_{uuid.uuid4().hex[:12].upper()}"
    keeper.execute(f"CREATE SCHEMA DATAVAULT.{name}")
    yield name
    keeper.execute(f"DROP SCHEMA DATAVAULT.{name}")


@pytest.fixture
def open_at() -> Iterator[Open]:
    """Make connectors for a stand-in, with changes to the form; None leaves a field out."""
    made: list[Connector] = []

    def make(standin: StandIn, **changes: Any) -> Connector:
        form = {
            name: value
            for name, value in (form_for(standin) | changes).items()
            if value is not None
        }
        context = JobContext(service="svc", team="acme", run="session")
        made.append(connect("snowflake", form, network=LOCAL, context=context))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def open_one(standin: StandIn, open_at: Open) -> Open:
    """Make connectors for the shared stand-in."""
    return lambda **changes: open_at(standin, **changes)


@pytest.fixture
def warehouse(open_one: Open) -> Connector:
    return open_one()


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """The test leaves no thread and no open file or connection, a few seconds after its end."""
    threads, files = set(threading.enumerate()), _open_files()
    yield
    wait_for(lambda: set(threading.enumerate()) <= threads, 15)
    wait_for(lambda: len(_open_files()) <= len(files), 15)


def _open_files() -> list[str]:
    # What an error's traceback held, in a circle, is not open because of us.
    gc.collect()
    return os.listdir("/proc/self/fd")
