"""An engine that `manage.py engine` keeps, for all tests of this folder."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.shapes import result
from tests.store.running import Engine
from warehouse.models import Team

Ask = Callable[..., Any]
Rows = Callable[..., list[list[Any]]]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def store(engine: Engine, settings: Any) -> Engine:
    """This process's store is that engine."""
    engine.use(settings)
    return engine


@pytest.fixture
def ask(store: Engine, alice: APIClient, team: Team) -> Ask:
    """Runs a query of the team and returns the answer as it came."""

    def post(query: str, **more: Any) -> Any:
        return alice.post(f"/api/environments/{team.pk}/queries/", {"query": query, **more}, "json")

    return post


@pytest.fixture
def rows(ask: Ask) -> Rows:
    """The rows of a query that the team runs."""
    return lambda query, **more: result(ask(query, **more))["rows"]
