"""What tests of the service share: the sandbox's endpoints, a team, and people around it.

alice is the team's admin, bob its analyst, vera its viewer; charlie is an admin of another team.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken
from rest_framework.test import APIClient

from connectors.network import NetworkPolicy
from tests import vendors
from tests.store.running import Engine
from warehouse import conf
from warehouse.models import Membership, Team
from warehouse.watch import watch

LONGEST = (
    "end_to_end/test_main_job.py",
    "etl/test_faults.py",
    "destinations/test_load.py",
    "destinations/test_faults.py",
    "connectors_snowflake/load/test_load_faults.py",
    "etl/test_chunks.py",
    "etl/test_steering.py",
)
"""Files that take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process has to be waited for at the end."""
    items.sort(key=lambda item: not str(item.path).endswith(LONGEST))


def pytest_runtest_teardown() -> None:
    """No query outlives its test, whether that has read its answer or not."""
    watch.close()


@pytest.fixture(scope="session")
def endpoints() -> dict[str, Any]:
    """Where the stand-ins listen, with their throw-away secrets."""
    found: dict[str, Any] = json.loads(
        (Path(os.environ["SANDBOX_HOME"]) / "endpoints.json").read_text()
    )
    return found


@pytest.fixture(scope="session")
def credentials(endpoints: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Working credentials by provider, as a team would enter them."""
    return vendors.sandbox_forms(endpoints)


@pytest.fixture(scope="session")
def network() -> NetworkPolicy:
    """The policy of an operator who allows the stand-ins."""
    return NetworkPolicy.allowing(conf.allowed_private_hosts())


@pytest.fixture
def vault(endpoints: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """The source database as its owner; every table made through it is dropped at the end."""
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as connection:
        yield connection
        tables = connection.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (name,) in tables:
            connection.execute(f"DROP TABLE {name} CASCADE")


@pytest.fixture(scope="session")
def empty_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The store's engine, for tests that make their own tables in it."""
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def own_store(empty_engine: Engine, settings: Any) -> Engine:
    """This process's store is that engine."""
    empty_engine.use(settings)
    return empty_engine


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Four people a test need not take a second: no test is about the hash of a password."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Acme")


@pytest.fixture
def other_team(db: None) -> Team:
    return Team.objects.create(name="Globex")


@pytest.fixture
def people(team: Team, other_team: Team) -> SimpleNamespace:
    """alice, bob, vera and charlie, with their roles."""

    def member(name: str, of: Team, role: str) -> User:
        user = User.objects.create_user(name, password="not-a-real-password")
        Membership.all_teams.create(team=of, user=user, role=role)
        return user

    return SimpleNamespace(
        alice=member("alice", team, "admin"),
        bob=member("bob", team, "analyst"),
        vera=member("vera", team, "viewer"),
        charlie=member("charlie", other_team, "admin"),
    )


@pytest.fixture
def client_of(people: SimpleNamespace) -> Callable[[str], APIClient]:
    """A REST client that signs in with a token of the person named."""

    def make(name: str) -> APIClient:
        _, token = AuthToken.objects.create(getattr(people, name))
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    return make


@pytest.fixture
def alice(client_of: Callable[[str], APIClient]) -> APIClient:
    return client_of("alice")


@pytest.fixture
def connections_url(team: Team) -> str:
    return f"/api/environments/{team.pk}/warehouse_connections/"
