"""A team's store with events, and its views over them."""

import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from etl import saved_views, views
from tests.api.conftest import _no_session_outlives_its_test, save  # noqa: F401
from tests.destinations.ends import BigQuery, Snowflake
from warehouse import query_executor
from warehouse.events import writing
from warehouse.events.items import Event
from warehouse.models import (
    RefreshStatus,
    RefreshTrigger,
    Team,
    View,
    ViewRefresh,
    WarehouseConnection,
)

Rows = Callable[[str], list[tuple[Any, ...]]]
MakeView = Callable[..., View]
Save = Callable[..., WarehouseConnection]
Vault = psycopg.Connection[Any]
BY_KIND = "SELECT kind, count() AS n, sum(amount) AS amount FROM shop.public.orders GROUP BY kind"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Events:
    """Writes a team's events; one whose number was used before takes that one's place."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._random = random.Random(6)

    def add(self, *numbers: int, days: int = 20) -> None:
        """Of random days and people."""
        events = [
            Event(
                str(uuid.UUID(int=number)),
                self._random.choice(("open", "click")),
                FIRST_DAY + timedelta(hours=self._random.randrange(24 * days)),
                f"user {self._random.randrange(9)}",
                json.dumps({"amount": self._random.randrange(100)}),
                {},
            )
            for number in numbers
        ]
        writing.write_events(self._team.pk, events, timezone.now())


@pytest.fixture
def events(team: Team, own_store: Any) -> Events:
    """100 of them, in 20 days."""
    made = Events(team)
    made.add(*range(1, 101))
    return made


@pytest.fixture
def rows(team: Team) -> Rows:
    """The rows of a query that the team runs, as tuples."""

    def run(text: str) -> list[tuple[Any, ...]]:
        with query_executor.run_hogql(team, text) as one:
            one.start()
            return [tuple(row.values()) for batch in one for row in batch.to_pylist()]

    return run


@pytest.fixture
def make_view(team: Team) -> MakeView:
    """Saves a view; ``given`` are its other fields."""

    def make(name: str, query: str, **given: Any) -> View:
        return saved_views.create(View(team=team, name=name, query=query, **given))

    return make


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/views/"


@pytest.fixture
def owner(endpoints: dict[str, Any]) -> dict[str, str]:
    """Of a connection whose role may write."""
    parts = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["datavault_dsn"])
    return {"user": str(parts["user"]), "password": str(parts["password"])}


@pytest.fixture
def shop(
    own_store: Any,
    vault: Vault,
    save: Save,  # noqa: F811 the fixture itself
    owner: dict[str, str],
) -> WarehouseConnection:
    """Three orders, of two kinds."""
    vault.execute("CREATE TABLE orders (kind text, amount numeric(9, 2))")
    vault.execute("INSERT INTO orders VALUES ('a', 1.50), ('a', 2.25), ('it''s', 9)")
    return save(name="shop", **owner)


@pytest.fixture
def kept(shop: WarehouseConnection, make_view: MakeView) -> View:
    """A view that is kept in the shop's warehouse, before its first refresh."""
    return make_view("by_kind", BY_KIND, is_materialized=True, target=shop, target_schema="public")


def refreshed(view: View) -> ViewRefresh:
    """A refresh of the view that has succeeded."""
    ended = views.execute(views.request(view, RefreshTrigger.API).pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RefreshStatus.SUCCEEDED, "")
    view.refresh_from_db()
    return ended


def signed_in(place: Snowflake | BigQuery) -> dict[str, Any]:
    """As somebody who may write there."""
    names = {"service_account_json", "user", "password"}
    return {name: value for name, value in place.form().items() if name in names}
