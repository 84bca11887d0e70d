"""`estimate_cost/`, `query/` and `schema/`: one read-only query, its price first."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Sessions
from tests.api.shapes import problem, result
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]
Ask = Callable[..., Any]

EVERY_KIND = """
SELECT 1.50::numeric(10, 2) AS price, 0.1::numeric AS free, 'NaN'::float8 AS nan,
       '-Infinity'::float8 AS low, 9007199254740993::bigint AS big, 7::int AS small,
       '\\x00ff'::bytea AS raw, '2026-01-02 03:04:05+02'::timestamptz AS at,
       '2026-01-02 03:04:05'::timestamp AS local, '2026-01-02'::date AS day, true AS yes,
       NULL::int AS nothing, '{"a": 12345678901234567890}'::jsonb AS doc, '{1,2}'::int[] AS many,
       'naïve'::text AS word
"""


def test_values_of_every_kind_arrive_exactly(ask: Ask) -> None:
    found = result(ask(EVERY_KIND))
    names = [column["name"] for column in found["columns"]]
    row = dict(zip(names, found["rows"][0], strict=True))
    assert row == {
        "price": "1.50",
        "free": "0.1",
        "nan": "NaN",
        "low": "-Infinity",
        "big": "9007199254740993",
        "small": 7,
        "raw": "AP8=",
        "at": "2026-01-02T01:04:05Z",
        "local": "2026-01-02T03:04:05",
        "day": "2026-01-02",
        "yes": True,
        "nothing": None,
        "doc": '{"a": 12345678901234567890}',
        "many": "{1,2}",
        "word": "naïve",
    }
    assert found["columns"][0] == {"name": "price", "type": "decimal128(10, 2)"}
    assert (found["row_count"], found["truncated"], found["error"]) == (1, False, None)
    assert found["stats"]["bytes_billed"] is None


ON_EACH = {
    "postgres": ("SELECT 1::int AS one, %s::text AS word", "SELECT 1 +"),
    "snowflake": ("SELECT 1 AS one, CAST(? AS VARCHAR) AS word", "SELECT 1 +"),
    "bigquery": ("SELECT 1 AS one, ? AS word", "SELECT 1 +"),
}


@pytest.mark.parametrize("provider", ON_EACH)
def test_every_provider_answers_queries_and_prices(
    alice: APIClient, save: Save, connections_url: str, provider: str
) -> None:
    url = f"{connections_url}{save(provider).pk}"
    sql, broken = ON_EACH[provider]
    found = result(alice.post(f"{url}/query/", {"sql": sql, "params": ["x"]}))
    assert found["rows"] == [[1, "x"]]
    assert [column["name"].lower() for column in found["columns"]] == ["one", "word"]
    assert found["error"] is None
    price = alice.post(f"{url}/estimate_cost/", {"sql": "SELECT 1 AS one"}).json()
    assert set(price) == {"bytes_scanned", "rows", "cost", "explanation"}
    assert set(price["cost"]) == {"low", "high", "currency", "basis"}
    problem(alice.post(f"{url}/query/", {"sql": broken}), 400, "sql_refused")
    assert alice.post(f"{url}/test/").json()["ok"]
    assert isinstance(alice.get(f"{url}/schema/").json()["tables"], list)


def test_bigquery_keeps_nested_values_and_has_an_exact_price(
    alice: APIClient, save: Save, connections_url: str
) -> None:
    url = f"{connections_url}{save('bigquery').pk}"
    sql = (
        "SELECT [1, 9007199254740993] AS many, STRUCT('x' AS a, [1.5] AS b) AS inner_one, "
        "b'\\xff' AS raw, NUMERIC '1.5' AS price, TIMESTAMP '2026-01-02 03:04:05+02' AS at"
    )
    row = result(alice.post(f"{url}/query/", {"sql": sql}))["rows"][0]
    assert row[:3] == [[1, "9007199254740993"], {"a": "x", "b": [1.5]}, "/w=="]
    assert (Decimal(row[3]), row[4]) == (Decimal("1.5"), "2026-01-02T01:04:05Z")
    price = alice.post(f"{url}/estimate_cost/", {"sql": "SELECT 1 AS one"}).json()
    assert (price["bytes_scanned"], price["cost"]["basis"]) == (0, "exact")
    assert Decimal(price["cost"]["high"]) == 0


def test_postgres_has_bytes_and_no_price(
    alice: APIClient, shop_url: str, vault: psycopg.Connection[Any]
) -> None:
    vault.execute("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 1000) AS g")
    vault.execute("ANALYZE orders")
    price = alice.post(f"{shop_url}estimate_cost/", {"sql": "SELECT * FROM orders"}).json()
    assert (price["rows"], price["bytes_scanned"]) == (1000, 4000)
    assert (price["cost"]["low"], price["cost"]["high"]) == (None, None)
    assert price["cost"]["basis"] == "unknown"
    assert price["explanation"]


def test_tables_are_listed_with_columns_and_keys(
    alice: APIClient, shop_url: str, vault: psycopg.Connection[Any]
) -> None:
    vault.execute("CREATE TABLE orders (id int, line int, note text, PRIMARY KEY (line, id))")
    tables = alice.get(f"{shop_url}schema/?schema=public").json()["tables"]
    orders = next(table for table in tables if table["name"] == "orders")
    assert orders["primary_key"] == ["line", "id"]
    assert orders["columns"][2] == {
        "name": "note",
        "native_type": "text",
        "arrow_type": "string",
        "nullable": True,
        "position": 3,
        "comment": None,
    }
    assert orders["row_count"] is None  # never analyzed: unknown, not empty
    assert alice.get(f"{shop_url}schema/?schema=elsewhere").json() == {"tables": [], "next": None}


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT %s::int, %s::text", [1, "x"]),
        ("SELECT %(n)s::int, %(w)s::text", {"n": 1, "w": "x"}),
        ("SELECT 1, 'x' WHERE 'x%%' = %s", ["x%"]),
        ("SELECT 10 % 9, 'x'", None),
    ],
)
def test_placeholders_are_bound(ask: Ask, sql: str, params: Any) -> None:
    more = {} if params is None else {"params": params}
    assert result(ask(sql, **more))["rows"] == [[1, "x"]]


@pytest.mark.parametrize(
    ("service", "connection", "caller", "rows"),
    [
        (100, {}, None, 100),
        (100, {"max_rows": 10}, None, 10),
        (100, {"max_rows": 10}, 3, 3),
        (100, {"max_rows": 10}, 50, 10),
        (100, {"max_rows": 500}, 500, 100),
    ],
)
def test_tightest_row_limit_counts_and_is_said(
    alice: APIClient,
    shop_url: str,
    ask: Ask,
    settings: Any,
    service: int,
    connection: dict[str, int],
    caller: int | None,
    rows: int,
) -> None:
    settings.QUERY_MAX_ROWS = service
    alice.patch(shop_url, {"config": connection})
    more = {} if caller is None else {"max_rows": caller}
    found = result(ask("SELECT * FROM generate_series(1, 1000)", **more))
    assert found["rows"] == [[n] for n in range(1, rows + 1)]
    assert (found["row_count"], found["truncated"]) == (rows, True)


def test_result_of_exactly_the_limit_is_not_truncated(ask: Ask) -> None:
    found = result(ask("SELECT * FROM generate_series(1, 5)", max_rows=5))
    assert (found["row_count"], found["truncated"]) == (5, False)


def test_result_without_rows_has_its_columns(ask: Ask) -> None:
    found = result(ask("SELECT 1 AS one WHERE false"))
    assert [column["name"] for column in found["columns"]] == ["one"]
    assert (found["rows"], found["row_count"], found["error"]) == ([], 0, None)


def test_queries_share_one_session(ask: Ask, sessions: Sessions) -> None:
    result(ask("SELECT 1"))
    ask("SELECT 1 / 0")
    result(ask("SELECT * FROM generate_series(1, 100)", max_rows=1))
    assert len(sessions.pids()) == 1
    assert sessions.pids() == sessions.pids("idle")
