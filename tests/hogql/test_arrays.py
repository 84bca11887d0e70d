"""Arrays and lambdas: what their names mean, and what is refused."""

import pytest

from warehouse.hogql import types
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.errors import (
    FunctionRefused,
    HogQLRefused,
    HogQLTooComplex,
    NameAmbiguous,
    NameUnknown,
    TypesDiffer,
)
from warehouse.hogql.printing.dialects import DIALECTS
from warehouse.hogql.resolve import resolve
from warehouse.hogql.translate import translate
from warehouse.hogql.types import Kind, Type

TEXTS = Type(Kind.ARRAY, item=types.STRING)
TABLE = CatalogTable(
    "t",
    ("items",),
    (("id", types.INT), ("x", types.STRING), ("tags", TEXTS), ("doc", types.JSON)),
)
CATALOG = Catalog((TABLE,))


def printed(expr: str, dialect: str = "clickhouse") -> str:
    return translate(f"SELECT {expr} AS a FROM items", CATALOG, dialect).sql


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        ("[1, 2.5]", "array(decimal)"),
        ("[]", "array(null)"),
        ("[[id], []]", "array(array(int))"),
        ("tags[1]", "string"),
        ("arrayMap(t -> length(t), tags)", "array(int)"),
        ("arrayFilter((n, t) -> t = 'a', [1, 2], tags)", "array(int)"),
        ("arrayMap(t -> t = x, tags)", "array(bool)"),
        ("arrayConcat([], tags)", "array(string)"),
        ("groupArray(tags)", "array(array(string))"),
        ("arraySum([1e0])", "float"),
        ("splitByChar(',', x)", "array(string)"),
    ],
)
def test_type_of_an_array_is_that_of_its_items(expr: str, kind: str) -> None:
    query = resolve(f"SELECT {expr} AS a FROM items", CATALOG)
    assert str(query.columns[0][1]) == kind


def test_parameter_hides_a_column_of_its_name_and_no_other() -> None:
    sql = printed("arrayMap(x -> concat(x, items.x, doc.x), tags)")
    assert sql.count('"items"."x"') == 1
    assert sql.count('"hogql_item"') == 2


def test_parameter_hides_a_table_of_its_name() -> None:
    with pytest.raises(NameUnknown, match=r"items\.id"):
        printed("arrayMap(items -> items.id, tags)")


def test_parameter_ends_with_its_lambda() -> None:
    with pytest.raises(NameUnknown, match="t1"):
        printed("arrayMap(t1 -> t1, arrayFilter(t -> t1 = t, tags))")
    with pytest.raises(NameUnknown, match="t1"):
        printed("concat(arrayMap(t1 -> t1, tags)[1], t1)")


def test_inner_parameter_hides_the_outer_one() -> None:
    sql = printed("arrayMap(t -> arrayMap(t -> length(t), [t]), tags)")
    inner = 'CAST(lengthUTF8("hogql_item_2") AS Nullable(Int64))'
    assert f'"hogql_item_2" -> {inner}, ["hogql_item"]' in sql


def test_parameter_is_called_as_nothing_else_is() -> None:
    text = "SELECT arrayMap(t -> concat(t, hogql_item.x), tags) AS a FROM items AS hogql_item"
    sql = translate(text, CATALOG, "clickhouse").sql
    assert '"hogql_item_2" -> "hogql_item_2" || "hogql_item"."x"' in sql


@pytest.mark.parametrize(
    ("expr", "error", "says"),
    [
        ("concat(x, t -> t)", TypesDiffer, "as many arrays"),
        ("length(t -> t)", TypesDiffer, "as many arrays"),
        ("arrayMap(t -> t)", TypesDiffer, "as many arrays"),
        ("arrayMap(t -> t, x)", TypesDiffer, "as many arrays"),
        ("arrayMap((a, b) -> a, tags)", TypesDiffer, "as many arrays"),
        ("arrayMap((t -> t), tags)[1] = (t -> t)", HogQLRefused, "lambda"),
        ("arrayMap((t, T) -> t, tags, tags)", NameAmbiguous, "same"),
        ("arrayFilter(t -> 1, tags)", TypesDiffer, "arrayFilter"),
        ("arrayMap(t -> t + 1, tags)", TypesDiffer, "plus"),
        ("arrayMap(t -> (t, 1), tags)", HogQLRefused, "tuple"),
        ("arrayMap(t -> count(), tags)", HogQLRefused, "aggregates"),
        ("arrayMap(t -> (SELECT max(id) FROM items), tags)", HogQLRefused, "aggregates"),
        ("arrayMap(t -> t IN (SELECT x FROM items), tags)", HogQLRefused, "aggregates"),
        ("arrayMap(t -> row_number() OVER (), tags)", HogQLRefused, "aggregates"),
        ("[1, 'a']", TypesDiffer, "one type"),
        ("[tags, [1]]", TypesDiffer, "one type"),
        ("x[1]", TypesDiffer, "arrayElement"),
        ("tags['a']", TypesDiffer, "arrayElement"),
        ("[tags][1]", TypesDiffer, "arrayElement"),
        ("has(tags, 1)", TypesDiffer, "has"),
        ("arraySum(tags)", TypesDiffer, "arraySum"),
        ("arrayStringConcat([1], ',')", TypesDiffer, "arrayStringConcat"),
        ("splitByChar(x, x)", TypesDiffer, "splitByChar"),
        ("splitByChar('', x)", TypesDiffer, "splitByChar"),
        ("splitByChar('é', x)", TypesDiffer, "splitByChar"),
        ("tags + 1", TypesDiffer, "plus"),
        ("max(tags)", TypesDiffer, "max"),
    ],
)
def test_what_has_no_meaning_is_refused(expr: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        printed(expr)


@pytest.mark.parametrize("dialect", ["databricks", "postgres", "redshift", "snowflake"])
def test_where_they_are_not_there_they_are_refused(dialect: str) -> None:
    for expr in ("[1]", "tags[1]", "arrayMap(t -> t, tags)", "groupArray(x)"):
        with pytest.raises((FunctionRefused, HogQLRefused), match=DIALECTS[dialect].label):
            printed(expr, dialect)


@pytest.mark.parametrize(
    ("expr", "error"),
    [
        ("[1]", HogQLRefused),
        ("arrayMap(t -> t, tags)", HogQLRefused),
        ("length([tags])", HogQLRefused),
        ("length([])", HogQLRefused),
        ("length(arrayMap(t -> [t], tags))", HogQLRefused),
        ("length(arrayMap((a, b) -> a, tags, tags))", FunctionRefused),
        ("arrayExists((a, b) -> a = b, tags, tags)", FunctionRefused),
        ("groupArray(x)", HogQLRefused),
        ("length(groupArray(x))", FunctionRefused),
    ],
)
def test_what_bigquery_cannot_say_is_refused(expr: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="BigQuery"):
        printed(expr, "bigquery")


def test_bigquery_gives_a_column_as_it_is_and_no_array_that_a_query_made() -> None:
    assert printed("tags", "bigquery") == "SELECT `items`.`tags` AS `a` FROM `items` AS `items`"
    text = "SELECT a FROM (SELECT arrayMap(t -> t, tags) AS a FROM items) AS s"
    with pytest.raises(HogQLRefused, match="BigQuery"):
        translate(text, CATALOG, "bigquery")


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> str:
        return "".join(f"arrayMap(v{n} -> " for n in range(depth)) + "1" + ", tags)" * depth

    assert printed(nested(4)).count("->") == 4
    with pytest.raises(HogQLTooComplex):
        printed("[" * 150 + "]" * 150)
