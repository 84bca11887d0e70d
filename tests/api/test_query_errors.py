"""Queries that cannot be run, or not to their end: a code, our words, and nothing left behind."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.shapes import problem, result
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]
Ask = Callable[..., Any]


@pytest.mark.parametrize(
    ("sql", "params"),
    [("SELECT %s", []), ("SELECT %s", [1, 2]), ("SELECT %(a)s", {"b": 1}), ("SELECT 1", [1])],
)
def test_values_that_do_not_fit_the_placeholders_are_refused(
    ask: Ask, sql: str, params: Any
) -> None:
    if params:
        problem(ask(sql, params=params), 400, "invalid_parameters")
    else:
        assert ask(sql, params=params).status_code == 400


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sql": ""}, "sql"),
        ({"sql": None}, "sql"),
        ({"sql": ["SELECT 1"]}, "sql"),
        ({"sql": "SELECT '\x00'"}, "sql"),
        ({"sql": "SELECT '" + "x" * 100_000 + "'"}, "sql"),
        ({"params": "x"}, "params"),
        ({"params": None}, "params"),
        ({"max_rows": 0}, "max_rows"),
        ({"max_rows": "many"}, "max_rows"),
        ({"max_rows": 1.5}, "max_rows"),
        ({"limit": 5}, "limit"),
    ],
    ids=str,
)
def test_field_of_a_query_at_fault_is_named(ask: Ask, changed: dict[str, Any], field: str) -> None:
    found = problem(ask(**{"sql": "SELECT 1", **changed}), 400, "invalid_input")
    assert set(found["fields"]) == {field}


def test_ten_megabytes_of_sql_are_refused(ask: Ask) -> None:
    problem(ask("SELECT '" + "x" * 10_000_000 + "'"), 413, "request_too_large")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", "multiple_statements"),
        ("SELECT 1; DROP TABLE orders", "multiple_statements"),
        ("DELETE FROM orders", "not_a_query"),
        ("INSERT INTO orders VALUES (1)", "not_a_query"),
        ("WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone", "writes"),
        ("SELECT * INTO copy FROM orders", "select_into"),
        ("SELECT * FROM orders FOR UPDATE", "locks_rows"),
        ("SELECT pg_read_file('/etc/passwd')", "function"),
        ("SELEC 1", "unparseable"),
        ("-- nothing", "empty"),
    ],
)
def test_anything_but_one_query_is_refused_with_the_reason(
    alice: APIClient, shop_url: str, ask: Ask, sql: str, reason: str
) -> None:
    for answer in (ask(sql), alice.post(f"{shop_url}estimate_cost/", {"sql": sql})):
        found = problem(answer, 400, "sql_refused")
        assert found["fields"]["sql"] in (reason, "not_a_query")


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT 1 / 0", 400, "data_error"),
        ("SELECT 'x'::int", 400, "data_error"),
        ("SELECT sum('x'::text)", 400, "object_not_found"),
        ("SELECT * FROM hidden", 400, "permission_denied"),
    ],
)
def test_error_of_the_warehouse_is_told_in_our_words(
    ask: Ask, vault: psycopg.Connection[Any], sql: str, status: int, code: str
) -> None:
    vault.execute("CREATE TABLE hidden (id int)")
    vault.execute("REVOKE ALL ON hidden FROM etl_reader")
    answer = ask(sql)
    problem(answer, status, code)
    said = answer.content.decode()
    assert not any(word in said for word in ("LINE 1", "psycopg", "hidden"))


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT * FROM No_Such_Table", "No_Such_Table"),
        ("SELECT * FROM no_such_schema.orders", "no_such_schema.orders"),
        ("SELECT no_such_column FROM pg_class", "no_such_column"),
        ("SELECT c.no_such_column FROM pg_class c", "c.no_such_column"),
    ],
)
def test_name_that_is_not_there_is_told_as_the_query_has_it(ask: Ask, sql: str, name: str) -> None:
    found = problem(ask(sql), 400, "object_not_found")
    assert (found["title"], found["fields"]) == (
        f"There is no {name}, or this role may not see it.",
        {"sql": name},
    )


def test_names_that_are_like_it_are_told_once_the_tables_are_known(
    ask: Ask, alice: APIClient, shop_url: str, vault: psycopg.Connection[Any]
) -> None:
    vault.execute("CREATE TABLE invoices (id int, customer text)")
    unknown = problem(ask("SELECT * FROM invoicse"), 400, "object_not_found")
    assert "Did you mean" not in unknown["hint"]
    result(ask("SELECT id FROM invoices", dialect="hogql"))
    for sql, near in (("SELECT * FROM invoicse", "invoices"),
                      ("SELECT custmer FROM invoices", "customer")):  # fmt: skip
        for answer in (ask(sql), alice.post(f"{shop_url}estimate_cost/", {"sql": sql})):
            assert near in problem(answer, 400, "object_not_found")["hint"]


def test_placeholder_without_values_is_pointed_out(ask: Ask) -> None:
    for sql, code in (
        ("SELECT %s", "sql_invalid"),
        ("SELECT 1 WHERE 1 = %(id)s", "sql_invalid"),
        ("SELECT oid FROM pg_class WHERE oid =%s", "object_not_found"),
    ):
        assert "params" in problem(ask(sql), 400, code)["hint"]
    assert result(ask("SELECT 1 AS n WHERE 'a' LIKE '%s'"))["rows"] == []


def test_query_beyond_its_time_is_ended(alice: APIClient, shop_url: str, ask: Ask) -> None:
    alice.patch(shop_url, {"config": {"timeout_s": 1}})
    answer = ask("SELECT count(*) FROM generate_series(1, 1000000000)")
    problem(answer, 504, "query_timeout")


def test_error_in_the_middle_stands_behind_the_rows_that_came(ask: Ask, settings: Any) -> None:
    settings.QUERY_MAX_ROWS = 100_000
    found = result(ask("SELECT 1 / (25000 - g) FROM generate_series(1, 50000) AS g"))
    assert 0 < found["row_count"] == len(found["rows"]) < 25_000
    assert found["error"]["code"] == "data_error"
    assert found["error"]["status"] == 400


def test_time_limit_in_the_middle_stands_behind_the_rows_that_came(
    alice: APIClient, shop_url: str, ask: Ask, settings: Any
) -> None:
    settings.QUERY_MAX_ROWS = 1_000_000
    alice.patch(shop_url, {"config": {"timeout_s": 1}})
    slow = (
        "SELECT g FROM generate_series(1, 30000) AS g WHERE g <= 10000 OR pg_sleep(0.001) IS NULL"
    )
    found = result(ask(slow))
    assert 0 < found["row_count"] == len(found["rows"]) <= 10_000
    assert found["error"]["code"] == "query_timeout"


def test_query_of_a_connection_that_cannot_sign_in_says_so(
    alice: APIClient, save: Save, connections_url: str
) -> None:
    broken = save(name="broken", password="not-the-password")
    url = f"{connections_url}{broken.pk}"
    for answer in (
        alice.post(f"{url}/query/", {"sql": "SELECT 1"}),
        alice.post(f"{url}/estimate_cost/", {"sql": "SELECT 1"}),
        alice.get(f"{url}/schema/"),
    ):
        problem(answer, 422, "credentials_rejected")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"host": "no-such-host.invalid"}, "host_unknown"),
        ({"host": "10.255.255.1"}, "host_refused"),
        ({"port": 1}, "host_refused"),
    ],
)
def test_query_of_a_host_that_may_not_be_reached_says_so(
    alice: APIClient, save: Save, connections_url: str, changed: dict[str, Any], code: str
) -> None:
    url = f"{connections_url}{save(name='far', **changed).pk}"
    problem(alice.post(f"{url}/query/", {"sql": "SELECT 1"}), 400, code)


def test_port_where_nothing_listens_may_be_tried_again(
    alice: APIClient, save: Save, connections_url: str, settings: Any
) -> None:
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = ["127.0.0.0/8"]
    url = f"{connections_url}{save(name='shut', port=1).pk}"
    answer = alice.post(f"{url}/query/", {"sql": "SELECT 1"})
    assert problem(answer, 502, "host_unreachable")["retryable"] is True
