"""Names, types and scopes: what a query means before it is printed."""

import dataclasses
import time

import pytest

from tests.hogql.shop import CATALOG, EVENTS, USERS
from warehouse.hogql import tree
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.errors import HogQLError
from warehouse.hogql.functions.table import DIALECTS
from warehouse.hogql.read import read
from warehouse.hogql.resolve import resolve
from warehouse.hogql.tables import tables
from warehouse.hogql.translate import translate
from warehouse.hogql.types import INT


def select(text: str, **values: object) -> tree.Select:
    found = resolve(text, CATALOG, values)
    assert isinstance(found, tree.Select)
    return found


def types(text: str, **values: object) -> dict[str, str]:
    return {name: str(kind) for name, kind in resolve(text, CATALOG, values).columns}


def test_every_expression_has_a_type() -> None:
    assert types(
        """SELECT id, price * 2 AS double_price, price / 2 AS half, score + price AS mixed,
        id > 1 AS many, toStartOfMonth(at) AS month, at + INTERVAL 1 HOUR AS later,
        name || '!' AS s,
        if(ok, 1, 2.5) AS either, coalesce(name, 'x') AS c, sum(price) OVER () AS total,
        (SELECT max(email) FROM public.users) AS best, NULL AS nothing, id IN (1, 2) AS listed
        FROM events"""
    ) == {
        "id": "int", "double_price": "decimal", "half": "float", "mixed": "float", "many": "bool",
        "month": "date", "later": "datetime", "s": "string", "either": "decimal", "c": "string",
        "total": "decimal", "best": "string", "nothing": "null", "listed": "bool",
    }  # fmt: skip


def test_every_table_carries_its_team() -> None:
    found = resolve(
        "WITH e AS (SELECT id FROM events) SELECT * FROM e WHERE id IN (SELECT id FROM "
        "public.users) AND EXISTS (SELECT 1 FROM archive.users AS u WHERE u.id = e.id)",
        CATALOG,
    )
    assert {(str(one.table), one.table.team) for one in tables(found)} == {
        ("db.public.events", "acme"),
        ("db.public.users", "acme"),
        ("db.archive.users", "acme"),
    }


@pytest.mark.parametrize(
    "name", ["events", "EVENTS", "public.events", "Public.Events", "db.public.events", '"events"']
)
def test_a_table_is_found_in_any_case_and_with_its_schema(name: str) -> None:
    assert types(f"SELECT ID, Name FROM {name}") == {"ID": "int", "Name": "string"}


def test_the_exact_name_goes_before_one_in_another_case() -> None:
    catalog = Catalog.of("acme", [EVENTS, USERS]).tables
    upper = dataclasses.replace(catalog[0], path=("db", "public", "EVENTS"))
    both = Catalog((catalog[0], upper))
    assert [table.path[-1] for table in both.find(["events"])] == ["events"]
    assert [table.path[-1] for table in both.find(["EVENTS"])] == ["EVENTS"]
    assert len(both.find(["Events"])) == 2


def test_an_alias_stands_for_its_expression_everywhere() -> None:
    query = select(
        "SELECT toStartOfMonth(at) AS at, count() AS c FROM events WHERE at > '2026-01-01' "
        "GROUP BY at HAVING c > 1 ORDER BY at"
    )
    assert query.group_by == (query.items[0].expr,)
    assert query.order_by[0].item == 0


@pytest.mark.parametrize(
    "text",
    [
        "SELECT lower(name) AS l, count() AS n FROM events GROUP BY l ORDER BY l",
        "SELECT concat(lower(name), 'x') AS l FROM events GROUP BY lower(name)",
        "SELECT name AS n, sum(count()) OVER (PARTITION BY name) AS s FROM events GROUP BY name",
        "SELECT id, (SELECT count() FROM public.users AS u WHERE u.id = e.id) AS n FROM events e",
        "SELECT sum(id) OVER () AS s, id FROM events",
        "SELECT max(id) + 1 AS m, 'x' AS x FROM events",
        "SELECT id FROM events AS e WHERE EXISTS (SELECT max(e.id) AS m FROM public.users)",
    ],
)
def test_what_has_one_value_in_a_group_may_be_asked_for(text: str) -> None:
    assert resolve(text, CATALOG).columns


@pytest.mark.parametrize("clause", ["GROUP BY", "ORDER BY"])
def test_thousands_of_columns_are_found_again_at_the_cost_of_each(clause: str) -> None:
    columns = tuple((f"c{number}", INT) for number in range(2_000))
    table = CatalogTable("acme", ("events",), columns)
    names = ",".join(name for name, _ in columns)
    text = f"SELECT {names} FROM events {clause} {names}"
    read(text)
    began_s = time.thread_time()
    resolve(text, Catalog((table,)))
    assert time.thread_time() - began_s < 1


def test_a_correlated_query_sees_what_is_around_it_and_its_own_first() -> None:
    query = select(
        "SELECT id FROM public.users WHERE EXISTS "
        "(SELECT 1 FROM archive.users WHERE email = users.email AND name = 'x')"
    )
    assert isinstance(query.where, tree.Exists)
    inner = query.where.query
    assert isinstance(inner, tree.Select)
    # Both are called users: the inner one is printed under another alias.
    assert inner.joins[0].relation.alias == "users_2"
    columns = {(c.relation, c.name) for c in inner.walk() if isinstance(c, tree.Column)}
    assert columns == {("users_2", "email"), ("users", "Name")}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("WITH events AS (SELECT 1 AS id) SELECT id FROM events UNION ALL "
         "SELECT id FROM events", 0),
        ("(WITH events AS (SELECT 1 AS id) SELECT id FROM events) UNION ALL "
         "SELECT id FROM events", 1),
        ("SELECT id FROM (WITH events AS (SELECT 1 AS id) SELECT id FROM events UNION ALL "
         "SELECT id FROM events) AS t", 0),
        ("WITH events AS (SELECT id FROM events) SELECT id FROM events", 1),
    ],
)  # fmt: skip
def test_with_is_for_what_it_stands_before(text: str, named: int) -> None:
    assert len(list(tables(resolve(text, CATALOG)))) == named
    for dialect in DIALECTS:
        assert translate(text, CATALOG, dialect).sql.count("public") == named


def test_lists_of_values_are_as_many_parameters() -> None:
    query = select("SELECT 1 FROM events WHERE id IN {ids}", ids=[3, 4])
    params = [one for one in query.walk() if isinstance(one, tree.Param)]
    assert [(one.name, one.value) for one in params] == [("ids__1", 3), ("ids__2", 4)]


@pytest.mark.parametrize(
    ("text", "code", "offset", "says"),
    [
        ("SELECT nam FROM events", "hogql_unknown_name", 7, "nam"),
        ("SELECT id FROM evnts", "hogql_unknown_name", 15, "evnts"),
        ("SELECT e.id FROM events", "hogql_unknown_name", 7, "e.id"),
        ("SELECT events.id FROM events AS e", "hogql_unknown_name", 7, "events.id"),
        ("SELECT id FROM users", "hogql_ambiguous_name", 15, "db.archive.users"),
        ("SELECT id FROM events, public.users", "hogql_ambiguous_name", 7, "users.id"),
        ("SELECT 1 FROM events, events", "hogql_ambiguous_name", 22, "events"),
        ("SELECT id, 1 AS ID FROM events", "hogql_ambiguous_name", 11, "ID"),
        ("SELECT foo(id) FROM events", "hogql_function", 7, "foo"),
        ("SELECT on(id) FROM events", "hogql_function", 7, "on"),
        ("SELECT DISTINCT ON (id) x FROM events", "hogql_function", None, "on"),
        ("SELECT name + 1 FROM events", "hogql_type", 7, "(string, int)"),
        ("SELECT id FROM events WHERE name", "hogql_type", 28, "WHERE"),
        (f"SELECT {'9' * 39} AS n FROM events", "hogql_type", 7, "38 digits"),
        (f"SELECT 0.{'1' * 39} AS n FROM events", "hogql_type", 7, "38 digits"),
        ("SELECT id FROM events WHERE day = 'soon'", "hogql_type", 34, "soon"),
        ("SELECT id FROM events WHERE day = '2026-13-01'", "hogql_type", 34, "2026-13-01"),
        ("SELECT id FROM events WHERE id = name", "hogql_type", 28, "(int, string)"),
        ("SELECT id FROM events WHERE id = 'x'", "hogql_type", 28, "(int, string)"),
        ("SELECT id FROM events WHERE id IN ('x')", "hogql_type", 28, ""),
        ("SELECT id FROM events WHERE id NOT IN (1, NULL)", "hogql_type", 42, "NULL"),
        ("SELECT id FROM events WHERE id IN ((1, 2), (3, 4))", "hogql_type", 35, ""),
        ("SELECT id FROM events WHERE (id, name) IN ((1, 2))", "hogql_type", 43, "string"),
        ("SELECT id FROM events WHERE count() > 1", "hogql_refused", 28, "WHERE"),
        ("SELECT count() AS c FROM events WHERE c > 1", "hogql_refused", 7, "WHERE"),
        ("SELECT id FROM events GROUP BY sum(id)", "hogql_refused", 31, "GROUP BY"),
        ("SELECT id, count() AS n FROM events", "hogql_refused", 7, "id"),
        ("SELECT lower(name) AS l FROM events GROUP BY upper(name)", "hogql_refused", 13, "name"),
        ("SELECT max(id) AS m FROM events ORDER BY name", "hogql_refused", 41, "name"),
        ("SELECT id FROM events GROUP BY id HAVING name = 'x'", "hogql_refused", 41, "name"),
        ("SELECT sum(id) OVER (ORDER BY day) AS s FROM events GROUP BY id",
         "hogql_refused", 30, "day"),
        ("SELECT id FROM events ORDER BY 2", "hogql_refused", 31, "place"),
        ("SELECT lower(name) FILTER (WHERE ok) FROM events", "hogql_function", 7, "aggregate"),
        ("SELECT lower(DISTINCT name) FROM events", "hogql_function", 7, "aggregate"),
        ("SELECT quantile(2)(id) FROM events", "hogql_function", 16, "level"),
        ("SELECT quantile(id) FROM events", "hogql_function", 7, "level"),
        ("SELECT substring(name, id, 1) FROM events", "hogql_type", 7, "substring"),
        ("SELECT dateDiff('month', day, at) FROM events", "hogql_function", 7, "day"),
        ("SELECT date_trunc('second', at) FROM events", "hogql_function", 7, "date_trunc"),
        ("SELECT date_trunc(at, 'month') FROM events", "hogql_function", 7, "unit"),
        ("SELECT dateTrunc('day', at, 'UTC') FROM events", "hogql_function", 7, "dateTrunc"),
        ("SELECT toStartOfInterval(at, INTERVAL 2 DAY) FROM events", "hogql_function", 7,
         "INTERVAL of 1"),
        ("SELECT toStartOfInterval(at, INTERVAL 1 SECOND) FROM events", "hogql_function", 7,
         "toStartOfInterval"),
        ("SELECT toStartOfInterval(at, 1) FROM events", "hogql_function", 7, "INTERVAL of 1"),
        ("SELECT ok::String FROM events", "hogql_type", 7, "bool"),
        ("SELECT id::Tuple FROM events", "hogql_type", 7, "tuple"),
        ("SELECT id FROM events UNION ALL SELECT name FROM events", "hogql_type", 0, "id"),
        ("SELECT id FROM events UNION ALL SELECT id, name FROM events", "hogql_type", 0, "number"),
        ("SELECT (SELECT id, name FROM events)", "hogql_type", 8, "one column"),
        ("SELECT x -> x FROM events", "hogql_refused", 7, "lambda"),
        ("SELECT greatest(at, INTERVAL 1 DAY) FROM events", "hogql_refused", 20, "INTERVAL"),
        ("SELECT plus(id) FROM events", "hogql_type", 7, "plus"),
        ("SELECT [1, 'a'] FROM events", "hogql_type", 7, "array"),
        ("SELECT sum(id) OVER (ORDER BY id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM events",
         "hogql_refused", None, "frame"),
        ("SELECT {a} FROM events", "hogql_values", 7, "{a}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(
    text: str, code: str, offset: int | None, says: str
) -> None:
    with pytest.raises(HogQLError) as caught:
        resolve(text, CATALOG)
    assert caught.value.code == code, caught.value.detail
    assert says in caught.value.detail
    assert caught.value.advice
    if offset is not None:
        assert caught.value.place is not None
        assert caught.value.place.offset == offset


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("SELECT id FROM events WHERE id = name", "convert one"),
        ("SELECT id FROM users", "Write all of its name"),
        ("SELECT xyz(id) FROM events", "catalog/functions/"),
        ("SELECT getdate() FROM events", "catalog/functions/"),
        ("SELECT variance(price) FROM events", "catalog/functions/"),
        ("SELECT formatDateTime(at, '%Y') FROM events", "toString(toDate(x))"),
        ("SELECT JSONExtractString(name, 'plan') FROM events", "doc.key"),
        ("SELECT date_trunc(at, 'month') FROM events", "date_trunc('month', x)"),
        ("SELECT dateTrunc('second', at) FROM events", "minute"),
        ("SELECT toStartOfInterval(at, INTERVAL 5 MINUTE) FROM events", "INTERVAL 1 MONTH"),
    ],
)
def test_what_can_be_done_is_told(text: str, hint: str) -> None:
    with pytest.raises(HogQLError) as caught:
        resolve(text, CATALOG)
    assert hint in str(caught.value.advice)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("SELECT nmae FROM events", "name"),
        ("SELECT id FROM event", "events"),
        ("SELECT id FROM public.user", "public.users"),
        ("SELECT substr1ng(name, 1, 2) FROM events", "substring"),
        ("SELECT date(at) FROM events", "toDate"),
        ("SELECT stddev(price) FROM events", "stddevPop"),
        ("SELECT cuont() FROM events", "COUNT"),
    ],
)
def test_names_like_the_wrong_one_are_told(text: str, near: str) -> None:
    with pytest.raises(HogQLError) as caught:
        resolve(text, CATALOG)
    assert near in caught.value.advice


def test_a_value_without_a_placeholder_is_refused() -> None:
    with pytest.raises(HogQLError) as caught:
        resolve("SELECT 1", CATALOG, {"a": 1})
    assert caught.value.code == "hogql_values"
    assert "{a}" in caught.value.detail


@pytest.mark.parametrize("value", [[], [[1]], {"a": 1}, float("nan"), "a\x00b", "\ud800", 2**63])
def test_a_value_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(HogQLError) as caught:
        resolve("SELECT 1 FROM events WHERE id IN {a}", CATALOG, {"a": value})
    assert caught.value.code == "hogql_values"
