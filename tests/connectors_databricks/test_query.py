"""Queries: types, parameters, limits, and what the warehouse is told of them."""

import threading
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import DataError, InvalidParameters
from tests.databricks_standin import StandIn

from .conftest import Open


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


def test_values_are_bound_by_name_and_by_position(shared: Connector) -> None:
    values = [7, -(2**40), 1.5, True, None, "x'y \\ :n ?", Decimal("1.25"), date(2026, 1, 2)]
    named = {f"v{at}": value for at, value in enumerate(values)}
    columns = ", ".join(f":{name} AS {name}" for name in named)
    by_name = shared.query(f"SELECT {columns}, ':v0 ?' AS t", named).read_all()
    columns = ", ".join(f"? AS {name}" for name in named)
    by_position = shared.query(f"SELECT {columns}, ':v0 ?' AS t", values).read_all()
    assert by_name.to_pylist() == by_position.to_pylist() == [named | {"t": ":v0 ?"}]


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
