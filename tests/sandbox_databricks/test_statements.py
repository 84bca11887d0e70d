"""Statements: parameters, names, settings and errors."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from databricks.sql.exc import DatabaseError, ServerOperationError

from sandbox.databricks.statements import in_spark_names

from .conftest import Connect, rows

VALUES = (
    7,
    -(2**40),
    1.5,
    True,
    None,
    "it's a \\ 'quote' :a ? ${a} $b",
    Decimal("-1.25"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)


def test_parameters_are_bound_by_name_and_by_position(cursor: Any) -> None:
    named = {f"v{at}": value for at, value in enumerate(VALUES)}
    columns = ", ".join(f":{name} AS {name}, '?' AS t{name}, :{name} AS u{name}" for name in named)
    (found,) = rows(cursor, f"SELECT {columns}", named)
    assert found == tuple(part for value in VALUES for part in (value, "?", value))
    columns = ", ".join(f"? AS {name}, ':{name}' AS t{name}" for name in named)
    (found,) = rows(cursor, f"SELECT {columns}", list(VALUES))
    assert found == tuple(part for name in named for part in (named[name], f":{name}"))


def test_a_list_is_bound_as_an_array(cursor: Any) -> None:
    found = rows(
        cursor, "SELECT id FROM range(9) WHERE array_contains(:v, id) ORDER BY 1", {"v": [7, 3]}
    )
    assert found == [(3,), (7,)]


def test_a_missing_parameter_is_an_error(cursor: Any) -> None:
    with pytest.raises(ServerOperationError, match=r"^\[UNBOUND_SQL_PARAMETER\]"):
        cursor.execute("SELECT :a", {"b": 1})


def test_three_part_names_find_the_tables(cursor: Any, endpoint: dict[str, Any]) -> None:
    name = f"{endpoint['catalog']}.sales.orders"
    assert rows(cursor, f"SELECT count(*) FROM {name}") == [(2000,)]
    assert rows(cursor, f"SELECT max({name}.order_id) FROM {name}") == [(2000,)]
    assert rows(cursor, f"SHOW TABLES IN {endpoint['catalog']}.sales")


@pytest.mark.parametrize(
    ("ours", "sparks"),
    [
        ("SELECT * FROM box.s.t", "SELECT * FROM spark_catalog.s.t"),
        ("SELECT * FROM `Box`.s.t AS x", "SELECT * FROM spark_catalog.s.t AS x"),
        ("SELECT 'box.s.t' AS a, box.c FROM s.t AS box", None),
        ("SELECT a.box.s.t FROM a", None),
        ("SELECT '", None),
        ("CREATE TABLE box.t (a INT)", "CREATE TABLE spark_catalog.t (a INT)"),
        ("SHOW TABLES IN box.s", "SHOW TABLES IN spark_catalog.s"),
        ("USE CATALOG box", "SET CATALOG `spark_catalog`"),
        ("USE CATALOG other", "SET CATALOG `other`"),
    ],
)
def test_only_the_catalogs_name_is_replaced(ours: str, sparks: str | None) -> None:
    assert in_spark_names(ours, "box") == (sparks or ours)


@pytest.mark.parametrize(
    ("statement", "condition", "state"),
    [
        ("SELEC 1", "PARSE_SYNTAX_ERROR", "42601"),
        ("SELECT * FROM nope", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("SELECT nope FROM orders", "UNRESOLVED_COLUMN", "42703"),
        ("SELECT nope(1)", "UNRESOLVED_ROUTINE", "42883"),
        ("SELECT 1 / 0", "DIVIDE_BY_ZERO", "22012"),
        ("SELECT id / (id - 5) FROM range(9)", "DIVIDE_BY_ZERO", "22012"),
        ("SELECT CAST('x' AS INT)", "CAST_INVALID_INPUT", "22018"),
        ("CREATE SCHEMA sales", "SCHEMA_ALREADY_EXISTS", "42P06"),
    ],
)
def test_an_error_is_a_condition_with_its_sqlstate(
    cursor: Any, statement: str, condition: str, state: str
) -> None:
    with pytest.raises(ServerOperationError) as caught:
        cursor.execute(statement)
    message = caught.value.message
    assert message.startswith(f"[{condition}")
    assert f"SQLSTATE: {state}" in message
    assert "spark_catalog" not in message
    assert "\tat org.apache" not in message


def test_settings_of_a_session_are_its_own(connect: Connect, cursor: Any) -> None:
    with connect(session_configuration={"ANSI_MODE": "false"}).cursor() as lax:
        assert rows(lax, "SELECT CAST('x' AS INT)") == [(None,)]
    with pytest.raises(ServerOperationError, match="CAST_INVALID_INPUT"):
        cursor.execute("SELECT CAST('x' AS INT)")


@pytest.mark.parametrize("option", ["catalog", "schema"])
def test_a_session_wants_a_catalog_and_schema_that_exist(connect: Connect, option: str) -> None:
    with pytest.raises(DatabaseError, match=r"not found|cannot be found"):
        connect(**{option: "nowhere"})


def test_tables_can_be_made_and_changed(cursor: Any, schema: str) -> None:
    cursor.execute(f"CREATE TABLE {schema}.t (a INT, b DECIMAL(10, 2))")
    cursor.execute(f"INSERT INTO {schema}.t VALUES (1, 2.50), (2, NULL)")
    found = rows(cursor, f"SELECT * FROM {schema}.t ORDER BY a")
    assert found == [(1, Decimal("2.50")), (2, None)]
