"""What is printed: which tables, in which order NULLs come, and the same text each time."""

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from tests.hogql.shop import CATALOG
from tests.hogql.tpch_queries import HERE, QUERIES, VALUES
from tests.hogql.tpch_tables import TABLES
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.errors import FunctionRefused, HogQLError, HogQLRefused
from warehouse.hogql.functions.table import DIALECTS
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.resolve import resolve
from warehouse.hogql.source import Place
from warehouse.hogql.tables import tables
from warehouse.hogql.translate import translate
from warehouse.hogql.types import DATE, DECIMAL, INT, STRING

COLUMNS = {
    name: sorted(set(re.findall(rf"\b{prefix}_\w+", "\n".join(
        path.read_text() for path in Path(HERE).glob("q*.sql")))))
    for name, prefix in zip(TABLES, "c l n o p ps r s".split(), strict=True)
}  # fmt: skip


def kind(column: str) -> object:
    if column.endswith("date"):
        return DATE
    if re.search("price|discount|tax|quantity|acctbal|cost$", column):
        return DECIMAL
    return (
        INT
        if re.search("key|size|qty|priority$", column) and column != "o_orderpriority"
        else STRING
    )


TPCH = Catalog(
    tuple(
        CatalogTable("acme", ("db", "tpch", name), tuple((c, kind(c)) for c in columns))
        for name, columns in COLUMNS.items()
    )
)


def read_by_sqlglot(sql: str, dialect: str) -> exp.Expr:
    readable = re.sub(r"%\((\w+)\)s|\{(\w+):[^}]*\}", r"'x'", sql)
    found: exp.Expr = sqlglot.parse_one(readable, read=dialect)
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_printed_that_was_not_resolved(name: str, dialect: str) -> None:
    text = (HERE / f"{name}.sql").read_text()
    query = resolve(text, TPCH, VALUES.get(name))
    printed = print_query(query, dialect, text)
    found = read_by_sqlglot(printed.sql, dialect)
    ctes = {cte.alias for cte in found.find_all(exp.CTE)}
    named = {
        ".".join(part.name for part in one.parts)
        for one in found.find_all(exp.Table)
        if one.name not in ctes or one.db
    }
    assert named == {str(one.table) for one in tables(query)}
    assert all(one.table.team == "acme" for one in tables(query))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", QUERIES)
def test_every_order_says_where_nulls_come(name: str, dialect: str) -> None:
    text = (HERE / f"{name}.sql").read_text()
    sql = translate(text, TPCH, dialect, VALUES.get(name)).sql
    orders = re.findall(r"ORDER BY (.*?)(?: LIMIT|\)|$)", sql)
    keys = [key for order in orders for key in order.split(", ")]
    assert all(re.search(r" (ASC|DESC) NULLS LAST$", key) for key in keys), keys
    assert sql == translate(text, TPCH, dialect, VALUES.get(name)).sql


PLAIN = 'SELECT "events"."id" AS "id" FROM "db"."public"."events" AS "events"'


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SELECT id FROM events", PLAIN),
        ("SELECT id FROM events LIMIT 3 OFFSET 2", f"{PLAIN} LIMIT 3 OFFSET 2"),
        ("SELECT id FROM events WHERE ok", f'{PLAIN} WHERE "events"."ok"'),
        (
            "SELECT id FROM events ORDER BY day NULLS FIRST, 1 DESC",
            f'{PLAIN} ORDER BY "events"."day" ASC NULLS FIRST, 1 DESC NULLS LAST',
        ),
        (
            "SELECT id FROM events UNION SELECT id FROM public.users",
            f'{PLAIN} UNION SELECT "users"."id" AS "id" FROM "db"."public"."users" AS "users"',
        ),
        (
            "SELECT id FROM events LIMIT 2 OFFSET 1 BY name LIMIT 9",
            'SELECT "hogql_rows"."id" FROM (SELECT "events"."id" AS "id", ROW_NUMBER() OVER '
            '(PARTITION BY "events"."name") AS "hogql_rank" FROM "db"."public"."events" AS '
            '"events") AS "hogql_rows" WHERE "hogql_rows"."hogql_rank" <= 3 AND '
            '"hogql_rows"."hogql_rank" > 1 LIMIT 9',
        ),
        (
            "SELECT id FROM events WHERE name = {who} AND name LIKE '%'",
            f'{PLAIN} WHERE ("events"."name" = CAST(%(who)s AS TEXT)) AND '
            '("events"."name" LIKE \'%%\')',
        ),
    ],
)
def test_a_construct_in_postgres_is(text: str, sql: str) -> None:
    values = {"who": "x"} if "{who}" in text else {}
    assert translate(text, CATALOG, "postgres", values).sql == sql


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("clickhouse", "CAST('0.10' AS Nullable(Decimal(38, 2)))"),
        ("bigquery", "CAST('0.10' AS NUMERIC)"),
        ("postgres", "CAST(0.10 AS DECIMAL(38, 2))"),
        ("databricks", "0.10"),
    ],
)
def test_a_decimal_keeps_its_digits(dialect: str, sql: str) -> None:
    assert (
        translate("SELECT 0.10 AS d", CATALOG, dialect).sql == f"SELECT {sql} AS {_quoted(dialect)}"
    )


def _quoted(dialect: str) -> str:
    return "`d`" if dialect in ("bigquery", "databricks") else '"d"'


@pytest.mark.parametrize(
    ("name", "label"), [("quantile(0.5)(id)", "BigQuery"), ("argMax(id, day)", "Redshift")]
)
def test_a_function_without_an_equal_is_refused_by_name_and_place(name: str, label: str) -> None:
    with pytest.raises(FunctionRefused) as caught:
        translate(f"SELECT id, {name} FROM events GROUP BY id", CATALOG, label.lower())
    assert label in caught.value.detail
    assert "Postgres" in caught.value.advice
    assert caught.value.place is not None
    assert caught.value.place.offset == 11


def test_redshift_asks_for_a_frame_of_rows() -> None:
    with pytest.raises(HogQLError) as caught:
        translate("SELECT sum(id) OVER (ORDER BY day) FROM events", CATALOG, "redshift")
    assert "ROWS BETWEEN" in caught.value.advice


def test_values_keep_their_order_where_placeholders_have_no_name() -> None:
    text = "SELECT {a} AS x, {b} AS y FROM events WHERE id = {c} GROUP BY x, y"
    printed = translate(text, CATALOG, "snowflake", {"c": 3, "b": 2, "a": 1})
    assert printed.params == [1, 2, 3]
    assert printed.sql.count("?") == 3


@pytest.mark.parametrize("end", ["", "LIMIT 1 BY n", "QUALIFY row_number() OVER (ORDER BY n) = 1"])
def test_what_is_grouped_by_is_sent_once(end: str) -> None:
    """A text of Redshift's is a value, and so an expression with it is equal to no other."""
    text = f"SELECT if(name = 'it''s', price, 0) AS a, count() AS n FROM events GROUP BY a {end}"
    printed = translate(text, CATALOG, "redshift")
    assert list(dict(printed.params).values()) == ["it's"]


@pytest.mark.parametrize("end", ["ORDER BY b.id", "LIMIT 1", "LIMIT 1 BY b.id"])
def test_store_cannot_cut_what_looks_at_rows_around_it(end: str) -> None:
    inner = f"SELECT b.id FROM events AS b WHERE b.day = a.day {end}"
    text = f"SELECT ({inner}) AS one FROM events AS a"
    with pytest.raises(HogQLRefused) as refused:
        translate(text, CATALOG, "clickhouse")
    assert refused.value.place == Place.of(text, text.index("SELECT b"))
    assert "b.day = a.day" in translate(text, CATALOG, "postgres").sql.replace('"', "")
