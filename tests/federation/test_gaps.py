"""What a warehouse has no safe equal of, the store does."""

from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Save
from tests.api.shapes import problem, result
from tests.federation.conftest import Put
from tests.store.running import Engine
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

SQL = (
    "SELECT id, arrayMap(t -> concat(t, '!'), splitByChar(',', tags)) AS found "
    "FROM shop.public.tagged WHERE id > 1 ORDER BY id"
)
ROWS = [(1, "x"), (2, "a,b"), (3, ""), (4, None)]


@pytest.fixture
def tagged(vault: psycopg.Connection[Any], save: Save) -> str:
    """The address of a connection with a table whose texts are lists."""
    vault.execute("CREATE TABLE tagged (id bigint, tags text)")
    with vault.cursor() as cursor:
        cursor.executemany("INSERT INTO tagged VALUES (%s, %s)", ROWS)
    return str(save(name="shop").pk)


def test_store_does_what_the_only_warehouse_cannot(
    tagged: str, store: Engine, alice: APIClient, team: Team
) -> None:
    url = f"/api/environments/{team.pk}/"
    rows = result(alice.post(f"{url}queries/", {"query": SQL}, "json"))["rows"]
    assert rows == [[2, ["a!", "b!"]], [3, ["!"]], [4, []]]
    plan = alice.post(f"{url}queries/plan/", {"query": SQL}, "json").json()
    assert plan["mode"] == "federated"
    assert plan["reason"].startswith("shop cannot run it whole. ")
    assert "arrayMap" in plan["reason"]
    assert "Line 1, column " in plan["reason"]
    asked, stored = (leg["sql"] for leg in plan["legs"])
    assert '"tagged"."id" > 1' in asked
    assert "splitByChar" not in asked
    assert "splitByChar" in stored


@pytest.mark.parametrize(
    ("relation", "wanted"),
    [
        ("SELECT tags, sum(price) AS p FROM shop.public.priced GROUP BY tags", ["7.75"]),
        ("SELECT DISTINCT tags, price * 2 AS p FROM shop.public.priced", ["15.00", "0.50"]),
        (
            "SELECT tags, max(price) AS p FROM shop.public.priced GROUP BY tags "
            "UNION ALL SELECT tags, price AS p FROM shop.public.priced WHERE price < 1",
            ["7.50", "0.25"],
        ),
    ],
)
def test_decimal_that_a_leg_has_reckoned_comes_with_its_size(
    vault: psycopg.Connection[Any],
    save: Save,
    store: Engine,
    alice: APIClient,
    team: Team,
    relation: str,
    wanted: list[str],
) -> None:
    """A numeric without a precision cannot be brought together."""
    vault.execute("CREATE TABLE priced (tags text, price numeric(9, 2))")
    vault.execute("INSERT INTO priced VALUES ('a,b', 7.5), ('a,b', 0.25)")
    save(name="shop")
    url = f"/api/environments/{team.pk}/queries/"
    for text in (
        f"SELECT splitByChar(',', tags) AS t, p FROM ({relation}) AS r ORDER BY p DESC",
        f"SELECT splitByChar(',', r.tags) AS t, r.p AS p FROM shop.public.priced AS a "
        f"LEFT JOIN ({relation}) AS r ON r.tags = a.tags WHERE a.price < 1 ORDER BY p DESC",
    ):
        rows = result(alice.post(url, {"query": text}, "json"))["rows"]
        assert [row[1] for row in rows] == wanted


def test_what_one_connection_is_asked_is_refused(tagged: str, alice: APIClient, team: Team) -> None:
    url = f"/api/environments/{team.pk}/warehouse_connections/{tagged}/query/"
    sql = SQL.replace("shop.", "")
    body = problem(alice.post(url, {"sql": sql, "dialect": "hogql"}, "json"), 400, "hogql_function")
    assert body["fields"]["sql"].startswith("Line 1, column 12")


def test_what_the_store_cannot_say_either_is_refused_in_the_warehouses_name(
    tagged: str, alice: APIClient, team: Team
) -> None:
    made = "round(id * 1.5, 1) AS r, splitByChar(',', tags)[1] AS t"
    text = f"SELECT id, {made} FROM shop.public.tagged"
    answer = alice.post(f"/api/environments/{team.pk}/queries/", {"query": text}, "json")
    assert "Postgres" in problem(answer, 400, "hogql_function")["title"]


def test_bigquery_itself_looks_into_its_arrays(
    put: Put, store: Engine, alice: APIClient, team: Team
) -> None:
    table = put(
        "bigquery",
        "SELECT 1 AS id, ['a', 'b'] AS tags, [3, 4] AS counts UNION ALL SELECT 2, ['c'], []",
    )
    url = f"/api/environments/{team.pk}/queries/"
    text = (
        f"SELECT id, tags, arraySum(arrayMap(n -> n + id, counts)) AS n FROM {table} "
        "WHERE {} ORDER BY id"
    )
    asked = text.format("arrayExists(t -> upper(t) IN ('A', 'C'), tags) AND NOT has(counts, 5)")
    assert alice.post(f"{url}plan/", {"query": asked}, "json").json()["mode"] == "push_down"
    rows = result(alice.post(url, {"query": asked}, "json"))["rows"]
    assert rows == [[1, ["a", "b"], 9], [2, ["c"], None]]
    made = f"SELECT id, arrayMap(t -> nullIf(t, 'a'), tags) AS t FROM {table} ORDER BY id"
    rows = result(alice.post(url, {"query": made}, "json"))["rows"]
    assert rows == [[1, [None, "b"]], [2, ["c"]]]
