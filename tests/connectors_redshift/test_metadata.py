from decimal import Decimal
from typing import Any

import psycopg
import pytest

from connectors import Connector, prices, redshift_plan
from connectors.types import Basis, Column, Table

from .conftest import Open, Watcher

# As a cluster prints it; from the example in the Redshift Database Developer Guide.
CLUSTER_PLAN = """
XN Merge  (cost=1000000000000.01..1000000000000.03 rows=9 width=31)
  Merge Key: category.catname
  ->  XN Network  (cost=1000000000000.01..1000000000000.03 rows=9 width=31)
        Send to leader
        ->  XN Hash Join DS_BCAST_INNER  (cost=0.14..6600286.07 rows=8798 width=84)
              Hash Cond: ("outer".catid = "inner".catid)
              ->  XN Seq Scan on event  (cost=0.00..87.98 rows=8798 width=35)
                    Filter: (eventid > 7)
              ->  XN Hash  (cost=0.11..0.11 rows=11 width=49)
                    ->  XN Seq Scan on category  (cost=0.00..0.11 rows=11 width=49)
----- Tables missing statistics: category -----
----- Update statistics by running the ANALYZE command on these tables -----
"""
EXTERNAL_PLAN = """
XN Aggregate  (cost=20.00..20.00 rows=1 width=8)
  ->  XN S3 Query Scan clicks  (cost=0.00..17.50 rows=1000 width=4)
        ->  S3 Seq Scan spectrum.clicks location:"s3://b/c/" format:PARQUET  \
(cost=0.00..12.50 rows=1000 width=20)
"""


def test_scans_of_a_clusters_plan_are_added_up() -> None:
    plan = redshift_plan.read(CLUSTER_PLAN.strip().splitlines())
    assert plan == redshift_plan.Plan(9, 8798 * 35 + 11 * 49, guessed=True)


def test_files_of_an_external_table_count_once() -> None:
    plan = redshift_plan.read(EXTERNAL_PLAN.strip().splitlines())
    assert plan == redshift_plan.Plan(1, 1000 * 20, guessed=False)


def test_a_plan_that_cannot_be_read_is_unknown_and_not_nothing() -> None:
    assert redshift_plan.read(["a new kind of plan"]) == redshift_plan.Plan(None, None, False)


def test_a_price_of_a_host_that_does_not_tell_is_unknown(warehouse: Connector) -> None:
    found = warehouse.estimate("SELECT buyer_id, sum(price) FROM sales GROUP BY buyer_id")
    assert (found.rows, found.bytes_scanned) == (200, 20000 * 10)
    assert (found.cost_low, found.cost_high, found.basis) == (None, None, Basis.UNKNOWN)
    assert "serverless" in found.explanation


def test_a_provisioned_cluster_has_no_price_by_query(
    open_one: Open, by_cluster: dict[str, Any]
) -> None:
    found = open_one(by_cluster).estimate("SELECT * FROM sales")
    assert found.bytes_scanned
    assert (found.cost_low, found.basis) == (None, Basis.UNKNOWN)
    assert "by the hour" in found.explanation


def test_a_serverless_price_is_a_rough_range(open_one: Open, by_workgroup: dict[str, Any]) -> None:
    found = open_one(by_workgroup).estimate("SELECT * FROM sales")
    assert (found.basis, found.currency) == (Basis.ROUGH, "USD")
    assert found.cost_low is not None
    assert found.cost_high is not None
    assert found.cost_low < found.cost_high


def test_the_serverless_price_follows_its_formula() -> None:
    # 128 RPU for a minute: 128 / 60 × $0.375; an hour of one RPU: $0.375.
    assert prices.redshift_serverless(0).high == Decimal("0.800000")
    hour = prices.redshift_serverless(3600 * prices.REDSHIFT_BYTES_PER_RPU_S)
    assert hour.low == Decimal("0.375000")
    day = prices.redshift_serverless(24 * 3600 * prices.REDSHIFT_BYTES_PER_RPU_S)
    assert day.low == day.high == Decimal("9.000000")


def test_an_estimate_runs_nothing(warehouse: Connector) -> None:
    assert warehouse.estimate("SELECT pg_sleep(60)").bytes_scanned == 0


@pytest.fixture
def shop(owner: psycopg.Connection[Any]) -> None:
    owner.execute(
        "CREATE TABLE scratch.item (b int, a varchar(20) NOT NULL, c numeric(10, 3), d char(3), "
        "PRIMARY KEY (a, b));"
        "CREATE VIEW scratch.cheap AS SELECT a FROM scratch.item;"
        "CREATE TABLE scratch.empty (x bigint, y timestamptz);"
        "INSERT INTO scratch.item SELECT i, 'x', i FROM generate_series(1, 700) i"
    )
    owner.execute("ANALYZE scratch.item")


def test_tables_have_kinds_columns_keys_and_sizes(warehouse: Connector, shop: None) -> None:
    assert warehouse.fetch_tables("scratch") == [
        Table(None, "scratch", "cheap", "view", (Column("a", "character varying(20)", True, 1),)),
        Table(
            None, "scratch", "empty", "table",
            (
                Column("x", "bigint", True, 1),
                Column("y", "timestamp with time zone", True, 2),
            ),
        ),
        Table(
            None, "scratch", "item", "table",
            (
                Column("b", "integer", False, 1),
                Column("a", "character varying(20)", False, 2),
                Column("c", "numeric(10,3)", True, 3),
                Column("d", "character(3)", True, 4),
            ),
            primary_key=("a", "b"),
            row_count=700,
            size_bytes=2**20,
        ),
    ]  # fmt: skip


def test_without_a_schema_all_but_the_systems_own_are_listed(
    warehouse: Connector, shop: None
) -> None:
    found = warehouse.fetch_tables()
    assert {table.schema for table in found} == {"public", "scratch"}
    assert found == sorted(found, key=lambda table: (table.schema, table.name))
    assert warehouse.fetch_tables("no_such_schema") == []


def test_who_may_not_see_sizes_gets_unknown_ones(
    open_one: Open, by_cluster: dict[str, Any], shop: None
) -> None:
    warehouse = open_one(by_cluster)
    (item,) = (table for table in warehouse.fetch_tables("scratch") if table.name == "item")
    assert (item.row_count, item.size_bytes) == (None, None)
    assert item.primary_key == ("a", "b")
    assert warehouse.query("SELECT 1").read_all().num_rows == 1


def test_a_table_of_somebody_else_is_not_listed(
    warehouse: Connector, owner: psycopg.Connection[Any], shop: None
) -> None:
    owner.execute("REVOKE ALL ON scratch.item FROM redshift_reader")
    assert [table.name for table in warehouse.fetch_tables("scratch")] == ["cheap", "empty"]


def test_any_number_of_tables_takes_three_statements(
    open_one: Open, watcher: Watcher, owner: psycopg.Connection[Any]
) -> None:
    for number in range(40):
        owner.execute(f"CREATE TABLE scratch.t{number} (a int, b text)")
    warehouse = open_one()
    sent: list[str] = []
    read = warehouse._read  # type: ignore[attr-defined]

    def counting(sql: str, params: Any = ()) -> Any:
        sent.append(sql)
        return read(sql, params)

    warehouse._read = counting  # type: ignore[attr-defined]
    assert len(warehouse.fetch_tables("scratch")) == 40
    assert len(sent) == 3
