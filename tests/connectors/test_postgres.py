"""What is Postgres' own: placeholders, types, tables, lost connections."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from connectors import Connector, JobContext, Limits, NetworkPolicy, connect
from connectors.errors import (
    ConnectionLost,
    DataError,
    InvalidParameters,
    PermissionDenied,
    SqlRefused,
)
from connectors.postgres.wire import bound
from tests.connectors.helpers import rows_of

PROVIDER = "postgres"


# Placeholders


@pytest.mark.parametrize(
    ("sql", "params", "text", "values"),
    [
        ("SELECT 5 % 3", (), "SELECT 5 % 3", []),
        ("SELECT '%s'", [], "SELECT '%s'", []),
        ("SELECT %s", [1], "SELECT $1", [1]),
        ("SELECT %s::int, %s", (1, 2), "SELECT $1::int, $2", [1, 2]),
        ("SELECT 5 %% %s", [3], "SELECT 5 % $1", [3]),
        ("SELECT %(b)s, %(a)s, %(b)s", {"a": 1, "b": 2}, "SELECT $1, $2, $1", [2, 1]),
        ("SELECT %(a)s", {"a": None, "unused": 2}, "SELECT $1", [None]),
    ],
)
def test_placeholders_become_the_servers_own(
    sql: str, params: Any, text: str, values: list[Any]
) -> None:
    assert bound(sql, params) == (text, values)


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT 1", [1]),
        ("SELECT %s, %s", [1]),
        ("SELECT %s", [1, 2]),
        ("SELECT %s", {"a": 1}),
        ("SELECT %(a)s", [1]),
        ("SELECT %(a)s", {"b": 1}),
        ("SELECT 5 % %s", [1]),
        ("SELECT 'x%' WHERE a = %s", [1]),
        ("SELECT %d", [1]),
        ("SELECT x%s", [1]),
        ("SELECT %s1", [1]),
        ("SELECT %(a b)s", {"a b": 1}),
    ],
)
def test_placeholders_and_values_that_do_not_fit_are_refused(sql: str, params: Any) -> None:
    with pytest.raises(InvalidParameters):
        bound(sql, params)


def test_name_of_a_placeholder_hides_nothing_from_the_guard(connector: Connector) -> None:
    hidden = "date ')s, pg_sleep(9) -- '"
    with pytest.raises((InvalidParameters, SqlRefused)):
        connector.query(f"SELECT 1 %({hidden})s", {hidden: 1})


def test_guard_judges_the_text_that_is_sent(connector: Connector) -> None:
    with pytest.raises(SqlRefused):
        connector.query("SELECT %s; DROP TABLE t", [1])


@pytest.mark.parametrize("value", ["'; DROP TABLE t; --", "\\", "$1", "%s", "é🙂", "", "a\nb"])
def test_value_is_a_value_whatever_it_says(connector: Connector, value: str) -> None:
    assert rows_of(connector, "SELECT %s::text AS v", [value]) == [(value,)]


def test_values_of_many_types_are_bound(connector: Connector) -> None:
    values = [7, "x", None, True, Decimal("1.50"), datetime.date(2026, 1, 2), b"\x00\xff", [1, 2]]
    casts = ["int", "text", "int", "bool", "numeric(4,2)", "date", "bytea", "int[]"]
    columns = ", ".join(f"%s::{cast} AS c{n}" for n, cast in enumerate(casts))
    assert rows_of(connector, f"SELECT {columns}", values) == [(*values[:-1], "{1,2}")]


@pytest.mark.parametrize("value", [object(), "\x00", 10**50])
def test_value_that_cannot_be_bound_is_refused(connector: Connector, value: Any) -> None:
    with pytest.raises((InvalidParameters, DataError)):
        connector.query("SELECT %s::int AS v", [value])
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


# Session


def test_session_says_whom_it_works_for(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy
) -> None:
    context = JobContext(service="svc", team="t" * 80, run="r")
    with connect("postgres", credentials["postgres"], network=loopback, context=context) as own:
        name = "SELECT current_setting('application_name') AS n"
        assert rows_of(own, name) == [(f"svc {'t' * 57} r",)]
        with own.query(name, run_id="q" * 40) as result:
            assert result.read_all().to_pylist() == [{"n": f"svc {'t' * 18} {'q' * 40}"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transaction_read_only", "on"),
        ("default_transaction_read_only", "on"),
        ("transaction_isolation", "repeatable read"),
        ("timezone", "UTC"),
        ("standard_conforming_strings", "on"),
        ("client_encoding", "UTF8"),
        ("statement_timeout", "7500ms"),
    ],
)
def test_session_is_set_up(connector: Connector, name: str, value: str) -> None:
    found = connector.query(f"SELECT current_setting('{name}') AS v", limits=Limits(timeout_s=7.5))
    assert found.read_all().to_pylist() == [{"v": value}]


def test_idle_session_that_the_server_ended_is_replaced_unseen(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy, endpoints: dict[str, Any]
) -> None:
    context = JobContext(service="idle-and-ended")
    with connect("postgres", credentials["postgres"], network=loopback, context=context) as own:
        for _ in range(2):
            assert rows_of(own, "SELECT 1 AS one") == [(1,)]
            with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE application_name = 'idle-and-ended'"
                )
        assert own.fetch_tables("no_such_schema") == []


def test_session_that_the_server_ended_is_replaced(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy, endpoints: dict[str, Any]
) -> None:
    context = JobContext(service="to-be-ended")
    with connect("postgres", credentials["postgres"], network=loopback, context=context) as own:
        batches = iter(own.query("SELECT g AS n FROM generate_series(1, 1000000) AS g"))
        next(batches)
        with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'to-be-ended'"
            )
        with pytest.raises(ConnectionLost) as caught:
            list(batches)
        assert caught.value.retryable
        assert rows_of(own, "SELECT 1 AS one") == [(1,)]


def test_engine_keeps_the_session_read_only_by_itself(
    opened: Callable[..., Connector], source: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(f"CREATE TABLE {source}.t (a int)")
    owner.execute(f"GRANT ALL ON {source}.t TO etl_reader")
    connector = opened("postgres")
    connector.query("SELECT 1 AS one").read_all()
    session = connector._connection  # type: ignore[attr-defined]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute(f"INSERT INTO {source}.t VALUES (1)")
    session.rollback()


# Tables


def test_table_that_may_not_be_read_is_denied(
    connector: Connector, source: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(f"CREATE TABLE {source}.t (a int); REVOKE ALL ON {source}.t FROM etl_reader")
    with pytest.raises(PermissionDenied):
        connector.query(f"SELECT * FROM {source}.t")


def test_bytes_of_a_count_are_unknown_and_not_zero(
    connector: Connector, source: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(f"CREATE TABLE {source}.t AS SELECT g AS a FROM generate_series(1, 1000) AS g")
    for sql in ("SELECT count(*) FROM {0}", "SELECT 1 AS one FROM {0} AS a, {0} AS b"):
        found = connector.estimate(sql.format(f"{source}.t"))
        assert (found.bytes_scanned, "does not tell bytes" in found.explanation) == (None, True)
    assert connector.estimate("SELECT 1 AS one").bytes_scanned == 0


def test_estimate_counts_every_scan_and_knows_no_price(
    connector: Connector, source: str, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(f"CREATE TABLE {source}.t AS SELECT g AS a FROM generate_series(1, 1000) AS g")
    owner.execute(f"ANALYZE {source}.t")
    one = connector.estimate(f"SELECT * FROM {source}.t")
    two = connector.estimate(f"SELECT * FROM {source}.t AS a JOIN {source}.t AS b USING (a)")
    assert (one.rows, one.bytes_scanned, one.basis) == (1000, 4000, "unknown")
    assert two.bytes_scanned == 8000
    assert (one.cost_low, one.cost_high) == (None, None)
