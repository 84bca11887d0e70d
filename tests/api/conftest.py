"""Connections of the team, saved without going through the API."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.waiting import until
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection
from warehouse.pool import pool

Save = Callable[..., WarehouseConnection]
Ask = Callable[..., Any]
SOON_S = 5


class Sessions:
    """The sessions that a team's Postgres connections have, as the server tells."""

    def __init__(self, admin: "psycopg.Connection[Any]", team: Team) -> None:
        self._admin = admin
        # A name in Postgres has room for the beginning of the team's id only.
        self._mark = f"%{str(team.pk)[:16]}%"

    def pids(self, state: str = "%") -> list[int]:
        sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND state LIKE %s"
        return [pid for (pid,) in self._admin.execute(sql, [self._mark, state]).fetchall()]

    def become(self, pids: Iterable[int]) -> bool:
        """Whether they are these within SOON_S."""
        return until(lambda: sorted(self.pids()) == sorted(pids))

    def end(self, pid: int) -> None:
        self._admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def once_busy(self, act: Callable[[], Any]) -> Any:
        """What ``act`` returns once the server works for the team."""
        assert until(lambda: bool(self.pids("active")))
        return act()


@pytest.fixture
def sessions(endpoints: dict[str, Any], team: Team) -> Iterator[Sessions]:
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as admin:
        yield Sessions(admin, team)


@pytest.fixture(autouse=True)
def _no_session_outlives_its_test() -> Iterator[None]:
    yield
    pool.close()


@pytest.fixture
def save(team: Team, credentials: dict[str, Any]) -> Save:
    """Saves a connection with working credentials; ``changed`` replaces some of them."""

    def make(
        provider: str = "postgres", name: str = "", of: Team | None = None, **changed: Any
    ) -> WarehouseConnection:
        values = credentials[provider] | changed
        draft = Draft.of(name=name or provider, provider=provider, credentials=values)
        return connections.create(of or team, None, draft)

    return make


@pytest.fixture
def shop(save: Save) -> WarehouseConnection:
    """A Postgres connection that works."""
    return save(name="shop")


@pytest.fixture
def shop_url(shop: WarehouseConnection, connections_url: str) -> str:
    return f"{connections_url}{shop.pk}/"


@pytest.fixture
def body(credentials: dict[str, Any]) -> dict[str, Any]:
    """What makes a new Postgres connection."""
    return {"name": "shop", "provider": "postgres", "credentials": credentials["postgres"]}


@pytest.fixture
def ask(alice: APIClient, shop_url: str) -> Ask:
    """Runs a query on Postgres and returns the answer as it came."""

    def post(sql: str, **more: Any) -> Any:
        return alice.post(f"{shop_url}query/", {"sql": sql, **more})

    return post
