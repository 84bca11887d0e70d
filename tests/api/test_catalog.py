"""What a query may name: tables with their columns and freshness, and functions."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from rest_framework.test import APIClient

from etl import sync
from etl.sync import Wish
from tests.api.conftest import Save
from tests.api.shapes import problem, result
from warehouse import connections, modes, synced
from warehouse.models import ConnectionMode, Team, WarehouseConnection

pytestmark = pytest.mark.django_db

AS_OF = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come and go from test to test within seconds."""
    monkeypatch.setattr("warehouse.catalogs.AGAIN_S", 0.0)


@pytest.fixture
def orders(vault: psycopg.Connection[Any]) -> None:
    vault.execute("CREATE TABLE orders (id bigint NOT NULL, price numeric(10, 2))")
    vault.execute("COMMENT ON COLUMN orders.price IS 'In euros.'")
    vault.execute('CREATE TABLE "select" (id bigint)')


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/catalog/"


def names(client: APIClient, url: str, **wanted: Any) -> list[str]:
    return [table["name"] for table in client.get(url, wanted).json()["tables"]]


def test_table_is_shown_with_its_columns_and_where_it_is(
    orders: None, shop: WarehouseConnection, alice: APIClient, url: str
) -> None:
    (table,) = alice.get(url, {"search": "Orders"}).json()["tables"]
    assert table == {
        "name": "shop.public.orders",
        "short_name": "orders",
        "connection": "shop",
        "provider": "postgres",
        "mode": "direct",
        "as_of": None,
        "description": None,
        "columns": [
            {"name": "id", "type": "int", "nullable": False, "description": None},
            {"name": "price", "type": "decimal", "nullable": True, "description": "In euros."},
        ],
    }


def test_events_and_tables_in_sync_are_the_stores(
    orders: None, shop: WarehouseConnection, alice: APIClient, url: str
) -> None:
    columns = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    sync.put(shop, None, Wish("public", "orders"))
    sync.put(shop, None, Wish("public", "select"))
    synced.publish(shop, "public", "orders", columns, 3, AS_OF)
    found = {table["name"]: table for table in alice.get(url).json()["tables"]}
    assert (found["events"]["mode"], found["events"]["connection"]) == ("store", None)
    stored = found["shop.public.orders"]
    assert (stored["mode"], stored["as_of"]) == ("sync", "2026-01-02T00:00:00Z")
    not_loaded = found['shop.public."select"']
    assert (not_loaded["mode"], not_loaded["as_of"]) == ("sync", None)
    assert [column["nullable"] for column in stored["columns"]] == [False]


def test_table_with_a_mode_of_its_own_says_so(
    orders: None, shop: WarehouseConnection, alice: APIClient, url: str
) -> None:
    modes.put(shop, ("public", "select"), ConnectionMode.HYBRID)
    found = {table["name"]: table["mode"] for table in alice.get(url).json()["tables"]}
    assert (found["shop.public.orders"], found['shop.public."select"']) == ("direct", "hybrid")


def test_pages_follow_one_another(
    orders: None, shop: WarehouseConnection, alice: APIClient, url: str
) -> None:
    every = names(alice, url)
    assert every == sorted(every)
    assert {"events", "persons", "shop.public.orders", 'shop.public."select"'} <= set(every)
    found, after = list[str](), ""
    while after is not None:
        page = alice.get(url, {"limit": 2, "after": after}).json()
        found += [table["name"] for table in page["tables"]]
        after = page["next"]
    assert found == every
    problem(alice.get(url, {"limit": 0}), 400, "invalid_input")


def test_every_name_is_one_that_a_query_takes(
    orders: None, save: Save, alice: APIClient, url: str, team: Team
) -> None:
    save(name='my "own" \\ shop')
    for table in alice.get(url, {"search": "public"}).json()["tables"]:
        for name in (table["name"], table["short_name"]):
            query = {"query": f"SELECT count() AS n FROM {name}"}
            answer = alice.post(f"/api/environments/{team.pk}/queries/", query)
            assert result(answer)["rows"] == [[0]], name


def test_default_connection_is_meant_where_a_name_is_ambiguous(
    orders: None, save: Save, alice: APIClient, url: str, team: Team, connections_url: str
) -> None:
    first, second = save(name="east"), save(name="west")
    query = {"query": "SELECT count() AS n FROM orders"}
    queries = f"/api/environments/{team.pk}/queries/"
    problem(alice.post(f"{queries}plan/", query), 400, "hogql_ambiguous_name")
    for chosen in (first, second):
        changed = alice.patch(f"{connections_url}{chosen.pk}/", {"is_default": True})
        assert changed.json()["is_default"]
        plan = alice.post(f"{queries}plan/", query).json()
        assert [leg["connection"] for leg in plan["legs"]] == [chosen.name]
    shown = {one["name"]: one["short_name"] for one in alice.get(url).json()["tables"]}
    assert (shown["east.public.orders"], shown["west.public.orders"]) == (
        None,
        "orders",
    )
    defaults = WarehouseConnection.objects.for_team(team).filter(is_default=True)
    assert [one.name for one in defaults] == ["west"]


def test_connection_that_does_not_answer_hides_no_other(
    orders: None, shop: WarehouseConnection, save: Save, alice: APIClient, url: str
) -> None:
    save(name="broken", password="wrong")
    connections.update(save(name="paused"), {"is_active": False})
    found = alice.get(url).json()
    assert found["unread"] == [{"connection": "broken", "code": "credentials_rejected"}]
    assert "shop.public.orders" in [table["name"] for table in found["tables"]]
    assert not [table for table in found["tables"] if table["connection"] == "paused"]


def test_another_teams_names_do_not_exist(
    orders: None, shop: WarehouseConnection, client_of: Callable[[str], APIClient],
    other_team: Team, url: str,
) -> None:  # fmt: skip
    stranger = client_of("charlie")
    problem(stranger.get(url), 404, "not_found")
    assert names(stranger, f"/api/environments/{other_team.pk}/catalog/") == [
        "events", "person_distinct_ids", "persons",
    ]  # fmt: skip


def test_functions_say_where_they_have_an_equal(alice: APIClient, url: str) -> None:
    found = alice.get(f"{url}functions/").json()
    by_name = {one["name"]: one for one in found["functions"]}
    assert (by_name["length"]["returns"], by_name["argMax"]["returns"]) == ("int", "same")
    assert by_name["plus"]["written"] == "a + b"
    assert by_name["count"]["kind"] == "aggregate"
    assert "clickhouse" in by_name["toStartOfMonth"]["dialects"]
    assert found["aliases"]["power"] == "pow"
