"""Queries: types, parameters, limits, and what the warehouse is told of them."""

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import DataError, InvalidParameters
from tests.databricks_standin import StandIn

from .conftest import Open


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("true", pa.bool_(), True),
        ("CAST(-1 AS TINYINT)", pa.int8(), -1),
        ("CAST(-1 AS SMALLINT)", pa.int16(), -1),
        ("-1", pa.int32(), -1),
        ("9223372036854775807", pa.int64(), 2**63 - 1),
        ("CAST(0.5 AS FLOAT)", pa.float32(), 0.5),
        ("CAST('Infinity' AS DOUBLE)", pa.float64(), float("inf")),
        ("CAST(REPEAT('9', 38) AS DECIMAL(38, 0))", pa.decimal128(38), Decimal("9" * 38)),
        ("CAST(-0.01 AS DECIMAL(38, 38))", pa.decimal128(38, 38), Decimal("-0.01")),
        ("'a'", pa.string(), "a"),
        ("X'00FF'", pa.binary(), b"\x00\xff"),
        ("DATE '0001-01-01'", pa.date32(), date.min),
        ("DATE '9999-12-31'", pa.date32(), date.max),
        ("TIMESTAMP '2026-01-01 00:00:00.000001+01:00'", pa.timestamp("us", "UTC"), datetime(2025, 12, 31, 23, 0, 0, 1, tzinfo=UTC)),  # noqa: E501
        ("TIMESTAMP_NTZ '2026-01-01 00:00:00'", pa.timestamp("us"), datetime(2026, 1, 1)),  # noqa: DTZ001 - it has no zone
        ("ARRAY(1, NULL)", pa.string(), "[1,null]"),
        ("MAP('a', 1)", pa.string(), '{"a":1}'),
        ("NAMED_STRUCT('x', 1)", pa.string(), '{"x":1}'),
        ("PARSE_JSON('[1]')", pa.string(), "[1]"),
        ("INTERVAL '1' YEAR", pa.string(), "1-0"),
        ("NULL", pa.string(), None),
    ],
)  # fmt: skip
def test_a_type_arrives_as_the_table_says(
    shared: Connector, expression: str, kind: pa.DataType, value: object
) -> None:
    for sql in (f"SELECT {expression} AS v", f"SELECT {expression} AS v WHERE 1 = 2"):
        found = shared.query(sql).read_all()
        assert found.schema == pa.schema([("v", kind)])
        assert found.column(0).to_pylist() == ([] if "WHERE" in sql else [value])


def test_rows_stream_in_batches_of_one_schema(shared: Connector) -> None:
    sql = "SELECT id, CONCAT('row ', id) AS name FROM range(0, 250000, 1, 1)"
    with shared.query(sql) as result:
        batches = list(result)
    assert len(batches) > 2
    assert {batch.schema for batch in batches} == {result.schema}
    ids = pa.concat_arrays([batch.column(0) for batch in batches])
    assert ids.to_pylist() == list(range(250_000))


def test_columns_may_share_a_name(shared: Connector) -> None:
    found = shared.query("SELECT 1 AS a, 'x' AS a").read_all()
    assert [column.to_pylist() for column in found.columns] == [[1], ["x"]]


@pytest.mark.parametrize("rows", [0, 7])
def test_the_warehouse_itself_cuts_the_rows(shared: Connector, standin: StandIn, rows: int) -> None:
    with shared.query("SELECT id FROM range(100000)", limits=Limits(max_rows=rows)) as result:
        assert sum(batch.num_rows for batch in result) == rows
    assert (result.rows, result.truncated) == (rows, True)
    query_id = result.stats.vendor_query_id
    assert query_id is not None
    assert standin.entry(query_id)["rows_produced"] == rows + 1


@pytest.mark.parametrize(
    "value",
    [7, -(2**40), 1.5, True, None, "x'y \\ :n ?", Decimal("1.25"), date(2026, 1, 2)],
    ids=repr,
)
def test_a_value_is_bound_by_name_and_by_position(shared: Connector, value: object) -> None:
    by_name = shared.query("SELECT :v AS v, ':v ?' AS t", {"v": value}).read_all()
    by_position = shared.query("SELECT ? AS v, ':v ?' AS t", [value]).read_all()
    assert by_name.to_pylist() == by_position.to_pylist() == [{"v": value, "t": ":v ?"}]


def test_a_list_is_bound_as_an_array(shared: Connector) -> None:
    sql = "SELECT id FROM range(9) WHERE array_contains(:wanted, id) ORDER BY id"
    assert shared.query(sql, {"wanted": [7, 3]}).read_all().column(0).to_pylist() == [3, 7]


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT :a AS a", {"b": 1}),
        ("SELECT ? AS a, ? AS b", [1]),
        ("SELECT :a AS a", ()),
        ("SELECT :a AS a", {"a": b"bytes"}),
        ("SELECT :a AS a", {"a": object()}),
        ("SELECT '%(a)s' AS t, :a AS a", {"a": 1}),
    ],
)
def test_values_that_do_not_fit_are_refused(shared: Connector, sql: str, params: Any) -> None:
    with pytest.raises(InvalidParameters):
        shared.query(sql, params).read_all()


def test_a_literal_that_looks_like_a_placeholder_stays_as_it_is(shared: Connector) -> None:
    found = shared.query("SELECT '%(a)s' AS t, ? AS a", [1]).read_all()
    assert found.to_pylist() == [{"t": "%(a)s", "a": 1}]


def test_the_session_is_strict_and_in_utc(shared: Connector) -> None:
    found = shared.query("SELECT current_timezone() AS z, current_schema() AS s").read_all()
    assert found.to_pylist() == [{"z": "UTC", "s": "sales"}]
    with pytest.raises(DataError):
        shared.query("SELECT CAST('x' AS INT) AS i").read_all()


def test_a_statement_carries_tags_and_the_result_its_id(open_one: Open, standin: StandIn) -> None:
    result = open_one().query("SELECT 1 AS one", run_id="run-7")
    assert result.read_all().num_rows == 1
    assert result.stats.vendor_query_id
    entry = standin.entry(result.stats.vendor_query_id)
    assert {tag["key"]: tag["value"] for tag in entry["query_tags"]} == {
        "service": "warehouse",
        "team": "acme",
        "run": "run-7",
    }


def test_the_servers_limit_is_set_once_for_each_change(open_one: Open, standin: StandIn) -> None:
    connector = open_one()
    before = len(standin.history())
    for timeout_s in (300, 300, 7.5, 8, 300):
        limits = Limits(timeout_s=timeout_s)
        assert connector.query("SELECT 1 AS one", limits=limits).read_all().num_rows == 1
    new = standin.history()[: len(standin.history()) - before]
    settings = [entry["query_text"] for entry in reversed(new) if "SET" in entry["query_text"]]
    assert settings == ["SET STATEMENT_TIMEOUT = 8", "SET STATEMENT_TIMEOUT = 300"]


def test_sessions_in_several_threads_do_not_mix(open_one: Open) -> None:
    found: dict[int, list[Any]] = {}

    def read(number: int) -> None:
        connector = open_one()
        found[number] = [
            connector.query(f"SELECT {number} AS n, {attempt} AS a").read_all().to_pylist()[0]
            for attempt in range(3)
        ]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {
        number: [{"n": number, "a": attempt} for attempt in range(3)] for number in range(4)
    }
