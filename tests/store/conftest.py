"""An engine that `manage.py engine` keeps, and two teams in it, each with tables of its own."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.store.running import Engine
from warehouse.store import client, ddl, names

OURS, THEIRS = uuid.UUID(int=7), uuid.UUID(int=8)
SECRET = "only-the-other-team-may-read-this"

_COLUMNS = {
    "events": [
        ("id", "Int64"), ("name", "String"), ("at", "DateTime64(3, 'UTC')"),
        ("tags", "Array(String)"), ("amount", "Decimal(10, 2)"), ("props", "Map(String, String)"),
        ("user_id", "Int64"),
    ],
    "users": [("id", "Int64"), ("country", "Nullable(String)")],
    "secret": [("id", "Int64"), ("value", "String")],
}  # fmt: skip
_ROWS = {
    "events": r"""
        (1, 'signup', '2026-01-01 01:00:00', ['a', 'b'], 10.5, {'k': 'v'}, 1),
        (2, 'open', '2026-01-01 02:00:00', ['a'], 20.25, {}, 2),
        (3, 'open', '2026-01-01 03:00:00', [], 0, {}, 1),
        (4, 'it\'s \\ odd', '2026-01-01 04:00:00', ['c'], -5.25, {'k': 'w'}, 3)""",
    "users": "(1, 'NL'), (2, 'DE'), (3, NULL)",
    "secret": f"(1, '{SECRET}')",
}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Engine]:
    """One for all tests of this folder, with the tables of both teams."""
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        with override_settings(CLICKHOUSE_URL="", STORE_PATH=str(running.home.path)):
            for team, tables in ((OURS, ("events", "users")), (THEIRS, ("secret",))):
                _fill(client.create_database(team), tables)
        yield running


@pytest.fixture
def store(engine: Engine, settings: Any) -> Engine:
    """This process's store is that engine."""
    engine.use(settings)
    return engine


def _fill(database: str, tables: tuple[str, ...]) -> None:
    owner = client.owner()
    for name in tables:
        owner.command(ddl.create_table(database, name, _COLUMNS[name], ["id"]))
        owner.command(f"INSERT INTO {names.quote(database)}.{name} VALUES {_ROWS[name]}")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path
