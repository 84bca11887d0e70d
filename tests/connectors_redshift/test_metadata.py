from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.prices import RedshiftPrices
from connectors.redshift import catalog as redshift_catalog
from connectors.redshift import plan as redshift_plan
from connectors.types import Basis, Column, Table

from .conftest import Open

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


def test_bytes_of_a_count_are_unknown_and_not_zero(warehouse: Connector) -> None:
    found = warehouse.estimate("SELECT count(*) FROM sales")
    assert found.bytes_scanned is None
    assert "does not tell bytes" in found.explanation


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
    prices = RedshiftPrices()
    assert prices.of(0).high == Decimal("0.800000")
    hour = prices.of(3600 * prices.bytes_per_rpu_s)
    assert hour.low == Decimal("0.375000")
    day = prices.of(24 * 3600 * prices.bytes_per_rpu_s)
    assert day.low == day.high == Decimal("9.000000")


def test_an_estimate_runs_nothing(warehouse: Connector) -> None:
    assert warehouse.estimate("SELECT pg_sleep(60)").bytes_scanned == 0


@pytest.fixture
def shop(owner: psycopg.Connection[Any]) -> None:
    owner.execute(
        "CREATE TABLE scratch.item (b int, a varchar(20) NOT NULL, c numeric(10, 3), d char(3), "
        "PRIMARY KEY (a, b));"
        "COMMENT ON TABLE scratch.item IS 'What we sell';"
        "COMMENT ON COLUMN scratch.item.c IS 'In euros';"
        "CREATE VIEW scratch.cheap AS SELECT a FROM scratch.item;"
        "CREATE TABLE scratch.empty (x bigint, y timestamptz);"
        "INSERT INTO scratch.item SELECT i, 'x', i FROM generate_series(1, 700) i"
    )
    owner.execute("ANALYZE scratch.item")


def test_tables_have_kinds_columns_keys_comments_and_sizes(
    warehouse: Connector, shop: None
) -> None:
    text, utc = pa.string(), pa.timestamp("us", "UTC")
    assert warehouse.fetch_tables("scratch") == [
        Table(
            None, "scratch", "cheap", "view",
            (Column("a", "character varying(20)", True, 1, text),),
        ),
        Table(
            None, "scratch", "empty", "table",
            (
                Column("x", "bigint", True, 1, pa.int64()),
                Column("y", "timestamp with time zone", True, 2, utc),
            ),
        ),
        Table(
            None, "scratch", "item", "table",
            (
                Column("b", "integer", False, 1, pa.int32()),
                Column("a", "character varying(20)", False, 2, text),
                Column("c", "numeric(10,3)", True, 3, pa.decimal128(10, 3), "In euros"),
                Column("d", "character(3)", True, 4, text),
            ),
            primary_key=("a", "b"),
            row_count=700,
            size_bytes=2**20,
            comment="What we sell",
        ),
    ]  # fmt: skip


def test_an_external_table_is_listed_like_any_other(
    warehouse: Connector, endpoints: dict[str, Any], owner: psycopg.Connection[Any]
) -> None:
    dsn = psycopg.conninfo.make_conninfo(endpoints["postgres"]["superuser_dsn"], dbname="redshift")
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute(
            "CREATE FOREIGN DATA WRAPPER lake; CREATE SERVER s3 FOREIGN DATA WRAPPER lake"
        )
        superuser.execute(
            "CREATE FOREIGN TABLE scratch.clicks (at timestamp, page varchar(200)) SERVER s3;"
            "GRANT SELECT ON scratch.clicks TO redshift_reader"
        )
        try:
            (found,) = warehouse.fetch_tables("scratch")
        finally:
            superuser.execute("DROP FOREIGN DATA WRAPPER lake CASCADE")
    assert (found.name, found.kind) == ("clicks", "external table")
    assert [column.name for column in found.columns] == ["at", "page"]
    assert (found.row_count, found.size_bytes) == (None, None)


EVERY_TYPE = {
    "a": "smallint", "b": "integer", "c": "bigint", "d": "numeric(38, 37)", "e": "real",
    "f": "double precision", "g": "boolean", "h": "char(3)", "i": "varchar(20)", "j": "date",
    "k": "timestamp", "l": "timestamptz", "m": "time", "n": "timetz", "o": "oid", "p": "bytea",
    "q": "text", "r": "interval year to month", "s": "interval day to second", "t": "json",
    "u": "numeric", "v": "name", "w": "int[]",
}  # fmt: skip


def test_arrow_types_of_the_catalog_are_those_of_a_query(
    warehouse: Connector, owner: psycopg.Connection[Any]
) -> None:
    columns = ", ".join(f"{name} {native}" for name, native in EVERY_TYPE.items())
    owner.execute(f"CREATE TABLE scratch.wide ({columns})")
    (table,) = warehouse.fetch_tables("scratch")
    with warehouse.query("SELECT * FROM scratch.wide") as result:
        answered = dict(zip(result.schema.names, result.schema.types, strict=True))
    assert {column.name: column.arrow_type for column in table.columns} == answered
    assert list(answered) == list(EVERY_TYPE)


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        # A data lake's names, in an external table.
        ("tinyint", pa.int16()),
        ("int", pa.int32()),
        ("float", pa.float32()),
        ("double", pa.float64()),
        ("string", pa.string()),
        ("decimal(12,2)", pa.decimal128(12, 2)),
        ("struct<given:varchar(20)>", None),
        ("array<int>", None),
        # Redshift's own that Postgres has not.
        ("super", pa.string()),
        ("binary varying", pa.string()),
        ("geometry", pa.string()),
        ("hllsketch", pa.string()),
    ],
)
def test_types_that_the_stand_in_lacks_are_known(native: str, kind: pa.DataType | None) -> None:
    assert redshift_catalog.arrow_type(native) == kind


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


MANY = 320


@pytest.fixture
def many(owner: psycopg.Connection[Any]) -> None:
    owner.execute(
        f"DO $$ BEGIN FOR i IN 1..{MANY} LOOP "
        "EXECUTE format('CREATE TABLE scratch.%I (b int, a text, PRIMARY KEY (b))', "
        "CASE WHEN i % 40 = 0 THEN 'Big_' ELSE 'small' END || i); "
        "END LOOP; END $$"
    )


@contextmanager
def statements_sent(warehouse: Connector, file: Path) -> Iterator[list[str]]:
    """The statements that the driver puts on the wire meanwhile."""
    sent: list[str] = []
    connection = warehouse._connection.pgconn  # type: ignore[attr-defined]
    with file.open("w+") as trace:
        connection.trace(trace.fileno())
        yield sent
        connection.untrace()
        trace.seek(0)
        sent += [line for line in trace if "\tParse\t" in line]


def test_many_tables_come_page_by_page_in_three_statements_each(
    warehouse: Connector, many: None, tmp_path: Path
) -> None:
    warehouse.query("SELECT 1").close()
    found: list[Table] = []
    after = None
    with statements_sent(warehouse, tmp_path / "trace") as sent:
        for rows in (100, 100, 100, 20):
            page = warehouse.fetch_tables("scratch", after=after, limit=100)
            assert len(page) == rows
            found += page
            after = (page[-1].schema, page[-1].name)
    assert len(sent) == 4 * 3
    names = [table.name for table in found]
    assert len(names) == MANY
    assert names == sorted(set(names))
    assert names[0] == "Big_120"
    assert {(table.primary_key, len(table.columns)) for table in found} == {(("b",), 2)}
    with statements_sent(warehouse, tmp_path / "trace") as sent:
        assert warehouse.fetch_tables() == [*warehouse.fetch_tables("public"), *found]
    assert len(sent) == 2 * 3


def test_a_part_of_the_name_finds_tables_in_any_case(
    warehouse: Connector, owner: psycopg.Connection[Any]
) -> None:
    for name in ("Big_1", "big_10", "small"):
        owner.execute(f'CREATE TABLE scratch."{name}" (a int)')

    def found(search: str) -> list[str]:
        return [table.name for table in warehouse.fetch_tables("scratch", search=search)]

    assert found("bIg_1") == ["Big_1", "big_10"]
    assert found("L") == ["small"]
    # None of these is a pattern, and nothing ends the text.
    for nothing in ("b%g", "sm_ll", "'; DROP TABLE scratch.small; --", "\\"):
        assert found(nothing) == []


def test_sizes_are_not_asked_for_where_that_would_be_billed(
    open_one: Open, by_workgroup: dict[str, Any], shop: None, tmp_path: Path
) -> None:
    warehouse = open_one(by_workgroup)
    warehouse.query("SELECT 1").close()
    with statements_sent(warehouse, tmp_path / "trace") as sent:
        tables = warehouse.fetch_tables("scratch")
    assert len(sent) == 2
    assert {(table.row_count, table.size_bytes) for table in tables} == {(None, None)}
