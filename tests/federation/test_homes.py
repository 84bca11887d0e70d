"""Which system joins the legs of a query, and what is sent there."""

from typing import Any

import pytest

from warehouse.federation.homes import MOST_ROWS, Move, move_of
from warehouse.federation.legs import Legs
from warehouse.federation.planner import Planned
from warehouse.hogql import types
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.resolve import resolve
from warehouse.hogql.tables import tables
from warehouse.models import WarehouseConnection

DIALECTS = {"p": "postgres", "s": "snowflake", "b": "bigquery", "d": "databricks", "r": "redshift"}
KINDS = {
    "id": types.INT,
    "rate": types.Type(types.Kind.DECIMAL, scale=2),
    "fine": types.Type(types.Kind.DECIMAL, scale=12),
    "tags": types.JSON,
}


def table(source: str, name: str, rows: int | None, *columns: str) -> CatalogTable:
    found = tuple((one, KINDS.get(one.rpartition("_")[2], types.STRING)) for one in columns)
    return CatalogTable("team", (name,), found, source=source, rows=rows)


CATALOG = Catalog(
    (
        *(
            table(source, f"sales_{source}", 5_000_000, "shop_id", "sku", "price", "page", "v_rate")
            for source in DIALECTS
        ),
        table("p", "shops", 200, "id", "land", "s_rate", "s_fine", "s_tags"),
        table("p", "many", 90_000, "id", "land"),
        table("b", "visits", 9_000, "shop_id"),
        table("s", "unknown", None, "id", "land"),
        table("", "events", None, "id", "event"),
        table("", "lands", 30, "code", "name"),
    )
)
NAMED = "SELECT name, count() AS n FROM sales_{} AS v JOIN lands ON code = sku GROUP BY name"
LANDED = "SELECT land, count() AS n FROM {} AS v JOIN shops ON shops.id = v.shop_id GROUP BY land"
NOT_IN = "sku NOT IN (SELECT land FROM shops)"


def planned(text: str, config: dict[str, Any]) -> Planned:
    query = resolve(text, CATALOG)
    used = {one.table.source for one in tables(query)} - {""}
    connections = {
        source: WarehouseConnection(name=source, provider=DIALECTS[source], config=config)
        for source in used
    }
    return Planned(text, query, connections, {source: DIALECTS[source] for source in used}, None)


def move(text: str, *, joins_here: bool = True) -> Move | None:
    found = planned(text, {"joins_here": True} if joins_here else {})
    return move_of(Legs(None, found.split("leg_"), found, "run"))


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("p", "JSONB_ARRAY_ELEMENTS(CAST(CAST(%(hogql_rows_0)s AS TEXT) AS JSONB))"),
        ("s", "TABLE(FLATTEN(INPUT => PARSE_JSON(CAST(? AS VARCHAR))))"),
        ("b", "UNNEST(JSON_QUERY_ARRAY(CAST(@hogql_rows_0 AS STRING), '$'))"),
        ("d", "EXPLODE(FROM_JSON(CAST(:hogql_rows_0 AS STRING), 'array<array<string>>'))"),
    ],
)
def test_rows_are_a_value_beside_the_text(source: str, reads: str) -> None:
    found = move(NAMED.format(source))
    assert found is not None
    assert found.home == source
    hostile = """[["'); DROP TABLE x; --","%s ${x} :y"]]"""
    printed = found.printed({"hogql_rows_0": hostile})
    assert reads in printed.sql
    assert "DROP" not in printed.sql
    values = printed.params.values() if isinstance(printed.params, dict) else printed.params
    assert [*values] == [hostile]
    assert printed.sql == found.printed({}).sql


def test_home_keeps_its_tables_and_is_sent_all_others_of_the_team() -> None:
    found = move(
        "SELECT land, name, count() AS n FROM sales_b AS v JOIN shops ON shops.id = v.shop_id "
        "JOIN lands ON code = land WHERE page = '/' AND name > 'N' GROUP BY land, name"
    )
    assert found is not None
    read = [
        *tables(found.split.query),
        *(one for leg in found.split.legs for one in tables(leg.query)),
    ]
    assert {one.table.team for one in read} == {"team"}
    assert [one.table.name for one in tables(found.query({}))] == ["sales_b"]
    sent = [print_query(leg.query, "clickhouse", found.text).sql for leg in found.split.legs]
    assert len(sent) == 2
    assert any("> 'N'" in sql for sql in sent), "only rows that count"
    printed = found.printed({})
    assert "'/'" in printed.sql
    assert set(printed.params) == {"hogql_rows_0", "hogql_rows_1"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LANDED.format("sales_r"), "its dialect reads no rows that are given"),
        (LANDED.format("sales_p"), "all is in one system"),
        (LANDED.format("visits"), "it has not far more rows"),
        (LANDED.format("sales_b").replace("shops", "many"), "too many rows would be sent"),
        (LANDED.format("sales_b").replace("shops", "unknown"), "nobody knows how many"),
        (LANDED.format("sales_b").replace("land", "event").replace("shops", "events"), "likewise"),
        (LANDED.format("sales_b").replace("land", "s_fine"), "too many digits for others"),
        (LANDED.format("sales_b").replace("land", "s_tags"), "a document is another thing there"),
        (
            LANDED.format("sales_b").partition(" GROUP")[0].replace("count()", "sku"),
            "all rows come",
        ),
        (LANDED.format("sales_b").replace("count()", "quantile(0.5)(v_rate)"), "no safe equal"),
        (NAMED.format("b").replace("GROUP", f"WHERE {NOT_IN} GROUP"), "NULLs are passed over"),
    ],
)
def test_store_joins(text: str, why: str) -> None:
    assert move(text) is None, why


def test_nothing_is_sent_where_the_connection_does_not_say_so() -> None:
    text = LANDED.format("sales_b")
    assert move(text) is not None
    assert move(text, joins_here=False) is None


def test_limit_at_the_top_bounds_what_comes() -> None:
    rows = "SELECT land, sku FROM sales_b AS v JOIN shops ON shops.id = v.shop_id LIMIT {}"
    assert move(rows.format(100)) is not None
    assert move(rows.format(MOST_ROWS + 1)) is None


def test_part_that_asks_only_the_store_is_sent_as_its_answer() -> None:
    found = move(
        "WITH some AS (SELECT name, count() AS n FROM lands GROUP BY name) "
        "SELECT page, max(some.n) AS n FROM sales_d JOIN some ON some.name = sku "
        "WHERE sku IN (SELECT code FROM lands) GROUP BY page"
    )
    assert found is not None
    assert [one.table.name for one in tables(found.query({}))] == ["sales_d"]
    sent = [print_query(leg.query, "clickhouse", "").sql for leg in found.split.legs]
    assert len(sent) == 2
    assert any("GROUP BY" in sql for sql in sent)
    assert any("DISTINCT" in sql for sql in sent)
