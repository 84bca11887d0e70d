"""What each system is asked, and what is left to the store."""

import pytest

from warehouse.federation import keys
from warehouse.federation.split import Split, split
from warehouse.hogql import tree, types
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.resolve import resolve
from warehouse.hogql.resolved import same
from warehouse.hogql.tables import tables

DIALECTS = {"p": "postgres", "s": "snowflake", "b": "bigquery"}


def table(source: str, name: str, *columns: str, key: str = "") -> CatalogTable:
    kinds = {"id": types.INT, "day": types.DATE, "price": types.FLOAT}
    found = tuple((one, kinds.get(one.split("_")[-1], types.STRING)) for one in columns)
    return CatalogTable("team", (name,), found, source=source, key=(key,) if key else ())


CATALOG = Catalog(
    (
        table("p", "orders", "o_id", "customer_id", "o_day", "o_price", "note", key="o_id"),
        table("p", "lines", "l_id", "order_id", "sku", "l_price"),
        table("s", "customers", "c_id", "country", "name", "comment"),
        table("", "events", "event", "c_id"),
        table("", "lands", "code", "land"),
        table("b", "visits", "v_id", "v_day", "v_price", "page"),
    )
)


def parts(text: str) -> Split:
    return split(resolve(text, CATALOG), text, DIALECTS, "leg_")


def asked(text: str) -> list[str]:
    """The SQL of each leg, in the order of the relations."""
    return [print_query(leg.query, DIALECTS[leg.source], text).sql for leg in parts(text).legs]


JOINED = "FROM orders JOIN customers ON customer_id = c_id"


def test_leg_has_the_columns_and_rows_that_the_rest_needs() -> None:
    orders, customers = asked(
        f"SELECT country, sum(o_price) AS paid {JOINED} "
        "WHERE o_day >= '2026-01-01' AND name LIKE 'A%' GROUP BY country"
    )
    assert "note" not in orders
    assert "o_id" not in orders
    assert orders.startswith('SELECT "orders"."customer_id"')
    assert "2026-01-01" in orders
    assert "comment" not in customers
    assert "'A%'" in customers
    assert customers.count('"name"') == 1, "asked of the rows, and of no use to anybody else"


@pytest.mark.parametrize(
    ("kind", "condition", "orders_asked", "customers_asked"),
    [
        ("JOIN", "note = 'x' AND country = 'NL'", True, True),
        ("LEFT JOIN", "note = 'x'", True, False),
        ("LEFT JOIN", "country = 'NL'", False, False),
        ("RIGHT JOIN", "note = 'x'", False, False),
        ("RIGHT JOIN", "country = 'NL'", False, True),
        ("FULL JOIN", "note = 'x' AND country = 'NL'", False, False),
    ],
)
def test_what_an_outer_join_keeps_is_not_left_out(
    kind: str, condition: str, orders_asked: bool, customers_asked: bool
) -> None:
    orders, customers = asked(
        f"SELECT o_id, country, note FROM orders {kind} customers ON customer_id = c_id "
        f"WHERE {condition}"
    )
    assert ("'x'" in orders) == orders_asked
    assert ("'NL'" in customers) == customers_asked


@pytest.mark.parametrize(
    ("kind", "orders_asked", "customers_asked"),
    [
        ("JOIN", True, True),
        ("LEFT JOIN", False, True),
        ("RIGHT JOIN", True, False),
        ("FULL JOIN", False, False),
    ],
)
def test_condition_of_a_join_goes_to_the_side_that_it_may_empty(
    kind: str, orders_asked: bool, customers_asked: bool
) -> None:
    orders, customers = asked(
        f"SELECT o_id FROM orders {kind} customers "
        "ON customer_id = c_id AND note = 'x' AND country = 'NL'"
    )
    assert ("'x'" in orders) == orders_asked
    assert ("'NL'" in customers) == customers_asked


def test_every_branch_of_an_or_tells_something_of_a_table() -> None:
    orders, customers = asked(
        f"SELECT o_id {JOINED} WHERE (country = 'NL' AND note = 'x') OR (country = 'BE')"
    )
    assert "'NL'" in customers
    assert "'BE'" in customers
    assert "'x'" not in orders


def test_counting_takes_the_smallest_column() -> None:
    orders, _ = asked("SELECT count() AS n FROM orders, customers")
    assert orders.startswith('SELECT "orders"."o_day"')


def test_subquery_of_one_system_goes_there_whole() -> None:
    found = asked(
        "SELECT country, best.paid FROM customers JOIN ("
        "SELECT customer_id, sum(l_price) AS paid FROM orders JOIN lines ON order_id = o_id "
        "GROUP BY customer_id ORDER BY paid DESC LIMIT 10) AS best ON best.customer_id = c_id "
        "WHERE best.paid > 5"
    )
    assert len(found) == 2
    inner = next(sql for sql in found if "lines" in sql)
    assert "GROUP BY" in inner
    assert "LIMIT 10" in inner
    assert "> " in inner, "what is asked of its rows, too"


def test_two_that_ask_the_same_are_one_leg_which_nobody_narrows() -> None:
    found = parts(
        "SELECT a.country AS x, b.country AS y FROM orders, customers AS a, customers AS b "
        "WHERE customer_id = a.c_id AND o_id = b.c_id AND note = 'x'"
    )
    names = [leg.table.name for leg in found.legs]
    assert len(names) == 3, "the aliases differ, and so do the texts"
    twice = parts(
        "SELECT o_id FROM orders WHERE customer_id IN (SELECT c_id FROM customers) "
        "AND o_id IN (SELECT c_id FROM customers) "
        "UNION ALL SELECT c_id FROM events, orders WHERE customer_id = events.c_id"
    )
    assert len([leg for leg in twice.legs if leg.source == "s"]) == 1
    assert twice.filters == ()


def test_keys_go_only_where_rows_may_be_left_out() -> None:
    inner = {(one.table, one.column) for one in parts(f"SELECT o_id {JOINED}").filters}
    assert inner == {("leg_0", "customer_id"), ("leg_1", "c_id")}
    left = "SELECT o_id FROM orders LEFT JOIN customers ON customer_id = c_id"
    assert {one.table for one in parts(left).filters} == {"leg_1"}
    full = "SELECT o_id FROM orders FULL JOIN customers ON customer_id = c_id"
    assert parts(full).filters == ()


def test_keys_of_a_row_outside_narrow_a_subquery_and_not_the_other_way() -> None:
    found = parts(
        "SELECT name FROM customers WHERE country = 'NL' AND NOT EXISTS "
        "(SELECT 1 AS one FROM orders WHERE customer_id = c_id)"
    )
    by_table = {leg.table.name: leg.source for leg in found.legs}
    assert [by_table[one.table] for one in found.filters] == ["p"]


def test_tables_of_the_store_stay_and_all_are_the_teams() -> None:
    text = (
        f"WITH some AS (SELECT c_id FROM events WHERE event = 'x') "
        f"SELECT o_id {JOINED} JOIN some ON some.c_id = customers.c_id"
    )
    found = parts(text)
    read = [*tables(found.query), *(one for leg in found.legs for one in tables(leg.query))]
    assert {one.table.name for one in tables(found.query)} == {"events", "leg_0", "leg_1"}
    assert {one.table.team for one in read} == {"team"}


BOTH = "FROM orders JOIN lines ON order_id = o_id JOIN customers ON customer_id = c_id"


def test_tables_of_one_system_that_are_joined_by_a_key_are_asked_together() -> None:
    both, customers = asked(f"SELECT l_price, country {BOTH} WHERE o_price > 1")
    assert 'ON "orders"."o_id" = "lines"."order_id"' in both
    assert "orders__customer_id" in both
    assert "o_price" in both
    assert "sku" not in both
    assert "country" in customers
    implied = "FROM orders, lines, customers WHERE order_id = c_id AND o_id = c_id"
    assert len(asked(f"SELECT o_day, l_price, country {implied}")) == 2


def test_columns_of_tables_that_are_asked_together_have_names_of_their_own() -> None:
    catalog = Catalog(
        (
            table("p", "orders", "o_id", key="o_id"),
            table("p", "lines", "order_id", "B__o_id"),
            table("", "events", "c_id"),
        )
    )
    text = (
        "SELECT a__b.o_id AS here, a.B__o_id AS there FROM lines AS a "
        "JOIN orders AS a__b ON a.order_id = a__b.o_id JOIN events ON c_id = a.order_id"
    )
    found = split(resolve(text, catalog), text, DIALECTS, "leg_")
    (both,) = found.legs
    assert len({name.lower() for name, _ in both.query.columns}) == 3
    assert isinstance(found.query, tree.Select)
    here, there = (item.expr for item in found.query.items)
    assert not same(here, there)


def test_tables_that_would_repeat_a_text_in_all_rows_of_another_are_asked_apart() -> None:
    assert len(asked(f"SELECT note, l_price, country {BOTH}")) == 3
    assert len(asked(f"SELECT note, l_price, country {BOTH} WHERE l_price > 9")) == 2
    assert len(asked(f"SELECT note, l_price {BOTH} WHERE sku IN (SELECT name FROM customers)")) == 4


@pytest.mark.parametrize(
    "joined",
    [
        "FROM orders LEFT JOIN lines ON order_id = o_id JOIN customers ON customer_id = c_id",
        "FROM orders JOIN lines ON l_id = customer_id JOIN customers ON customer_id = c_id",
        "FROM orders JOIN lines ON order_id > o_id JOIN customers ON customer_id = c_id",
    ],
)
def test_tables_that_no_key_joins_are_asked_apart(joined: str) -> None:
    assert len(asked(f"SELECT l_price, o_day, country {joined}")) == 3


def test_what_is_only_looked_for_comes_once() -> None:
    (orders, customers) = asked(
        "SELECT o_id FROM orders WHERE EXISTS "
        "(SELECT * FROM customers WHERE c_id = customer_id AND country = 'NL')"
    )
    assert customers.startswith('SELECT DISTINCT "customers"."c_id"')
    assert '"comment"' not in customers
    assert "DISTINCT" not in orders
    (_, listed) = asked("SELECT o_id FROM orders WHERE customer_id IN (SELECT c_id FROM customers)")
    assert "DISTINCT" in listed
    (_, some) = asked("SELECT o_id FROM orders WHERE EXISTS (SELECT * FROM customers)")
    assert some.endswith("LIMIT 1")


def test_columns_of_a_distinct_answer_come_once() -> None:
    found = asked(f"SELECT DISTINCT o_day, country {JOINED}")
    assert all(sql.startswith("SELECT DISTINCT") for sql in found)
    counted = asked(f"SELECT DISTINCT count() AS n, country {JOINED} GROUP BY country")
    assert not any(sql.startswith("SELECT DISTINCT") for sql in counted)


def test_tables_of_the_store_say_which_keys_count() -> None:
    text = (
        f"SELECT o_id {JOINED} JOIN lands ON code = country "
        "JOIN events ON events.c_id = customers.c_id WHERE land LIKE 'N%'"
    )
    (one,) = parts(text).stored
    assert (one.table, one.column) == ("leg_1", "country")
    sql = print_query(one.query, "clickhouse", text).sql
    assert "lands" in sql
    assert "events" not in sql
    assert parts(f"SELECT o_id {JOINED} JOIN lands ON code = country").stored == ()


def test_keys_that_follow_each_other_are_a_range() -> None:
    (query, _) = (leg.query for leg in parts(f"SELECT o_id {JOINED}").legs)
    assert isinstance(query, tree.Select)

    def narrowed_to(*values: int) -> str:
        narrowed = keys.narrowed(query, "customer_id", [*values])
        return print_query(narrowed, "postgres", "").sql.partition(" WHERE ")[2]

    column = '"orders"."customer_id"'
    assert narrowed_to(4, 3, 5, 2) == f"({column} >= 2) AND ({column} <= 5)"
    assert narrowed_to(1, 9) == f"{column} IN (1, 9)"
    assert narrowed_to() == "FALSE"


def test_what_a_dialect_cannot_say_is_left_to_the_store() -> None:
    text = (
        "SELECT page, quantile(0.5)(v_price) AS middle FROM visits "
        "WHERE v_day > '2026-01-01' GROUP BY page"
    )
    found = parts(text)
    (leg,) = (print_query(one.query, "bigquery", text).sql for one in found.legs)
    assert "2026-01-01" in leg
    assert "v_id" not in leg
    assert "GROUP BY" not in leg
    assert "quantileExactInclusive(0.5)" in print_query(found.query, "clickhouse", text).sql


def test_what_it_can_say_of_that_goes_there() -> None:
    text = (
        "SELECT quantile(0.5)(total) AS middle FROM "
        "(SELECT page, sum(v_price) AS total FROM visits GROUP BY page) AS t"
    )
    found = parts(text)
    (leg,) = (print_query(one.query, "bigquery", text).sql for one in found.legs)
    assert "GROUP BY" in leg
    assert "quantileExactInclusive(0.5)" in print_query(found.query, "clickhouse", text).sql
