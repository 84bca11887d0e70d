"""`{filters}` of a query over events."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.shapes import problem
from tests.events.conftest import Ask, Rows
from tests.store.running import Engine
from warehouse.events.batch import take
from warehouse.events.items import person_of
from warehouse.events.writing import write_persons
from warehouse.models import Team

pytestmark = pytest.mark.django_db

FILTERED = "SELECT e.distinct_id AS who FROM events AS e WHERE {filters} ORDER BY who"
HOSTILE = "a' OR 1=1 --\\'; DROP"
AS_IT_WAITS = {
    "date_from": None,
    "date_to": None,
    "properties": [{"owner": "event", "key": "browser", "operator": "exact", "values": []}],
}
EVENTS = [
    ("u1", "2026-01-30T23:59:59Z", {"browser": "Firefox", "price": 1.5, "is_new": True}),
    ("u2", "2026-01-31T12:00:00Z", {"browser": "100% Chrome_", "price": 5}),
    ("u3", "2026-02-01T00:00:00Z", {"browser": "Chrome", "price": "7", HOSTILE: HOSTILE}),
    ("u4", "2026-02-02T00:00:00Z", {"browser": None, "price": "much", "is_new": False}),
]


@pytest.fixture
def filled(store: Engine, team: Team) -> None:
    now = datetime(2026, 2, 3, tzinfo=UTC)
    people = [{"distinct_ids": ["u1", "u2"], "properties": {"plan": "pro"}}]
    write_persons(team.pk, [person_of(person, now, team.pk) for person in people])
    take(
        team.pk,
        [
            {"distinct_id": who, "event": "open", "timestamp": at, "properties": properties}
            for who, at, properties in EVENTS
        ],
    )


def one(key: str, operator: str = "exact", value: Any = None, of: str = "event") -> dict[str, Any]:
    given = {} if value is None else {"value": value}
    return {"properties": [{"key": key, "operator": operator, "type": of, **given}]}


def test_each_filter_lets_its_events_through(filled: None, rows: Rows) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "1234"),
        ({"date_from": "2026-01-31"}, "234"),
        ({"date_to": "2026-01-31"}, "12"),
        ({"date_to": "2026-01-31T11:00:00Z"}, "1"),
        ({"date_from": "2026-01-31T13:00:00+01:00", "date_to": "2026-02-01T00:00:00"}, "23"),
        (one("browser", value="Chrome"), "3"),
        (one("browser", value=["Chrome", "Firefox", "x"]), "13"),
        (one("browser", "is_not", "Chrome"), "124"),
        (one("browser", "is_not", ["Chrome", "Firefox"]), "24"),
        (one("browser", "icontains", "chrome"), "23"),
        (one("browser", "icontains", "0%"), "2"),
        (one("browser", "icontains", "%"), "2"),
        (one("browser", "icontains", "_"), "2"),
        (one("browser", "not_icontains", "CHROME"), "14"),
        (one("price", value=5), "2"),
        (one("price", value="5"), "2"),
        (one("price", value=[1.5, "much"]), "14"),
        (one("price", "gt", 1.5), "23"),
        (one("price", "gte", 1.5), "123"),
        (one("price", "lt", 7), "12"),
        (one("price", "lte", 7), "123"),
        (one("is_new", value=True), "1"),
        (one("is_new", "is_not", True), "234"),
        (one("browser", "is_set"), "123"),
        (one("browser", "is_not_set"), "4"),
        (one("plan", value="pro", of="person"), "12"),
        (one("plan", "is_not", "pro", of="person"), "34"),
        (one(HOSTILE, value=HOSTILE), "3"),
        (one(HOSTILE, "is_not_set"), "124"),
    ]
    for filters, wanted in cases:
        found = "".join(who[1] for (who,) in rows(FILTERED, filters=filters))
        assert found == wanted, (filters, found)


def test_all_of_them_count_and_none_given_lets_all_through(filled: None, rows: Rows) -> None:
    both = {
        "date_from": "2026-01-31",
        "properties": [
            {"key": "plan", "value": "pro", "type": "person"},
            {"key": "price", "operator": "gt", "value": 1},
        ],
    }
    assert rows(FILTERED, filters=both) == [["u2"]]
    assert len(rows(FILTERED)) == 4
    counted = "SELECT count() AS c FROM (SELECT 1 AS x FROM events WHERE {filters} AND event = {e})"
    assert rows(counted, filters=both, values={"e": "open"}) == [[1]]


def test_values_are_sent_beside_the_text(filled: None, ask: Ask, alice: Any, team: Team) -> None:
    body = {"query": FILTERED, "filters": one("browser", value="Firefox")}
    answer = alice.post(f"/api/environments/{team.pk}/queries/plan/", body, "json")
    assert "Firefox" not in answer.json()["legs"][0]["sql"]


@pytest.mark.parametrize(
    ("query", "more", "code", "field"),
    [
        ("SELECT 1 AS x", {"filters": {}}, "hogql_values", "query"),
        ("SELECT id FROM persons WHERE {filters}", {}, "hogql_refused", "query"),
        ("SELECT 1 AS x FROM events a JOIN events b ON a.uuid = b.uuid WHERE {filters}", {},
         "hogql_refused", "query"),
        ("SELECT d.event FROM (SELECT event FROM events) AS d WHERE {filters}", {},
         "hogql_refused", "query"),
        ("SELECT event FROM events WHERE event IN {filters}", {}, "hogql_values", "query"),
        (FILTERED, {"values": {"filters": 1}}, "invalid_input", "values.filters"),
        (FILTERED, {"values": {"filters": AS_IT_WAITS}}, "invalid_input", "values.filters"),
        (FILTERED, {"filters": {"date_from": "soon"}}, "invalid_input", "filters.date_from"),
        (FILTERED, {"filters": {"date_to": "9999-12-31"}}, "invalid_input", "filters.date_to"),
        (FILTERED, {"filters": {"dates": 1}}, "invalid_input", "filters.dates"),
        (FILTERED, {"filters": one("a", "regex", "x")}, "invalid_input",
         "filters.properties.0.operator"),
        (FILTERED, {"filters": one("a", "gt", "x")}, "invalid_input",
         "filters.properties.0.value"),
        (FILTERED, {"filters": one("a", "gt", True)}, "invalid_input",
         "filters.properties.0.value"),
        (FILTERED, {"filters": one("a", "icontains", ["x", "y"])}, "invalid_input",
         "filters.properties.0.value"),
        (FILTERED, {"filters": one("a")}, "invalid_input", "filters.properties.0.value"),
        (FILTERED, {"filters": one("a", value=[[1]])}, "invalid_input",
         "filters.properties.0.value"),
        (FILTERED, {"filters": one("a", "is_set", 1)}, "invalid_input",
         "filters.properties.0.value"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    ask: Ask, query: str, more: dict[str, Any], code: str, field: str
) -> None:
    assert list(problem(ask(query, **more), 400, code)["fields"]) == [field]
