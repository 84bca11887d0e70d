"""The connector against a running stand-in, and the server's own view of what it does."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import Connector, JobContext, NetworkPolicy, connect
from tests.redshift_standin import Face, running

RunFace = Callable[..., AbstractContextManager[Face]]

LOCAL = NetworkPolicy.allowing(["127.0.0.1"])

# Sends rows for hours unless somebody ends it.
ENDLESS = "SELECT generate_series(1, 10000000000) AS i, 'a row of it' AS name"
SLEEP = "SELECT pg_sleep(60)"

Open = Callable[..., Connector]


class Watcher:
    """What the server itself says about the sessions of one run."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def sessions(self, run: str, state: str = "%") -> list[str]:
        """The last statement of each session whose application name has the run."""
        rows = self._connection.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name LIKE '%%' || %s "
            "AND state LIKE %s",
            [run, state],
        )
        return [query for (query,) in rows]

    def is_busy(self, run: str) -> bool:
        return bool(self.sessions(run, "active"))


@pytest.fixture(scope="session")
def endpoint(endpoints: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = endpoints["redshift"]
    return found


@pytest.fixture
def run_face(tmp_path: Path, endpoint: dict[str, Any]) -> RunFace:
    return partial(running, tmp_path, endpoint)


@pytest.fixture(scope="session")
def by_password(endpoint: dict[str, Any]) -> dict[str, Any]:
    """The reader's credentials, as a team would enter them."""
    return {name: endpoint[name] for name in ("host", "port", "database", "user", "password")}


@pytest.fixture(scope="session")
def by_cluster(endpoint: dict[str, Any]) -> dict[str, Any]:
    """A provisioned cluster's, through IAM."""
    iam = endpoint["iam"]
    return _by_key(endpoint) | {
        "cluster_identifier": iam["cluster_identifier"],
        "user": iam["db_user"],
    }


@pytest.fixture(scope="session")
def by_workgroup(endpoint: dict[str, Any]) -> dict[str, Any]:
    """A serverless workgroup's, through IAM."""
    return _by_key(endpoint) | {"workgroup": endpoint["iam"]["workgroup"]}


def _by_key(endpoint: dict[str, Any]) -> dict[str, Any]:
    iam = endpoint["iam"]
    keys = {name: iam[name] for name in ("region", "access_key_id", "secret_access_key")}
    place = {name: endpoint[name] for name in ("host", "port", "database")}
    return place | keys | {"iam_endpoint": iam["endpoint"]}


@pytest.fixture
def open_one(by_password: dict[str, Any]) -> Iterator[Open]:
    """Make connectors; they are closed at the end."""
    made: list[Connector] = []

    def make(
        credentials: dict[str, Any] | None = None,
        *,
        run: str = "",
        network: NetworkPolicy = LOCAL,
        own_identity: frozenset[str] = frozenset(),
        **changes: Any,
    ) -> Connector:
        given = (credentials or by_password) | changes
        context = JobContext(team="acme", run=run)
        made.append(
            connect("redshift", given, network=network, context=context, own_identity=own_identity)
        )
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def warehouse(open_one: Open) -> Connector:
    return open_one()


@pytest.fixture
def watcher(endpoints: dict[str, Any]) -> Iterator[Watcher]:
    found = Watcher(endpoints["postgres"]["superuser_dsn"])
    yield found
    found.close()


@pytest.fixture
def owner(endpoint: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """The database's owner; everything it makes in the schema `scratch` is dropped at the end."""
    with psycopg.connect(endpoint["owner_dsn"], autocommit=True) as connection:
        connection.execute("CREATE SCHEMA scratch")
        yield connection
        connection.execute("DROP SCHEMA scratch CASCADE")
