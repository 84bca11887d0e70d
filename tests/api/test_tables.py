"""`schema/`: a connection's tables, page by page."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from tests.api.shapes import problem

pytestmark = pytest.mark.django_db

NAMES = [f"item_{number:03}" for number in range(25)]
Get = Callable[..., dict[str, Any]]


@pytest.fixture
def schema_url(shop_url: str) -> str:
    return f"{shop_url}schema/"


@pytest.fixture
def get(alice: APIClient, schema_url: str) -> Get:
    def page(**wanted: Any) -> dict[str, Any]:
        answer = alice.get(schema_url, wanted)
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        assert set(found) == {"tables", "next"}
        return found

    return page


@pytest.fixture
def items(vault: psycopg.Connection[Any]) -> Iterator[None]:
    """25 tables in a schema of their own."""
    vault.execute("CREATE SCHEMA many")
    vault.execute("GRANT USAGE ON SCHEMA many TO etl_reader")
    for name in NAMES:
        vault.execute(f"CREATE TABLE many.{name} (id int PRIMARY KEY, at timestamptz, j jsonb)")
    vault.execute("COMMENT ON TABLE many.item_000 IS 'the first'")
    vault.execute("COMMENT ON COLUMN many.item_000.at IS 'when'")
    yield
    vault.execute("DROP SCHEMA many CASCADE")


def names(page: dict[str, Any]) -> list[str]:
    return [table["name"] for table in page["tables"]]


@pytest.mark.usefixtures("items")
def test_pages_hold_every_table_once_and_in_order(get: Get) -> None:
    seen, cursor, pages = [], {}, 0
    while True:
        page = get(schema="many", limit=10, **cursor)
        seen += names(page)
        pages += 1
        if page["next"] is None:
            break
        cursor = {"after": page["next"]}
    assert (seen, pages) == (NAMES, 3)
    assert get(schema="many", limit=25)["next"] is None  # nothing follows, so there is no page


@pytest.mark.usefixtures("items")
def test_search_is_a_part_of_the_name_in_any_case(get: Get) -> None:
    assert names(get(schema="many", search="EM_01")) == NAMES[10:20]
    assert names(get(schema="many", search="%")) == []
    page = get(schema="many", search="m_00", limit=4)
    assert names(page) == NAMES[:4]
    assert names(get(schema="many", search="m_00", limit=4, after=page["next"])) == NAMES[4:8]


@pytest.mark.usefixtures("items")
def test_table_tells_comments_and_types(get: Get) -> None:
    table = get(schema="many", search="item_000")["tables"][0]
    assert (table["comment"], table["primary_key"]) == ("the first", ["id"])
    assert [
        (column["native_type"], column["arrow_type"], column["comment"])
        for column in table["columns"]
    ] == [
        ("integer", "int32", None),
        ("timestamp with time zone", "timestamp[us, tz=UTC]", "when"),
        ("jsonb", "string", None),
    ]


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "naïve"}, "after"),
        ({"after": "!!!"}, "after"),
        ({"after": cursor("public")}, "after"),
        ({"after": cursor(["a", 1])}, "after"),
        ({"after": cursor(["a", "b", "c"])}, "after"),
        ({"after": cursor(["a", "b\x00"])}, "after"),
        ({"after": cursor(["a", "\ud800"])}, "after"),
        ({"after": "9" * 5000}, "after"),
        ({"search": "x\x00"}, "search"),
        ({"schema": ""}, "schema"),
        ({"page": 2}, "page"),
    ],
)
def test_page_that_cannot_be_had_is_refused_by_name(
    alice: APIClient, schema_url: str, wanted: dict[str, Any], field: str
) -> None:
    assert set(problem(alice.get(schema_url, wanted), 400, "invalid_input")["fields"]) == {field}


def test_cursor_of_any_name_comes_back_as_it_was(get: Get, vault: psycopg.Connection[Any]) -> None:
    for name in ("a b", 'quo"te', "naïve 🛒", "zz"):
        quoted = name.replace('"', '""')
        vault.execute(f'CREATE TABLE "{quoted}" (id int)')
    first = get(schema="public", limit=1)
    rest = get(schema="public", after=first["next"])
    assert names(first) + names(rest) == sorted(["a b", 'quo"te', "naïve 🛒", "zz"])
