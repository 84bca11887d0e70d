"""`manage.py query`: rows on a screen, JSON lines, and the plan without a run."""

import json
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.api.conftest import Save
from warehouse.models import Team, WarehouseConnection


@pytest.fixture
def orders(vault: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.catalogs.AGAIN_S", 0.0)
    vault.execute(
        "CREATE TABLE orders (id bigint, price numeric(10, 2), note text);"
        "INSERT INTO orders VALUES (1, 1.50, E'[red]x\\x1b[31m'), (20, NULL, 'b')"
    )
    vault.execute("ANALYZE orders")


def query(*args: str) -> str:
    out = StringIO()
    call_command("query", *args, stdout=out)
    return out.getvalue()


HOGQL = ("--dialect", "hogql")


def test_rows_are_shown_aligned_and_as_they_are(orders: None, shop: WarehouseConnection) -> None:
    shown = query("shop", "SELECT * FROM orders ORDER BY id", *HOGQL)
    lines = [line.rstrip() for line in shown.splitlines() if line.strip(" ─")]
    assert lines == [
        "  id   price   note",
        "   1    1.50   [red]x\\x1b[31m",
        "  20    NULL   b",
        "2 rows",
    ]


def test_json_lines_hold_decimals_as_text(orders: None, shop: WarehouseConnection) -> None:
    lines = query(
        "shop", "SELECT id, price FROM orders WHERE id IN {ids} ORDER BY id", *HOGQL,
        "--values", '{"ids": [1, 20]}', "--json",
    ).splitlines()  # fmt: skip
    assert [json.loads(line) for line in lines] == [
        {"id": 1, "price": "1.50"},
        {"id": 20, "price": None},
    ]


def test_bytes_are_hexadecimal_in_a_table_and_base64_in_json(shop: WarehouseConnection) -> None:
    sql = "SELECT '\\x00ff'::bytea AS b"
    assert r" \x00ff " in query("shop", sql)
    assert json.loads(query("shop", sql, "--json")) == {"b": "AP8="}


def test_a_plan_is_what_would_be_sent_and_its_price(
    orders: None, shop: WarehouseConnection
) -> None:
    shown = query("shop", "SELECT count() FROM orders", *HOGQL, "--plan")
    assert 'SELECT COUNT(*) AS "count" FROM' in shown
    assert "bytes scanned: " in shown
    assert "cost: unknown   basis: unknown" in shown
    plan = json.loads(query("shop", "SELECT id FROM orders", *HOGQL, "--plan", "--json"))
    assert (plan["rows"], plan["cost_low"]) == (2, None)
    assert plan["sql"].startswith('SELECT "orders"."id"')


def test_native_sql_runs_as_it_is(orders: None, shop: WarehouseConnection) -> None:
    assert "2 rows" in query("shop", "SELECT id::text FROM orders")
    assert "1 row, cut off by a limit" in query("shop", "SELECT id FROM orders", "--max-rows", "1")


def test_columns_of_one_name_are_all_shown(orders: None, shop: WarehouseConnection) -> None:
    shown = query("shop", "SELECT 1 AS a, 2 AS a")
    assert "1   2" in shown


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT idd FROM orders", "hogql_unknown_name: There is no column idd here. Line 1, col"),
        ("DROP TABLE orders", "hogql_syntax"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    orders: None, shop: WarehouseConnection, sql: str, says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        query("shop", sql, *HOGQL)


def test_a_refusal_is_told_in_sentences(shop: WarehouseConnection) -> None:
    with pytest.raises(CommandError) as caught:
        query("shop", "DROP TABLE orders")
    assert str(caught.value) == (
        "sql_refused: Only a query may be run here. Send a single SELECT (or WITH … SELECT)."
    )


def test_a_name_that_two_teams_use_needs_the_team(
    shop: WarehouseConnection, save: Save, team: Team, other_team: Team
) -> None:
    save(name="shop", of=other_team)
    with pytest.raises(CommandError, match="Two teams"):
        query("shop", "SELECT 1 AS one")
    assert "1 row" in query("shop", "SELECT 1 AS one", "--team", str(team.pk))
    with pytest.raises(CommandError, match=r"no connection nowhere\. There are: shop\."):
        query("nowhere", "SELECT 1")
