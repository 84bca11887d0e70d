"""Joins that a team declares: over the API, and in its queries."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Save
from tests.api.shapes import problem, result
from tests.store.running import Engine
from warehouse import catalogs
from warehouse.models import TableJoin, Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

LINES = [(1, 10, "NL", 5), (2, 10, "NL", 7), (3, 11, "DE", 1), (4, 99, "NL", 2)]
ORDERS = [(10, "NL", "ann"), (10, "DE", "bea"), (11, "DE", "bea")]
TO_ORDER = {
    "table": "Shop.public.LINES",
    "field": "order",
    "joined_table": "crm.public.orders",
    "keys": [
        {"column": "order_id", "joined_column": "id"},
        {"column": "COUNTRY", "joined_column": "country"},
    ],
}
TO_CUSTOMER = {
    "table": "crm.public.orders",
    "field": "customer",
    "joined_table": "crm.public.customers",
    "keys": [{"column": "bought_by", "joined_column": "name"}],
}
Rows = Callable[..., list[list[Any]]]


@pytest.fixture(autouse=True)
def _own_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come and go from test to test within seconds."""
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)


@pytest.fixture
def shops(vault: psycopg.Connection[Any], save: Save) -> None:
    """Two connections, to the same database."""
    vault.execute("CREATE TABLE lines (id bigint, order_id bigint, country text, price int)")
    vault.execute("CREATE TABLE orders (id int, country text, bought_by text)")
    vault.execute("CREATE TABLE customers (name text, city text, boss text)")
    vault.execute("INSERT INTO customers VALUES ('ann', 'Ghent', 'bea'), ('bea', 'Bonn', NULL)")
    with vault.cursor() as cursor:
        cursor.executemany("INSERT INTO lines VALUES (%s, %s, %s, %s)", LINES)
        cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s)", ORDERS)
    save(name="shop")
    save(name="crm")


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/table_joins/"


@pytest.fixture
def rows(alice: APIClient, team: Team) -> Rows:
    address = f"/api/environments/{team.pk}/queries/"
    return lambda query: result(alice.post(address, {"query": query}, "json"))["rows"]


def test_chain_of_joins_is_followed_across_connections(
    shops: None, store: Engine, alice: APIClient, url: str, rows: Rows
) -> None:
    made = alice.post(url, TO_ORDER, "json")
    assert made.status_code == 201, made.json()
    assert made.json()["table"] == "shop.public.lines"
    assert made.json()["keys"][1] == {"column": "country", "joined_column": "country"}
    assert alice.post(url, TO_CUSTOMER, "json").status_code == 201
    found = rows(
        "SELECT lines.id, lines.order.customer.city AS city FROM shop.public.lines ORDER BY id"
    )
    assert found == [[1, "Ghent"], [2, "Ghent"], [3, "Bonn"], [4, None]]
    paid = rows(
        "SELECT order.customer.name AS who, sum(price) AS paid FROM shop.public.lines "
        "WHERE order.customer.name IS NOT NULL GROUP BY who ORDER BY who"
    )
    assert paid == [["ann", 12], ["bea", 1]]


def test_names_are_taken_as_the_catalog_writes_them(
    shops: None, alice: APIClient, url: str, team: Team, rows: Rows
) -> None:
    connection = WarehouseConnection.objects.for_team(team).get(name="crm")
    connection.name = 'crm "of all" 1'
    connection.save()
    listed = alice.get(f"/api/environments/{team.pk}/catalog/", {"search": "crm"}).json()["tables"]
    named = {one["name"].rpartition(".")[2]: one["name"] for one in listed}
    assert named["orders"] == r'"crm \"of all\" 1".public.orders'
    asked = TO_CUSTOMER | {"table": named["orders"], "joined_table": named["customers"]}
    made = alice.post(url, asked, "json")
    assert made.status_code == 201, made.json()
    assert made.json()["table"] == 'crm "of all" 1.public.orders'
    again = alice.patch(f"{url}{made.json()['id']}/", {"field": "buyer"}, "json")
    assert again.status_code == 200, again.json()
    assert rows(f"SELECT DISTINCT buyer.city AS c FROM {named['orders']} ORDER BY c") == [
        ["Bonn"],
        ["Ghent"],
    ]


def test_table_that_leads_to_itself_and_one_connection_is_enough(
    shops: None, alice: APIClient, url: str, rows: Rows
) -> None:
    boss = {
        "table": "crm.public.customers",
        "field": "superior",
        "joined_table": "crm.public.customers",
        "keys": [{"column": "boss", "joined_column": "name"}],
    }
    assert alice.post(url, boss, "json").status_code == 201
    found = rows(
        "SELECT name, superior.city AS a, superior.superior.city AS b "
        "FROM crm.public.customers ORDER BY name"
    )
    assert found == [["ann", "Bonn", None], ["bea", None, None]]


def test_row_with_several_matches_is_there_for_each(
    shops: None, alice: APIClient, url: str, rows: Rows
) -> None:
    """A join by a part of the other table's key."""
    by_id = TO_ORDER | {"joined_table": "shop.public.orders", "keys": TO_ORDER["keys"][:1]}
    assert alice.post(url, by_id, "json").status_code == 201
    found = rows(
        "SELECT id, order.bought_by AS c FROM shop.public.lines WHERE id < 3 ORDER BY id, c"
    )
    assert found == [[1, "ann"], [1, "bea"], [2, "ann"], [2, "bea"]]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"table": "shop.public.nothing"}, "table"),
        ({"joined_table": "nowhere.public.orders"}, "joined_table"),
        ({"joined_table": "orders"}, "joined_table"),
        ({"field": "PRICE"}, "field"),
        ({"field": "a.b"}, "field"),
        ({"keys": []}, "keys"),
        ({"keys": [{"column": "nothing", "joined_column": "id"}]}, "keys.0"),
        ({"keys": [{"column": "order_id", "joined_column": "country"}]}, "keys.0"),
        ({"keys": [{"column": "order_id"}]}, "keys.0.joined_column"),
    ],
)
def test_join_that_leads_nowhere_is_refused(
    shops: None, alice: APIClient, url: str, changed: dict[str, Any], field: str
) -> None:
    body = problem(alice.post(url, TO_ORDER | changed, "json"), 400, "invalid_input")
    assert list(body["fields"]) == [field]


def test_name_is_of_one_join_and_follows_a_change(
    shops: None, alice: APIClient, url: str, rows: Rows
) -> None:
    within = TO_ORDER | {"joined_table": "shop.public.orders"}
    made = alice.post(url, within, "json").json()
    problem(alice.post(url, within, "json"), 409, "name_taken")
    changed = alice.patch(f"{url}{made['id']}/", {"field": "bought"}, "json")
    assert changed.json()["field"] == "bought"
    problem(alice.patch(f"{url}{made['id']}/", {"field": "price"}, "json"), 400, "invalid_input")
    query = "SELECT id FROM shop.public.lines WHERE bought.bought_by = 'bea'"
    assert rows(query) == [[3]]
    assert alice.delete(f"{url}{made['id']}/").status_code == 204
    address = url.replace("table_joins", "queries")
    problem(alice.post(address, {"query": query}, "json"), 400, "hogql_unknown_name")


def test_joins_of_another_team_do_not_exist(
    shops: None, other_team: Team, rows: Rows, alice: APIClient, url: str
) -> None:
    theirs = TableJoin(
        team=other_team,
        table="shop.public.lines",
        field="order",
        joined_table="shop.public.orders",
        keys=[["order_id", "id"]],
    )
    theirs.save()
    address = url.replace("table_joins", "queries")
    query = {"query": "SELECT order.bought_by FROM shop.public.lines"}
    problem(alice.post(address, query, "json"), 400, "hogql_unknown_name")
    assert alice.get(f"{url}{theirs.pk}/").status_code == 404
