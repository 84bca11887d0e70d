"""HogQL through the API: the same actions, another language."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Ask, Save
from tests.api.shapes import problem, result
from warehouse import catalogs
from warehouse.catalogs import Catalogs
from warehouse.models import Team, WarehouseConnection


@pytest.fixture(autouse=True)
def _own_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables come and go from test to test within seconds."""
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)


@pytest.fixture
def orders(vault: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    vault.execute("CREATE TABLE orders (id bigint, price numeric(10, 2), note text, day date)")
    vault.execute(
        "INSERT INTO orders VALUES (1, 1.50, 'a', '2026-01-31'), (2, 2.25, 'it''s', '2026-02-01'),"
        "(3, NULL, NULL, NULL)"
    )
    vault.execute("ANALYZE orders")
    return vault


@pytest.fixture
def hog(ask: Ask) -> Callable[..., Any]:
    return lambda sql, **more: ask(sql, dialect="hogql", **more)


def test_a_query_in_hogql_gives_typed_rows(orders: Any, hog: Callable[..., Any]) -> None:
    found = result(
        hog(
            "SELECT toStartOfMonth(day) AS month, sum(price) AS total, count() AS c FROM orders "
            "WHERE price > {least} AND note IN {notes} GROUP BY month ORDER BY month",
            values={"least": 1, "notes": ["a", "it's"]},
        )
    )
    assert found["rows"] == [["2026-01-01", "1.50", 1], ["2026-02-01", "2.25", 1]]
    assert [column["type"] for column in found["columns"]] == [
        "date32[day]",
        "decimal128(38, 2)",
        "int64",
    ]


def test_native_is_what_it_was(orders: Any, ask: Ask) -> None:
    assert result(ask("SELECT id FROM orders WHERE id = %s", params=[2]))["rows"] == [[2]]
    assert result(ask("SELECT id::text FROM orders LIMIT 1", dialect="native"))["row_count"] == 1


def test_an_estimate_shows_what_would_be_sent(orders: Any, alice: APIClient, shop_url: str) -> None:
    body = {
        "sql": "SELECT id FROM orders WHERE note = {n}",
        "dialect": "hogql",
        "values": {"n": "a"},
    }
    price = alice.post(f"{shop_url}estimate_cost/", body).json()
    assert price["sql"].endswith('WHERE "orders"."note" = CAST(%(n)s AS TEXT)')
    assert price["rows"] == 1
    assert price["bytes_scanned"] > 0


@pytest.mark.parametrize(
    ("sql", "values", "code", "where"),
    [
        ("SELECT id FRM orders", {}, "hogql_syntax", "Line 1, column 15 (offset 14)."),
        ("SELECT idd FROM orders", {}, "hogql_unknown_name", "Line 1, column 8 (offset 7)."),
        ("SELECT foo(id) FROM orders", {}, "hogql_function", "Line 1, column 8 (offset 7)."),
        ("SELECT id FROM pg_catalog.pg_authid", {}, "hogql_unknown_name", "Line 1, column 16"),
        ("SELECT id FROM numbers(3)", {}, "hogql_refused", "Line 1, column 16 (offset 15)."),
        ("SELECT note + 1 FROM orders", {}, "hogql_type", "Line 1, column 8 (offset 7)."),
        ("SELECT {a}", {"b": 1}, "hogql_values", "Line 1, column 8 (offset 7)."),
        ("SELECT " + "(" * 9_000, {}, "hogql_too_complex", "Line 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    orders: Any, hog: Callable[..., Any], sql: str, values: Any, code: str, where: str
) -> None:
    fields = problem(hog(sql, values=values), 400, code)["fields"]
    assert fields["sql"].startswith(where)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dialect": "hogql", "params": [1]}, "params"),
        ({"values": {"a": 1}}, "values"),
        ({"dialect": "klingon"}, "dialect"),
        ({"dialect": "hogql", "values": [1]}, "values"),
    ],
)
def test_fields_of_the_other_language_are_refused(
    ask: Ask, body: dict[str, Any], field: str
) -> None:
    assert field in problem(ask("SELECT 1", **body), 400, "invalid_input")["fields"]


def test_a_table_made_since_is_found(orders: Any, hog: Callable[..., Any]) -> None:
    assert result(hog("SELECT count() FROM orders"))["rows"] == [[3]]
    problem(hog("SELECT 1 FROM later"), 400, "hogql_unknown_name")
    orders.execute("CREATE TABLE later AS SELECT 1::bigint AS id")
    assert result(hog("SELECT id FROM later"))["rows"] == [[1]]


def test_the_tables_of_a_connection_are_read_once(
    orders: Any, hog: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert result(hog("SELECT count() FROM orders"))["rows"] == [[3]]
    monkeypatch.setattr(Catalogs, "_keep", lambda *_: pytest.fail("It was read again."))
    assert result(hog("SELECT max(id) FROM orders"))["rows"] == [[3]]


def test_what_was_read_is_gone_with_other_credentials(
    orders: Any, hog: Callable[..., Any], alice: APIClient, shop: WarehouseConnection,
    shop_url: str, credentials: dict[str, Any], django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    assert result(hog("SELECT count() FROM orders"))["rows"] == [[3]]
    kept = catalogs.catalogs._kept
    assert [key for key in kept if key[1] == str(shop.pk)]
    with django_capture_on_commit_callbacks(execute=True):
        answer = alice.patch(shop_url, {"credentials": credentials["postgres"]}, format="json")
    assert answer.status_code == 200
    assert not [key for key in kept if key[1] == str(shop.pk)]


def test_no_team_sees_another_teams_tables(
    orders: Any, hog: Callable[..., Any], client_of: Callable[[str], APIClient],
    shop_url: str, save: Save, other_team: Team,
) -> None:  # fmt: skip
    assert result(hog("SELECT count() FROM orders"))["rows"] == [[3]]
    stranger = client_of("charlie")
    body = {"sql": "SELECT 1 FROM orders", "dialect": "hogql"}
    problem(stranger.post(f"{shop_url}query/", body), 404, "not_found")
    theirs = save(name="theirs", of=other_team, database="postgres")
    url = f"/api/environments/{other_team.pk}/warehouse_connections/{theirs.pk}/query/"
    problem(stranger.post(url, body), 400, "hogql_unknown_name")


def test_a_limit_cuts_as_ever(orders: Any, hog: Callable[..., Any]) -> None:
    found = result(hog("SELECT id FROM orders ORDER BY id", max_rows=2))
    assert (found["rows"], found["truncated"]) == ([[1], [2]], True)
