"""Tables and estimates."""

import logging
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.databricks import catalog as databricks_catalog
from connectors.databricks.plan import bytes_scanned
from connectors.databricks.types import arrow_type
from connectors.errors import DataError, InvalidParameters, ObjectNotFound
from connectors.prices import DatabricksPrices
from connectors.types import Basis, Column, Table, TableFilter

# A view of every type that the metadata calls of the stand-in can name.
EVERY_TYPE = """
    SELECT true AS a, CAST(1 AS TINYINT) AS b, CAST(1 AS SMALLINT) AS c, 1 AS d, 1L AS e,
           CAST(1 AS FLOAT) AS f, 1D AS g, CAST(1 AS DECIMAL(38, 10)) AS h, DATE '2020-01-01' AS i,
           TIMESTAMP '2020-01-01' AS j, TIMESTAMP_NTZ '2020-01-01 00:00:00' AS k, 'x' AS l,
           X'00' AS m, ARRAY(1) AS n, MAP('a', 1) AS o, NAMED_STRUCT('x', 1) AS p,
           INTERVAL '1' YEAR AS q, INTERVAL '1 02:03:04.5' DAY TO SECOND AS r, NULL AS s"""


@pytest.fixture(scope="module")
def tables(owner: Any, schema: str) -> dict[str, Table]:
    """Tables as they are to be listed, by name, in a schema of the module's own."""
    owner.execute(
        f"CREATE TABLE {schema}.a_b (x DECIMAL(10, 2) COMMENT 'what it costs', Y CHAR(2), "
        "z MAP<STRING, INT>) COMMENT 'said of it'"
    )
    owner.execute(f"CREATE VIEW {schema}.a1b AS SELECT 1 AS one")
    owner.execute(f"CREATE VIEW {schema}.every AS {EVERY_TYPE}")
    of_table = (
        Column("x", "DECIMAL(10,2)", True, 1, pa.decimal128(10, 2), "what it costs"),
        Column("Y", "CHAR(2)", True, 2, pa.string()),
        Column("z", "MAP<STRING, INT>", True, 3, pa.string()),
    )
    of_view = (Column("one", "INT", False, 1, pa.int32()),)
    return {
        "a1b": Table("sandbox", schema, "a1b", "view", of_view),
        "a_b": Table("sandbox", schema, "a_b", "table", of_table, comment="said of it"),
    }


def test_a_table_is_described_column_by_column(
    shared: Connector, tables: dict[str, Table], schema: str
) -> None:
    assert shared.fetch_tables(schema, search="B") == [tables["a1b"], tables["a_b"]]
    assert shared.fetch_tables(schema, search="_b") == [tables["a_b"]]
    assert shared.fetch_tables(schema, after=(schema, "a1b"), limit=1) == [tables["a_b"]]


@pytest.mark.usefixtures("tables")
def test_a_types_name_tells_how_it_arrives(shared: Connector, schema: str) -> None:
    (every,) = shared.fetch_tables(schema, search="every")
    arrived = shared.query(f"SELECT * FROM {schema}.every").schema
    assert pa.schema([(one.name, one.arrow_type) for one in every.columns]) == arrived


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        ("DECIMAL", pa.decimal128(10, 0)),
        ("decimal(38, 38)", pa.decimal128(38, 38)),
        ("VARIANT", pa.string()),
        ("GEOGRAPHY(4326)", pa.string()),
        ("STRUCT<a: INT, b: ARRAY<DATE>>", pa.string()),
        ("INTERVAL DAY TO SECOND", pa.string()),
        ("USER_DEFINED", None),
        ("INTEGRAL", None),
        ("", None),
    ],
)
def test_a_type_that_is_unknown_has_no_arrow_type(native: str, kind: pa.DataType | None) -> None:
    assert arrow_type(native) == kind


def test_a_schemas_name_is_no_pattern(shared: Connector) -> None:
    for name in ("sal__", "%", "SALES", "", "sales\\", "no`; DROP TABLE x"):
        assert shared.fetch_tables(name) == []


def test_all_schemas_are_listed(shared: Connector) -> None:
    listed = [(table.schema, table.name) for table in shared.fetch_tables()]
    assert listed == sorted(listed)
    assert {("sales", "orders"), ("sales", "customers")} <= set(listed)


@pytest.mark.usefixtures("tables")
def test_the_calls_do_not_grow_with_the_tables(
    shared: Connector, owner: Any, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")

    def calls(limit: int = 100) -> tuple[int, int]:
        caplog.clear()
        found = len(shared.fetch_tables(schema, limit=limit))
        return found, sum("POST" in record.getMessage() for record in caplog.records)

    before, posts = calls()
    assert calls(limit=1) == (1, posts)
    for number in range(6):
        owner.execute(f"CREATE VIEW {schema}.t{number} AS SELECT 1 AS x")
    assert calls() == (before + 6, posts)


def answers(catalog: str, many: int, columns: int) -> tuple[pa.Table, pa.Table]:
    """What the metadata calls answer of so many tables, in no order, and their columns."""
    names = [f"t{number * 7919 % many:04}" for number in range(many)]
    each = [(name, at) for at in range(columns, 0, -1) for name in names]
    of_tables = {
        "TABLE_CAT": [catalog] * many,
        "TABLE_SCHEM": ["s"] * many,
        "TABLE_NAME": names,
        "TABLE_TYPE": ["TABLE"] * many,
        "REMARKS": [""] * many,
    }
    of_columns = {
        "TABLE_CAT": [catalog] * len(each),
        "TABLE_SCHEM": ["s"] * len(each),
        "TABLE_NAME": [name for name, _ in each],
        "ORDINAL_POSITION": [at for _, at in each],
        "COLUMN_NAME": [f"c{at}" for _, at in each],
        "TYPE_NAME": ["BIGINT"] * len(each),
        "NULLABLE": [2] * len(each),
        "REMARKS": [None] * len(each),
    }
    return pa.table(of_tables), pa.table(of_columns)


def test_thousands_of_tables_are_paged_in_order() -> None:
    of_tables, of_columns = answers("main", 5000, 20)
    found, after = list[Table](), None
    while True:
        wanted = TableFilter(None, None, after, 2000)
        rows = databricks_catalog.listed(of_tables, "Main", wanted)
        page = databricks_catalog.tables("main", rows, of_columns)
        found += page
        if len(page) < wanted.limit:
            break
        after = (page[-1].schema, page[-1].name)
    assert [table.name for table in found] == [f"t{number:04}" for number in range(5000)]
    assert {tuple(one.name for one in table.columns) for table in found} == {
        tuple(f"c{at}" for at in range(1, 21))
    }
    assert {one.nullable for table in found for one in table.columns} == {None}


def test_tables_of_other_catalogs_and_of_the_system_are_left_out() -> None:
    of_tables, _ = answers("other", 3, 1)
    everything = TableFilter(None, None, None, 10)
    assert databricks_catalog.listed(of_tables, "main", everything) == []
    of_system = of_tables.set_column(1, "TABLE_SCHEM", pa.array(["information_schema"] * 3))
    assert databricks_catalog.listed(of_system, "other", everything) == []


@pytest.mark.parametrize(
    ("schema", "search", "patterns"),
    [
        (None, None, (None, None)),
        ("sales", "Ord", ("sales", "%ord%")),
        ("SALES_2", "a_b%c", ("sales%2", "%a%b%c%")),
        ("é'\\", "Ü", ("%", "%")),
    ],
)
def test_patterns_fit_what_is_wanted_in_any_dialect(
    schema: str | None, search: str | None, patterns: tuple[str | None, str | None]
) -> None:
    wanted = TableFilter(schema, search, None, 1)
    assert databricks_catalog.patterns(wanted) == patterns


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
    prices = DatabricksPrices()
    price = prices.of(prices.bytes_per_s * 3600)
    assert (price.low, price.high) == (Decimal("0.88"), Decimal("2.80"))
    nothing = prices.of(0)
    assert (nothing.low, nothing.high) == (0, Decimal("0.000778"))
