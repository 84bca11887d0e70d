"""Tables and estimates."""

import logging
from decimal import Decimal
from typing import Any

import pytest

from connectors import Connector, prices
from connectors.databricks_plan import bytes_scanned
from connectors.errors import DataError, InvalidParameters, ObjectNotFound
from connectors.types import Basis


def test_a_table_is_described_column_by_column(shared: Connector, owner: Any, schema: str) -> None:
    owner.execute(
        f"CREATE TABLE {schema}.a_b (x DECIMAL(10, 2), Y TIMESTAMP_NTZ, z MAP<STRING, INT>)"
    )
    owner.execute(f"CREATE VIEW {schema}.v AS SELECT 1 AS one")
    table, view = shared.fetch_tables(schema)
    assert (table.catalog, table.schema, table.name, table.kind) == (
        "sandbox", schema, "a_b", "table",
    )  # fmt: skip
    assert [(one.name, one.native_type, one.nullable, one.position) for one in table.columns] == [
        ("x", "DECIMAL(10,2)", True, 1),
        ("Y", "TIMESTAMP_NTZ", True, 2),
        ("z", "MAP<STRING, INT>", True, 3),
    ]
    assert (table.row_count, table.size_bytes, table.primary_key) == (None, None, ())
    assert (view.name, view.kind, view.columns[0].nullable) == ("v", "view", False)


@pytest.mark.parametrize("name", ["sal__", "%", "SALES", "", "sales\\", "no`; DROP TABLE x"])
def test_a_schemas_name_is_no_pattern(shared: Connector, name: str) -> None:
    assert shared.fetch_tables(name) == []


def test_all_schemas_are_listed(shared: Connector) -> None:
    listed = {(table.schema, table.name) for table in shared.fetch_tables()}
    assert {("sales", "orders"), ("sales", "customers")} <= listed


def test_the_calls_do_not_grow_with_the_tables(
    shared: Connector, owner: Any, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")

    def calls() -> int:
        caplog.clear()
        shared.fetch_tables(schema)
        return sum("POST" in record.getMessage() for record in caplog.records)

    none = calls()
    for number in range(6):
        owner.execute(f"CREATE TABLE {schema}.t{number} (x INT)")
    assert len(shared.fetch_tables(schema)) == 6
    assert calls() == none > 0


def test_an_estimate_has_bytes_and_a_range_of_money(shared: Connector) -> None:
    one = shared.estimate("SELECT * FROM orders")
    assert one.bytes_scanned is not None
    assert 10_000 < one.bytes_scanned < 100_000
    assert (one.basis, one.currency) == (Basis.ROUGH, "USD")
    assert one.cost_low is not None
    assert one.cost_high is not None
    assert 0 <= one.cost_low < one.cost_high
    both = shared.estimate("SELECT * FROM orders AS a JOIN orders AS b USING (order_id)")
    assert both.bytes_scanned == 2 * one.bytes_scanned
    inside = shared.estimate(
        "SELECT * FROM orders WHERE order_id = (SELECT max(order_id) FROM orders)"
    )
    assert inside.bytes_scanned == 2 * one.bytes_scanned


@pytest.mark.parametrize("sql", ["SELECT 1 AS one", "SELECT id FROM range(1000)"])
def test_what_reads_no_table_scans_nothing(shared: Connector, sql: str) -> None:
    assert shared.estimate(sql).bytes_scanned == 0


def test_an_estimate_reports_errors(shared: Connector) -> None:
    with pytest.raises(ObjectNotFound):
        shared.estimate("SELECT * FROM nowhere")
    with pytest.raises(InvalidParameters):
        shared.estimate("SELECT :a AS a")
    with pytest.raises(DataError):
        shared.estimate("SELECT 1 / 0 AS a")


def test_a_text_that_imitates_a_plan_lowers_nothing(shared: Connector) -> None:
    honest = shared.estimate("SELECT * FROM orders").bytes_scanned
    for lie in (
        "\n== Physical Plan ==\n",
        "\n   +- LocalRelation <empty>, Statistics(sizeInBytes=0.0 B)\n\n== Physical Plan ==\n",
        "Statistics(sizeInBytes=0.0 B)",
    ):
        sql = f"SELECT * FROM orders WHERE CONCAT('{lie}', customer_id) <> '{lie}'"
        found = shared.estimate(sql).bytes_scanned
        assert found is None or (honest is not None and found >= honest)


PLAN = """\
== Optimized Logical Plan ==
Project [a#1], Statistics(sizeInBytes={project})
+- Join Inner, (a#1 = b#2), Statistics(sizeInBytes=1.0 EiB)
   :- Filter isnotnull(a#1), Statistics(sizeInBytes=3.0 KiB)
   :  +- Relation main.s.t[a#1] parquet, Statistics(sizeInBytes={left})
   +- {right}

== Physical Plan ==
AdaptiveSparkPlan isFinalPlan=false
"""


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("1.0 KiB", "LocalRelation <empty>, [b#2], Statistics(sizeInBytes=9.0 B)", 1024),
        ("1.5 MiB", "Relation x[b#2] delta, Statistics(sizeInBytes=12.0 B, rowCount=3)", 1572876),
        ("8.0 EiB", "OneRowRelation, Statistics(sizeInBytes=1.0 B)", None),
        ("1.0 B", "LogicalRDD [b#2], false, Statistics(sizeInBytes=8.0 EiB)", None),
        ("1.0 B", "SomethingNew [b#2]", None),
        ("2.0 TiB", "Range (0, 10, step=1), Statistics(sizeInBytes=80.0 B)", 2 * 2**40),
    ],
)
def test_a_plan_is_the_sum_of_what_it_reads(left: str, right: str, total: int | None) -> None:
    plan = PLAN.format(project="1.0 KiB", left=left, right=right)
    assert bytes_scanned(plan) == total


def test_a_text_that_is_no_plan_is_unknown() -> None:
    assert bytes_scanned("") is None
    assert bytes_scanned("Error occurred during query planning") is None


def test_a_price_is_seconds_of_a_small_warehouse() -> None:
    hour = prices.DATABRICKS_BYTES_PER_S * 3600
    price = prices.databricks(hour)
    assert (price.low, price.high) == (Decimal("0.88"), Decimal("2.80"))
    nothing = prices.databricks(0)
    assert (nothing.low, nothing.high) == (0, Decimal("0.000778"))
