"""The apps inside a project that is not ours, with its own tenants, rules and sign-in."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import requests
from django.conf import settings

from sandbox.services.base import LOOPBACK, free_port
from tests.service.running import CHECKOUT, Environment, Running, await_answer, python
from tests.warehouse.conftest import new_key

DATABASE = f"host_project_{os.getpid()}"
PEOPLE = """
from django.contrib.auth.models import User
from tests.host.shop.models import Company

acme, globex = Company.objects.create(slug="acme"), Company.objects.create(slug="globex")
olga, stan, gus = (User.objects.create_user(n, password=n) for n in ("olga", "stan", "gus"))
acme.owners.add(olga)
acme.staff.add(stan)
globex.owners.add(gus)
"""


@pytest.fixture(scope="module")
def env(endpoints: dict[str, Any]) -> Iterator[Environment]:
    """The host's environment, with an empty database."""
    dsn = endpoints["postgres"]["superuser_dsn"]
    at = psycopg.conninfo.conninfo_to_dict(dsn)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {DATABASE}")
        yield {
            "PATH": os.defpath,
            "PYTHONPATH": str(CHECKOUT),
            "DJANGO_SETTINGS_MODULE": "tests.host.settings",
            "PGHOST": str(at["host"]),
            "PGPORT": str(at["port"]),
            "PGUSER": str(at["user"]),
            "PGPASSWORD": str(at.get("password", "")),
            "PGDATABASE": DATABASE,
            "WAREHOUSE_KEYS": new_key("host"),
            "PRIVATE_HOSTS": " ".join(settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS),
        }
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def django(env: Environment, *arguments: str) -> str:
    """A command that has to succeed; what it printed."""
    done = python("-m", "django", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def migrated(env: Environment) -> Environment:
    django(env, "migrate", "--verbosity", "0")
    django(env, "shell", "--verbosity", "0", "--command", PEOPLE)
    return env


@pytest.fixture(scope="module")
def address(migrated: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the host's web answers."""
    found = f"http://{LOOPBACK}:{free_port()}"
    bind = found.removeprefix("http://")
    home = tmp_path_factory.mktemp("host")
    web = Running(home, "gunicorn", "tests.host.wsgi", "-b", bind, "--threads", "2", env=migrated)
    try:
        await_answer(f"{found}/data/schema/", web)
        yield found
    finally:
        web.stop()


class Person:
    """Somebody who signs in the host's way."""

    def __init__(self, address: str, name: str | None) -> None:
        self._root, self._auth = f"{address}/data/environments", (name, name) if name else None

    def __call__(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(
            method, f"{self._root}/{path}", json=body, auth=self._auth, timeout=30
        )


@pytest.fixture
def olga(address: str) -> Person:
    return Person(address, "olga")


@pytest.fixture
def shop(olga: Person, endpoints: dict[str, Any], request: pytest.FixtureRequest) -> str:
    """Path of a connection that olga has made."""
    body = {
        "name": request.node.name,
        "provider": "postgres",
        "credentials": endpoints["postgres"]["reader"],
    }
    answer = olga("POST", "acme/warehouse_connections/", body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["created_by"] == "olga"
    return f"acme/warehouse_connections/{answer.json()['id']}/"


def code(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_models_and_migrations_agree_with_the_hosts_tenants(migrated: Environment) -> None:
    assert "no issues" in django(migrated, "check", "--database", "default")
    assert "No changes" in django(migrated, "makemigrations", "--check", "--dry-run")


def test_hosts_tenants_take_the_place_of_ours(
    migrated: Environment, endpoints: dict[str, Any]
) -> None:
    dsn = endpoints["postgres"]["superuser_dsn"]
    with psycopg.connect(dsn, dbname=DATABASE) as database:
        rows = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {name for (name,) in rows}
    assert {"shop_company", "warehouse_warehouseconnection", "etl_pipeline"} <= tables
    assert "warehouse_team" not in tables


def test_hosts_policy_decides(address: str, olga: Person, shop: str) -> None:
    stan, gus, nobody = Person(address, "stan"), Person(address, "gus"), Person(address, None)
    assert olga("GET", shop).status_code == 200
    assert stan("GET", shop).status_code == 200
    assert code(stan("DELETE", shop)) == (403, "forbidden")
    assert code(gus("GET", shop)) == (404, "not_found")
    assert code(gus("GET", shop.replace("acme", "globex"))) == (404, "not_found")
    assert code(nobody("GET", shop)) == (401, "not_authenticated")
    assert gus("GET", "globex/warehouse_connections/").json()["results"] == []
    for nobodys in ("1", "%00"):
        assert code(olga("GET", f"{nobodys}/warehouse_connections/")) == (404, "not_found")


def test_connection_works_within_the_default_limits(olga: Person, shop: str) -> None:
    assert olga("POST", f"{shop}test/").json()["ok"]
    found = olga("POST", f"{shop}query/", {"sql": "SELECT generate_series(1, 20000)"}).json()
    assert (found["row_count"], found["truncated"]) == (10_000, True)


def test_what_the_api_promises_does_not_hang_on_the_hosts_settings(olga: Person, shop: str) -> None:
    listed = "acme/warehouse_connections/"
    assert code(olga("GET", f"{listed}?mode=sideways")) == (400, "invalid_input")
    assert olga("GET", f"{listed}?page_size=1").json().keys() == {"next", "previous", "results"}
    assert code(olga("POST", listed, ["x"])) == (400, "invalid_input")
    assert code(olga("POST", f"{shop}query/", {"sql": "x" * 3_000_000}))[0] == 413
    assert code(olga("PUT", shop, {})) == (405, "method_not_allowed")


def test_private_addresses_are_refused_by_default(
    migrated: Environment, endpoints: dict[str, Any]
) -> None:
    script = (
        "from warehouse import connections, conf; from connectors.network import Endpoint;"
        "print(conf.query_timeout_s(), conf.query_max_rows());"
        "connections.network_policy().resolve(Endpoint('127.0.0.1', 5432))"
    )
    strict = migrated | {"PRIVATE_HOSTS": ""}
    done = python("-m", "django", "shell", "-v", "0", "-c", script, env=strict)
    assert done.stdout.strip() == "60 10000"
    assert "HostRefused" in done.stderr


def test_host_without_a_key_does_not_start(env: Environment) -> None:
    done = python("-m", "django", "check", env=env | {"WAREHOUSE_KEYS": ""})
    assert done.returncode != 0
    assert "WAREHOUSE_KEYS holds no key." in done.stderr
