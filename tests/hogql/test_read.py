"""Text to nodes: what is kept, what is refused, and where."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from warehouse.hogql import nodes, parser
from warehouse.hogql.errors import HogQLError
from warehouse.hogql.nodes import SetOp
from warehouse.hogql.parser import PARSE_TIMEOUT_S
from warehouse.hogql.read import read


def select(text: str) -> nodes.Select:
    found = read(text)
    assert isinstance(found, nodes.Select)
    return found


def error(text: str) -> HogQLError:
    with pytest.raises(HogQLError) as caught:
        read(text)
    return caught.value


def test_orders_of_null_are_kept_though_the_parser_drops_them() -> None:
    orders = select(
        "SELECT 1 FROM t ORDER BY a DESC NULLS LAST, b /* NULLS LAST */ nulls\n first, c, "
        "sum(d) OVER (ORDER BY e NULLS FIRST) DESC"
    ).order_by
    assert [(one.descending, one.nulls_first) for one in orders] == [
        (True, False),
        (False, True),
        (False, False),
        (True, False),
    ]
    over = orders[3].expr
    assert isinstance(over, nodes.Over)
    assert over.window.order_by[0].nulls_first


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.50", Decimal("1.50")),
        ("-  0.12345678901234567890123", Decimal("-0.12345678901234567890123")),
        ("99999999999999999999.99", Decimal("99999999999999999999.99")),
        ("12345678901234567890123", Decimal("12345678901234567890123")),
        ("9223372036854775807", 9223372036854775807),
        ("1.5e3", 1500.0),
        ("0x1F", 31),
        ("'it''s\\n'", "it's\n"),
        ("NULL", None),
    ],
)
def test_constants_keep_every_digit(text: str, value: Any) -> None:
    node = select(f"SELECT 'é𝄞', {text}").items[1].expr
    assert isinstance(node, nodes.Constant)
    assert (type(node.value), node.value) == (type(value), value)
    if isinstance(value, Decimal):
        assert isinstance(node.value, Decimal)
        assert node.value.as_tuple() == value.as_tuple()


def test_intersect_binds_closer_than_union_and_except() -> None:
    found = read("SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3 UNION ALL SELECT 4")
    assert isinstance(found, nodes.SetQuery)
    assert found.op == SetOp.UNION_ALL
    assert isinstance(found.left, nodes.SetQuery)
    assert found.left.op == SetOp.EXCEPT
    assert isinstance(found.left.right, nodes.SetQuery)
    assert found.left.right.op == SetOp.INTERSECT


@pytest.mark.parametrize(
    ("text", "code", "offset", "says"),
    [
        ("SELECT 1 FROM numbers(10)", "hogql_refused", 14, "table function"),
        ("SELECT 1 FROM s3('x')", "hogql_refused", 14, "table function"),
        ("SELECT <div>hi</div>", "hogql_refused", 7, "HogQLX"),
        ("SELECT 1 FROM <a/>", "hogql_refused", 14, "HogQLX"),
        ("SELECT 1 FROM t SAMPLE 0.1", "hogql_refused", 14, "SAMPLE"),
        ("SELECT 1 FROM t FINAL", "hogql_refused", 14, "FINAL"),
        ("SELECT 1 SETTINGS max_threads = 1", "hogql_refused", None, "settings"),
        ("SELECT 1 FROM t PREWHERE a", "hogql_refused", 0, "PREWHERE"),
        ("SELECT a FROM t ARRAY JOIN b AS c", "hogql_refused", 0, "ARRAY JOIN"),
        ("SELECT {hogql_x}", "hogql_refused", 7, "hogql_x"),
        ("SELECT {a + 1}", "hogql_refused", 7, "one name"),
        ("SELECT 1 FROM {t}", "hogql_refused", 14, "not for a table"),
        ("SELECT 1 FROM t LIMIT 5, 10", "hogql_refused", 22, "OFFSET"),
        ("SELECT 1 FROM t LIMIT 1 WITH TIES", "hogql_refused", 0, "TIES"),
        ("SELECT 1 FROM t LIMIT 10%", "hogql_refused", 0, "percent"),
        ("SELECT a FROM t GROUP BY a WITH TOTALS", "hogql_refused", 27, "TOTALS"),
        ("SELECT a FROM t GROUP BY ROLLUP(a)", "hogql_refused", 0, "ROLLUP"),
        ("SELECT 1 FROM t NATURAL JOIN u", "hogql_refused", 16, "NATURAL"),
        ("SELECT 1 FROM t JOIN (u JOIN v ON a = b) ON c = d", "hogql_refused", 21, "parentheses"),
        ("SELECT 1 FROM t JOIN u USING (id)", "hogql_refused", 23, "USING"),
        ("SELECT 1 FROM t ASOF JOIN u ON a = b", "hogql_refused", None, "ASOF"),
        ("SELECT 1 FROM t ANY LEFT JOIN u ON a = b", "hogql_refused", None, "ANY"),
        ("SELECT 1 FROM t JOIN u", "hogql_refused", 21, "ON"),
        ("(SELECT 1 UNION ALL SELECT 2) ORDER BY 1", "hogql_refused", 30, "ORDER BY"),
        ("(SELECT 1) ORDER BY 1", "hogql_refused", 11, "ORDER BY"),
        ("(SELECT 1) LIMIT 1", "hogql_refused", 11, "LIMIT"),
        ("SELECT 1 UNION ALL SELECT 2 ORDER BY 1", "hogql_refused", 19, "parentheses"),
        ("SELECT 1 LIMIT 1 UNION ALL SELECT 2", "hogql_refused", 0, "parentheses"),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT 1 FROM a", "hogql_refused", None, "recursive"),
        ("SELECT inf", "hogql_refused", 7, "Infinity"),
        ("SELECT a =~ 'x'", "hogql_refused", 7, "=~"),
        ("SELECT a IN COHORT 5", "hogql_refused", 7, "cohort"),
        ("SELECT COLUMNS('x') FROM t", "hogql_refused", 7, "COLUMNS"),
        ("SELECT {'a': 1}", "hogql_refused", 7, "dictionary"),
        ("SELECT a.1 FROM t", "hogql_refused", 7, "tuple"),
        ("SELECT a FROM t ORDER BY a WITH FILL", "hogql_refused", 25, "FILL"),
        ("SELECT a FROM t ORDER BY a COLLATE 'de'", "hogql_refused", None, ""),
        ("SELECT 1; SELECT 2", "hogql_syntax", 10, "cannot be parsed"),
        ("DROP TABLE t", "hogql_syntax", 0, "cannot be parsed"),
        ("SELECT 1 INTO OUTFILE 'x'", "hogql_syntax", None, ""),
        ("SELECT 1 FORMAT JSON", "hogql_syntax", None, ""),
        ("SELECT '\\0'", "hogql_syntax", 7, "NUL"),
        ("SELECT \x00", "hogql_syntax", 7, "no text"),
        ("SELECT '\ud800'", "hogql_syntax", 8, "no text"),
        ("", "hogql_syntax", 0, ""),
    ],
)
def test_what_has_no_place_here_is_refused_by_name_and_place(
    text: str, code: str, offset: int | None, says: str
) -> None:
    found = error(text)
    assert found.code == code, found.detail
    assert says.lower() in found.detail.lower()
    if offset is not None:
        assert found.place is not None
        assert found.place.offset == offset


def test_a_place_counts_lines_and_columns_from_one() -> None:
    found = error("SELECT 'é𝄞',\n  1 FROM <a/>")
    assert found.fields == {"sql": "Line 2, column 10 (offset 22)."}


HOSTILE = {
    # These two keep the parser busy until it is ended, the others are refused at once.
    "200 parentheses": "SELECT " + "(" * 200 + "1" + ")" * 200,
    "calls": "SELECT " + "f(" * 300 + "1" + ")" * 300,
    "20,000 parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "open parentheses": "SELECT " + "(" * 49_000,
    "additions": "SELECT " + "1+" * 150 + "1",
    "100,000 parentheses": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_text_ends_in_an_error_and_the_next_is_read(kind: str) -> None:
    began = time.monotonic()
    assert error(HOSTILE[kind]).code in ("hogql_too_complex", "hogql_syntax")
    assert time.monotonic() - began < PARSE_TIMEOUT_S + 1
    assert read("SELECT 1")


def test_thousands_of_values_are_no_hostile_text() -> None:
    values = ", ".join(map(str, range(4_000)))
    where = select(f"SELECT 1 FROM t WHERE a IN ({values})").where
    assert isinstance(where, nodes.In)
    assert isinstance(where.items, tuple)
    assert len(where.items) == 4_000


FORTY = " UNION ALL ".join(["(SELECT 1 LIMIT 1)"] * 40)


@pytest.mark.parametrize(
    "text",
    [
        " UNION ALL ".join([f"({FORTY})"] * 38),
        f"SELECT 1 FROM t ORDER BY {', '.join(['a'] * 4_000)}",
    ],
    ids=["parts", "orders"],
)
def test_many_parts_are_read_at_the_cost_of_each(text: str) -> None:
    parser.parse(text)
    began_s = time.thread_time()
    read(text)
    assert time.thread_time() - began_s < 1


def test_too_many_joins_are_too_complex() -> None:
    joins = " CROSS JOIN ".join(f"t AS a{number}" for number in range(1_500))
    assert error(f"SELECT 1 FROM {joins}").code == "hogql_too_complex"


def test_many_threads_share_a_few_parsers() -> None:
    texts = [f"SELECT {n} AS a, lower('x') FROM t WHERE b = {n}" for n in range(40)]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(select, texts))
    assert [one.items[0].expr for one in found] == [nodes.Constant(7, n) for n in range(40)]
    assert len(parser._pool._idle) <= parser.MAX_IDLE
