"""Which texts and values are the same query; what differs in meaning is never taken for it."""

import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors.sql_text import condensed
from connectors.types import Limits
from warehouse.hybrid.keys import inputs_of, key_of, recalled
from warehouse.models import WarehouseConnection
from warehouse.statements import Language, Statement

SAME = [
    ("postgres", "SELECT 1", "\n SELECT\t1 -- one\n"),
    ("postgres", "SELECT a FROM t", "SELECT/* a */a/**/FROM\n\nt"),
    ("postgres", "SELECT $x$--$x$ , 1", "SELECT  $x$--$x$ ,\n1"),
    ("bigquery", "SELECT 'a' AS b", "SELECT 'a' # why\nAS b"),
    ("snowflake", "SELECT 1 AS b", "SELECT 1 // why\nAS b"),
    ("databricks", "SELECT `a  b`", "SELECT  `a  b`"),
    ("redshift", "SELECT 'it''s'", "SELECT\n'it''s'"),
]
DIFFERENT = [
    ("postgres", "SELECT 'a b'", "SELECT 'a  b'"),
    ("postgres", "SELECT 'a--b'", "SELECT 'a'"),
    ("postgres", 'SELECT "A"', 'SELECT "a"'),
    ("postgres", "SELECT a", "SELECT A"),
    ("postgres", "SELECT 'a'\n'b'", "SELECT 'a' 'b'"),
    ("postgres", "SELECT 1 - -1", "SELECT 1 --1"),
    ("postgres", "SELECT $x$ a $x$", "SELECT $x$  a $x$"),
    ("postgres", r"SELECT E'\'  ', ' '", r"SELECT E'\' ', ' '"),
    ("bigquery", "SELECT '''a\n b'''", "SELECT '''a\nb'''"),
    ("databricks", "SELECT /*+ BROADCAST(t) */ 1", "SELECT 1"),
    ("snowflake", "SELECT $$ a $$", "SELECT $$ a  $$"),
]


@pytest.mark.parametrize(("dialect", "one", "other"), SAME)
def test_blanks_and_comments_do_not_count(dialect: str, one: str, other: str) -> None:
    assert condensed(one, dialect) == condensed(other, dialect)


@pytest.mark.parametrize(("dialect", "one", "other"), DIFFERENT)
def test_everything_else_does(dialect: str, one: str, other: str) -> None:
    assert condensed(one, dialect) != condensed(other, dialect)


def test_text_that_cannot_be_cut_up_stays_as_it_is() -> None:
    for text in ("SELECT  'open", "SELECT U&'x'  , 1"):
        assert condensed(text, "postgres") == text


def key(params: Any = (), values: Any = None, **changed: Any) -> str | None:
    about = {"id": uuid.UUID(int=1), "team_id": uuid.UUID(int=2), "provider": "postgres"} | changed
    limits = Limits(max_rows=about.pop("max_rows", 10), timeout_s=about.pop("timeout_s", 60))
    language = about.pop("language", Language.NATIVE)
    statement = Statement(about.pop("sql", "SELECT 1"), params, language, values or {})
    return key_of(WarehouseConnection(**about), statement, limits)


def test_every_part_of_the_key_counts() -> None:
    values: list[Any] = [
        1, 1.0, "1", True, Decimal(1), Decimal("1.0"), None, "None", b"1", [1], (1,), [[1]],
        {"a": 1}, {"a": "1"}, date(2026, 1, 1), "2026-01-01", "é", -0.0, 0.0, [], {}, [None],
        float("nan"),
    ]  # fmt: skip
    found = [key(params=[value]) for value in values]
    found += [key(values={"a": value}) for value in values]
    found += [key(params={"a": value}) for value in values]
    found += [
        key(),
        key(sql="SELECT 2"),
        key(max_rows=11),
        key(id=uuid.UUID(int=3)),
        key(team_id=uuid.UUID(int=3)),
        key(credential_version=1),
        key(language=Language.HOGQL),
    ]
    assert None not in found
    assert len(set(found)) == len(found)


def test_what_changes_no_answer_does_not_count() -> None:
    assert key(timeout_s=1) == key()
    assert key(params=(1, 2)) == key(params=[1, 2])
    assert key(params={"a": 1, "b": 2}) == key(params={"b": 2, "a": 1})


def test_parameter_of_an_unknown_kind_has_no_key() -> None:
    assert key(params=[object()]) is None


@pytest.mark.parametrize(
    "params", [[1, 1.0, -0.0, 1e22, "é", None, True, [1]], {"a": {"b": 1}}, ()]
)
def test_what_was_asked_is_recalled_exactly(params: Any) -> None:
    asked = Statement("SELECT 1", params, Language.HOGQL, {"a": [2.0]})
    again, max_rows = recalled("SELECT 1", inputs_of(asked, 7))
    assert key(again.params, again.values) == key(params, asked.values)
    assert (again.language, max_rows) == (Language.HOGQL, 7)


@pytest.mark.parametrize("params", [[Decimal(1)], [(1, 2)], [b"x"], {"a": {1: 2}}])
def test_what_json_would_change_is_not_recalled(params: Any) -> None:
    assert inputs_of(Statement("SELECT 1", params), None) == ""
