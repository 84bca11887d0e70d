"""Connections of the team, saved without going through the API."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

Save = Callable[..., WarehouseConnection]
Ask = Callable[..., Any]


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
