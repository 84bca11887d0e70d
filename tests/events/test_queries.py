"""`queries/`: HogQL over events and persons."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from rest_framework.test import APIClient

from connectors.errors import QueryCancelled
from tests.api.shapes import problem, result
from tests.events.conftest import Ask, Rows
from tests.hogql.battery import BATTERY, VALUES
from tests.hogql.compare import same
from tests.hogql.test_battery import _sayable
from tests.store.running import Engine
from tests.waiting import wait_for
from warehouse import query_executor
from warehouse.events.batch import take
from warehouse.events.items import person_of
from warehouse.events.writing import write_persons
from warehouse.models import Team
from warehouse.store import client

pytestmark = pytest.mark.django_db
SAYABLE = _sayable("clickhouse", BATTERY, "SELECT {} FROM (" + VALUES + ") AS t")
COUNT_OF = "SELECT count() FROM system.processes WHERE query_id = {id:String}"
PEOPLE = [("ann", ["u1", "u2"], "pro"), ("bea", ["u3"], "free")]
EVENTS = [
    ("u1", "open", {"$browser": "Firefox", "price": 1.5, "cart": {"items": [1, 2]}}),
    ("u2", "open", {"$browser": "Chrome", "price": "2.5", "is_new": True}),
    ("u3", "buy", {"$browser": "Chrome", "price": "much", "note": 'it\'s\n"odd" é'}),
    ("u4", "buy", {"$browser": None}),
]


@pytest.fixture
def filled(store: Engine, team: Team) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    persons = [
        {"distinct_ids": ids, "properties": {"name": name, "plan": plan}}
        for name, ids, plan in PEOPLE
    ]
    write_persons(team.pk, [person_of(person, now, team.pk) for person in persons])
    take(
        team.pk,
        [
            {"distinct_id": of, "event": event, "properties": properties, "timestamp": f"{now}"}
            for of, event, properties in EVENTS
        ],
    )


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (
            "SELECT properties.$browser, count() AS c FROM events GROUP BY properties.$browser "
            "ORDER BY c DESC, properties.$browser",
            [["Chrome", 2], ["Firefox", 1], [None, 1]],
        ),
        ("SELECT sum(toFloat(properties.price)) AS s FROM events", [[4.0]]),
        ("SELECT sum(CAST(properties.price AS Float)) AS s FROM events", [[4.0]]),
        (
            "SELECT toInt(properties.price) AS p FROM events ORDER BY distinct_id",
            [[1], [2], [None], [None]],
        ),
        ("SELECT properties.note FROM events WHERE distinct_id = 'u3'", [['it\'s\n"odd" é']]),
        ("SELECT e.properties.cart.items AS i FROM events e WHERE i IS NOT NULL", [["[1,2]"]]),
        ("SELECT event FROM events WHERE CAST(properties.is_new AS Bool)", [["open"]]),
        ("SELECT properties.is_new AS n FROM events WHERE n IS NOT NULL", [["true"]]),
        (
            "SELECT person.properties.name AS n, count() AS c FROM events GROUP BY n ORDER BY n",
            [["ann", 2], ["bea", 1], [None, 1]],
        ),
        ("SELECT count(DISTINCT person_id) AS c FROM events", [[2]]),
        (
            "SELECT e.event FROM events e JOIN persons p ON e.person_id = p.id "
            "WHERE p.properties.plan = {plan} AND e.person.properties.name = 'ann' GROUP BY 1",
            [["open"]],
        ),
        (
            "SELECT d.name, d.n FROM (SELECT person.properties.name AS name, count() AS n "
            "FROM events WHERE person.properties.plan = {plan} GROUP BY name) AS d",
            [["ann", 2]],
        ),
        (
            "SELECT a.distinct_id AS x, b.distinct_id AS y FROM events a JOIN events b "
            "ON a.event = b.event AND a.distinct_id < b.distinct_id "
            "WHERE a.person.id = b.person.id",
            [["u1", "u2"]],
        ),
        (
            "WITH p AS (SELECT properties AS doc, distinct_id FROM events) "
            "SELECT p.doc.price FROM p WHERE p.distinct_id = 'u2'",
            [["2.5"]],
        ),
        (
            "SELECT distinct_id FROM events WHERE distinct_id IN "
            "(SELECT distinct_id FROM person_distinct_ids WHERE person.properties.plan = 'free')",
            [["u3"]],
        ),
        (
            "WITH persons AS (SELECT 1 AS id), person_distinct_ids AS (SELECT 'u4' AS distinct_id) "
            "SELECT e.distinct_id, e.person.properties.name AS n FROM events e "
            "JOIN person_distinct_ids p ON p.distinct_id > e.distinct_id ORDER BY e.distinct_id",
            [["u1", "ann"], ["u2", "ann"], ["u3", "bea"]],
        ),
        (
            "SELECT distinct_id, (SELECT count() FROM person_distinct_ids p "
            "WHERE p.distinct_id = e.distinct_id) AS n FROM events e WHERE distinct_id > 'u2' "
            "ORDER BY distinct_id",
            [["u3", 1], ["u4", 0]],
        ),
        (
            "SELECT distinct_id FROM events e WHERE 1 > (SELECT countIf(p.version > 0 AND true) "
            "FROM person_distinct_ids p WHERE p.distinct_id = e.distinct_id)",
            [["u4"]],
        ),
        ("SELECT toStartOfDay(timestamp) AS d FROM events LIMIT 1", [["2026-01-31T00:00:00Z"]]),
        ("SELECT count() FROM events WHERE timestamp >= '2026-01-31 12:00:00'", [[4]]),
    ],
)
def test_what_a_query_gives(filled: None, rows: Rows, query: str, wanted: Any) -> None:
    values = {"plan": "pro"} if "{plan}" in query else {}
    assert rows(query, values=values) == wanted


def test_uuids_are_told_and_compared_as_text(filled: None, rows: Rows) -> None:
    ((found, person),) = rows("SELECT uuid, person_id FROM events WHERE distinct_id = 'u1'")
    assert uuid.UUID(found)
    assert rows("SELECT count() FROM events AS a JOIN persons AS b ON a.person_id = b.id") == [[3]]
    text = "SELECT lower(concat(uuid, '')) AS x FROM events WHERE distinct_id = 'u1'"
    assert rows(text) == [[found]]
    again = "SELECT distinct_id FROM events WHERE uuid = {found} AND person_id = {person}"
    assert rows(again, values={"found": found, "person": person}) == [["u1"]]


@pytest.mark.parametrize(
    ("query", "code", "where"),
    [
        ("SELECT propertees.x FROM events", "hogql_unknown_name", "Line 1, column 8 (offset 7)."),
        ("SELECT event.x FROM events", "hogql_unknown_name", "Line 1, column 8 (offset 7)."),
        ("SELECT person FROM events", "hogql_unknown_name", "Line 1, column 8 (offset 7)."),
        ("SELECT 1 FROM\n  event", "hogql_unknown_name", "Line 2, column 3 (offset 16)."),
        ("SELECT 1 FROM system.users", "hogql_unknown_name", "Line 1, column 15 (offset 14)."),
        ("SELECT 1 FROM file('/etc/passwd')", "hogql_refused", "Line 1, column 15 (offset 14)."),
        ("SELECT properties.x + 1 FROM events", "hogql_type", "Line 1, column 8 (offset 7)."),
        (
            "SELECT properties.x FROM events a JOIN events b ON true",
            "hogql_ambiguous_name",
            "Line 1, column 8 (offset 7).",
        ),
        (
            "SELECT 1 FROM persons p JOIN events e ON e.person_id = p.id",
            "hogql_refused",
            "Line 1, column 30 (offset 29).",
        ),
        ("SELECT {x}", "hogql_values", "Line 1, column 8 (offset 7)."),
        (
            "SELECT (SELECT coalesce(sum(version), 0) FROM persons p WHERE p.id = e.uuid) AS s "
            "FROM events e",
            "hogql_refused",
            "Line 1, column 16 (offset 15).",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(ask: Ask, query: str, code: str, where: str) -> None:
    assert problem(ask(query), 400, code)["fields"] == {"query": where}


def test_a_limit_cuts(filled: None, ask: Ask) -> None:
    found = result(ask("SELECT distinct_id FROM events ORDER BY distinct_id", max_rows=2))
    assert (found["rows"], found["truncated"]) == ([["u1"], ["u2"]], True)
    assert found["stats"]["bytes_billed"] == 0


def test_a_team_without_a_database_has_no_events_yet(rows: Rows) -> None:
    assert rows("SELECT count() FROM events") == [[0]]
    assert rows("SELECT * FROM persons") == []


def test_an_analyst_asks_and_does_not_write(
    filled: None, client_of: Callable[[str], APIClient], team: Team
) -> None:
    bob, url = client_of("bob"), f"/api/environments/{team.pk}/"
    answer = bob.post(f"{url}queries/", {"query": "SELECT count() AS c FROM events"}, "json")
    assert result(answer)["rows"] == [[4]]
    problem(bob.post(f"{url}events/", {"batch": []}, "json"), 403, "forbidden")


def test_every_expression_is_worth_the_same_behind_the_gate(store: Engine, team: Team) -> None:
    exprs = ", ".join(f"{expr} AS c{n}" for n, (expr, _) in enumerate(SAYABLE))
    with query_executor.run_hogql(team, f"SELECT {exprs} FROM ({VALUES}) AS t") as run:
        run.start()
        (row,) = (row for batch in run for row in batch.to_pylist())
    wrong = [
        (expr, ours, wanted)
        for (expr, wanted), ours in zip(SAYABLE, row.values(), strict=True)
        if not same(ours, wanted)
    ]
    assert not wrong, wrong


def test_the_command_needs_no_connection(filled: None, team: Team) -> None:
    out = StringIO()
    sql = "SELECT person.properties.name AS name FROM events ORDER BY name"
    call_command("query", sql, "--team", str(team.pk), "--json", stdout=out)
    assert out.getvalue().splitlines() == [
        '{"name": "ann"}', '{"name": "ann"}', '{"name": "bea"}', '{"name": null}'
    ]  # fmt: skip
    with pytest.raises(CommandError, match=r"hogql_unknown_name: .* Line 1, column 8"):
        call_command("query", "SELECT x FROM events", "--team", str(team.pk))
    with pytest.raises(CommandError, match="--team"):
        call_command("query", sql)
    out = StringIO()
    call_command("query", sql, "--team", str(team.pk), "--plan", stdout=out)
    assert out.getvalue().startswith("local: the store\nSELECT ")


@pytest.mark.django_db(transaction=True)
def test_a_query_is_ended_when_it_is_cancelled(store: Engine, team: Team) -> None:
    take(team.pk, [{"event": "e", "distinct_id": f"u{n}"} for n in range(5_000)])
    every_three = "SELECT count() FROM events AS a CROSS JOIN events AS b CROSS JOIN events AS c"
    run = query_executor.run_hogql(team, every_three)

    def start() -> None:
        try:
            run.start()
        finally:
            database.close()

    with run, ThreadPoolExecutor(1) as pool:
        started = pool.submit(start)
        wait_for(lambda: client.owner().command(COUNT_OF, {"id": run.run_id}) == 1, 10)
        assert run.cancel()
        with pytest.raises(QueryCancelled):
            started.result(10)
    assert client.owner().command(COUNT_OF, {"id": run.run_id}) == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT event FROM events WHERE event LIKE '%\\\\'", "data_error"),
        ("SELECT 1 AS x" + " UNION ALL SELECT 1 AS x" * 60, "limit_exceeded"),
        ("SELECT 1 AS x" + " UNION ALL SELECT 1 AS x" * 1_500, "hogql_too_complex"),
        (f"SELECT x FROM ({'SELECT 1 AS x UNION ALL ' * 150} SELECT 1 AS x)", "hogql_too_complex"),
    ],
    ids=["pattern", "60 parts", "1,500 parts", "150 parts in FROM"],
)
def test_query_that_the_store_cannot_take_is_the_askers_to_change(
    ask: Ask, query: str, code: str
) -> None:
    problem(ask(query), 400, code)


MOST = "9999999999999999999999999999.9999999999"
"""All of 38 digits; twice as much does not fit into 128 bits."""


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT {MOST} * 2 AS x",
        "SELECT 12.000000000000000001 * 30.000000000000000001 AS x",
        f"SELECT sum(x) AS x FROM (SELECT {MOST} AS x UNION ALL SELECT {MOST} AS x) AS a",
        f"SELECT sum(x) OVER () AS x FROM (SELECT {MOST} AS x UNION ALL SELECT {MOST} AS x) AS a",
    ],
)
def test_decimal_that_the_store_cannot_hold_is_an_error_and_no_other_number(
    ask: Ask, query: str
) -> None:
    problem(ask(query), 400, "data_error")


def test_decimals_keep_all_digits_that_the_store_can_hold(rows: Rows) -> None:
    low = MOST.replace("9", "4")
    twice = f"(SELECT {low} AS x UNION ALL SELECT {low} AS x) AS a"
    assert rows(f"SELECT sum(x) AS s, sum(DISTINCT x) AS d FROM {twice}") == [
        [MOST.replace("9", "8"), low]
    ]
    assert rows(f"SELECT {low} * 2 AS x, 1.5 * 2.25 AS y, -0.1 * 3 AS z") == [
        [MOST.replace("9", "8"), "3.375", "-0.3"]
    ]


def test_truth_values_are_no_numbers(ask: Ask) -> None:
    one = "SELECT 1 AS n UNION ALL SELECT 2 AS n"
    asked = "n = 1 AS a, n IN (2) AS b, n > 0 AND n < 9 AS c"
    found = result(ask(f"SELECT {asked} FROM ({one}) AS q ORDER BY n"))
    assert found["rows"] == [[True, False, True], [False, True, True]]
    assert {column["type"] for column in found["columns"]} == {"bool"}
    found = result(ask("SELECT 1 = 1 AS a UNION DISTINCT SELECT 1 = 2 AS a"))
    assert sorted(found["rows"]) == [[False], [True]]
