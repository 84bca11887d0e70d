"""`/health/alive` and `/health/ready`, through a server whose database comes and goes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.service.running import environment, python, web

DATABASE = f"health_check_{os.getpid()}"


@pytest.fixture
def admin(endpoints: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """A superuser beside an empty database of the service's role."""
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER service")
        yield connection
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@contextmanager
def taken_away(admin: psycopg.Connection[Any]) -> Iterator[None]:
    admin.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
    cut_off(admin)
    yield
    admin.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


def cut_off(admin: psycopg.Connection[Any]) -> None:
    admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
        [DATABASE],
    )


@pytest.mark.usefixtures("django_db_setup")
def test_readiness_follows_the_database_and_life_does_not(
    admin: psycopg.Connection[Any], tmp_path: Path
) -> None:
    url = environment()["DATABASE_URL"].rpartition("/")[0] + f"/{DATABASE}"
    with web(tmp_path, environment(DATABASE_URL=url)) as (address, _):

        def answer(name: str) -> tuple[int, Any]:
            found = requests.get(f"{address}/health/{name}", timeout=10)
            return found.status_code, found.json()

        assert answer("ready") == (200, {"ready": True})
        with taken_away(admin):
            assert answer("ready") == (503, {"ready": False, "missing": ["database"]})
            assert answer("alive") == (200, {"alive": True})
        assert answer("ready") == (200, {"ready": True})
        cut_off(admin)  # the connection it kept is dead, the database is there
        assert answer("ready") == (200, {"ready": True})


def test_service_starts_without_the_clients_of_the_warehouses() -> None:
    """They, and the pandas that one of them brings, cost every process memory."""
    script = (
        "import sys, service.wsgi, service.celery\n"
        "service.celery.app.loader.import_default_modules()\n"
        "from django.urls import get_resolver\n"
        "assert get_resolver().url_patterns\n"
        "heavy = {'chdb', 'clickhouse_connect', 'databricks', 'google.cloud.bigquery',\n"
        "         'pandas', 'snowflake', 'thrift'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = python("-c", script, env=environment(DJANGO_SETTINGS_MODULE="service.settings"))
    assert done.stdout.strip() == "[]", done.stderr
