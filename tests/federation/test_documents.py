"""Members of documents: those of a warehouse's column are what properties of events are."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from rest_framework.test import APIClient

from tests.api.conftest import Save
from tests.api.shapes import problem, result
from tests.federation import layout
from tests.federation.conftest import Put
from tests.store.running import Engine
from warehouse import catalogs
from warehouse.events.batch import take
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT: dict[str, Any] = {
    "s": "x", "n": 1, "f": 1.10, "whole": 1.0, "long": 9007199254740993, "t": True, "none": None,
    "o": {"b": [1, "é", None], "a": {}}, "list": [1, 2], "like": "1.10", "blank": "",
    "odd": "it's\n\"odd\" \\ é \U0001f980", "$browser": "Firefox", "a b.c": "spaced",
    "it's": "quoted", "ключ": "named", "0": "zero", "%s": "percent", "[1]": "braced",
    "--": "dashed", "{x}": "curly",
}  # fmt: skip
MEMBERS: dict[str, object] = {
    "doc.s": "x",
    "doc.n": "1",
    "doc.f": "1.1",
    "doc.whole": "1",
    "doc.long": "9007199254740993",
    "doc.t": "true",
    "doc.none": None,
    "doc.nowhere": None,
    "doc.s.x": None,
    "doc.o": DOCUMENT["o"],
    "doc.o.b": DOCUMENT["o"]["b"],
    "doc['o']['a']": {},
    "doc.o['nowhere'] IS NULL": True,
    "doc.list": [1, 2],
    "doc.list['0']": None,
    "doc['like']": "1.10",
    "doc.blank": "",
    "doc.odd": DOCUMENT["odd"],
    "doc.$browser": "Firefox",
    "doc['a b.c']": "spaced",
    "doc['it\\'s']": "quoted",
    'doc."ключ"': "named",
    "doc['0']": "zero",
    "doc['%s']": "percent",
    "doc['[1]']": "braced",
    "doc['--']": "dashed",
    "doc['{x}']": "curly",
    "doc['\\') FROM x --']": None,
    "lower(doc.$browser)": "firefox",
    "doc.n = '1' AND doc.s LIKE 'x%'": True,
}
UNSAID = {"doc['a\"b']": None, "doc['a\\\\b']": None, "doc['']": None, "toFloat(doc.f)": 1.1}
"""What some warehouses have no sure way to say, and the store then does."""
TABLES = {
    "postgres": "SELECT 1 AS id, CAST('{}' AS jsonb) AS doc UNION ALL SELECT 2, NULL",
    "redshift": "SELECT 1 AS id, JSON_PARSE('{}') AS doc UNION ALL SELECT 2, NULL",
    "snowflake": "SELECT 1 AS ID, PARSE_JSON('{}') AS DOC UNION ALL SELECT 2, NULL",
    "bigquery": "SELECT 1 AS id, PARSE_JSON('{}') AS doc UNION ALL SELECT 2, NULL",
}
PUSHED = ("postgres", "snowflake", "bigquery")
Rows = Callable[[str], list[list[Any]]]


@pytest.fixture
def rows(store: Engine, alice: APIClient, team: Team, monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setattr(catalogs, "AGAIN_S", 0.0)

    def run(query: str) -> list[list[Any]]:
        answer = alice.post(f"/api/environments/{team.pk}/queries/", {"query": query}, "json")
        found: list[list[Any]] = result(answer)["rows"]
        return found

    return run


def _items(members: dict[str, object]) -> str:
    return ", ".join(f"{member} AS c{place}" for place, member in enumerate(members))


def _wrong(members: dict[str, object], found: list[Any]) -> list[tuple[str, object, object]]:
    """Lists and objects are compared as what they say: warehouses write them in their own way."""
    return [
        (member, ours, wanted)
        for (member, wanted), ours in zip(members.items(), found, strict=True)
        if (json.loads(ours) if isinstance(wanted, list | dict) else ours) != wanted
    ]


def _written(provider: str) -> str:
    """The document, between quotes of the warehouse's SQL."""
    text = json.dumps(DOCUMENT, ensure_ascii=False)
    if provider != "postgres":
        text = text.replace("\\", "\\\\")
    return text.replace("'", "\\'" if provider == "bigquery" else "''")


@pytest.mark.parametrize("provider", TABLES)
def test_member_of_a_column_is_what_the_store_makes_of_it(
    rows: Rows, put: Put, provider: str
) -> None:
    table = put(provider, TABLES[provider].replace("{}", _written(provider)))
    every = MEMBERS | UNSAID
    (found,) = rows(f"SELECT {_items(every)} FROM {table} WHERE doc.s = 'x'")
    assert _wrong(every, found) == []
    assert rows(f"SELECT doc.s, doc.o.b FROM {table} WHERE id = 2") == [[None, None]]


def test_property_of_an_event_is_the_same(rows: Rows, team: Team, store: Engine) -> None:
    event = {"distinct_id": "u", "event": "open", "properties": DOCUMENT}
    take(team.pk, [event])
    every = MEMBERS | UNSAID
    (found,) = rows(f"SELECT {_items(every)} FROM (SELECT properties AS doc FROM events) AS e")
    assert _wrong(every, found) == []


@pytest.mark.parametrize("provider", PUSHED)
def test_warehouse_itself_is_asked_for_it(
    rows: Rows, put: Put, alice: APIClient, team: Team, provider: str
) -> None:
    table = put(provider, TABLES[provider].replace("{}", _written(provider)))
    query = f"SELECT doc.n FROM {table} WHERE doc.s = 'x'"
    plan = alice.post(f"/api/environments/{team.pk}/queries/plan/", {"query": query}, "json").json()
    assert plan.get("mode") == "push_down", plan
    grouped = f"SELECT doc.s AS s, count() AS n FROM {table} GROUP BY s ORDER BY s"
    assert rows(query) == [["1"]]
    assert rows(grouped) == [["x", 1], [None, 1]]


def test_copy_in_the_store_has_the_same(rows: Rows, save: Save) -> None:
    columns = pa.schema([pa.field("doc", pa.string(), metadata={"native": "jsonb"})])
    copy = pa.table([[json.dumps(DOCUMENT, ensure_ascii=False)]], schema=columns)
    layout.put_into_store(save(name="far"), "public", {"docs": copy})
    every = MEMBERS | UNSAID
    (found,) = rows(f"SELECT {_items(every)} FROM far.public.docs")
    assert _wrong(every, found) == []


def test_databricks_records_have_members(rows: Rows, put: Put) -> None:
    made = "named_struct('s', 'x', 'n', 1, 'o', named_struct('a', 'y'), 'none', CAST(NULL AS INT))"
    table = put("databricks", f"SELECT 1 AS id, {made} AS doc")
    query = f"SELECT doc.s, doc.n, doc.o.a, doc.none, doc.nowhere AS e FROM {table}"
    assert rows(query) == [["x", "1", "y", None, None]]


def test_number_of_a_document_is_refused_where_only_one_warehouse_is_asked(
    put: Put, alice: APIClient, team: Team
) -> None:
    table = put("postgres", TABLES["postgres"].replace("{}", "{}")).removeprefix("far.")
    (connection,) = alice.get(f"/api/environments/{team.pk}/warehouse_connections/").json()[
        "results"
    ]
    url = f"/api/environments/{team.pk}/warehouse_connections/{connection['id']}/query/"
    text = {"sql": f"SELECT id, toFloat(doc.n) FROM {table}", "dialect": "hogql"}
    body = problem(alice.post(url, text, "json"), 400, "hogql_refused")
    assert body["fields"]["sql"].startswith("Line 1, column 20")
