"""`events/`: a batch is written as a whole, and once."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.shapes import problem
from tests.events.conftest import Rows
from tests.store.running import Engine
from warehouse.events.batch import MAX_EVENTS
from warehouse.models import Team
from warehouse.store import client

Send = Callable[..., Any]
EVENT = {"event": "signup", "distinct_id": "u1"}
COUNT = "SELECT count() FROM events"


@pytest.fixture
def send(store: Engine, alice: APIClient, team: Team) -> Send:
    """Posts a batch of these events."""
    url = f"/api/environments/{team.pk}/events/"
    return lambda *batch: alice.post(url, {"batch": batch}, "json")


def test_events_are_there_when_the_answer_is(send: Send, rows: Rows, store: Engine) -> None:
    first = {**EVENT, "timestamp": "2026-01-31T13:00:00+01:00", "properties": {"plan": "pro"}}
    answer = send(first, {**EVENT, "distinct_id": "u2"})
    assert (answer.status_code, answer.json()) == (200, {"written": 2})
    store.kill()
    store.await_answer()
    assert rows(
        "SELECT distinct_id, timestamp > now() - INTERVAL 1 MINUTE AS is_new, properties.plan "
        "FROM events ORDER BY distinct_id"
    ) == [["u1", False, "pro"], ["u2", True, None]]


def test_a_batch_that_is_sent_again_doubles_nothing(send: Send, rows: Rows) -> None:
    batch = [{**EVENT, "uuid": str(uuid.UUID(int=n))} for n in range(5)]
    for _ in range(3):
        assert send(*batch).json() == {"written": 5}
    assert send(batch[0], batch[0]).status_code == 200
    assert rows(COUNT) == [[5]]
    assert rows("SELECT count() FROM events WHERE distinct_id = 'u1'") == [[5]]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"distinct_id": "u1"}, "batch.1.event"),
        ({**EVENT, "event": ""}, "batch.1.event"),
        ({**EVENT, "event": 1}, "batch.1.event"),
        ({**EVENT, "distinct_id": "x" * 401}, "batch.1.distinct_id"),
        ({**EVENT, "timestamp": "yesterday"}, "batch.1.timestamp"),
        ({**EVENT, "timestamp": 1767225600}, "batch.1.timestamp"),
        ({**EVENT, "timestamp": "1899-12-31"}, "batch.1.timestamp"),
        ({**EVENT, "uuid": "1"}, "batch.1.uuid"),
        ({**EVENT, "properties": [1]}, "batch.1.properties"),
        ({**EVENT, "properties": {"x": "y" * 1_000_001}}, "batch.1.properties"),
        ({**EVENT, "properties": '{"x": NaN}'}, "batch.1.properties"),
        ({**EVENT, "properties": '{"x": 1e400}'}, "batch.1.properties"),
        ({**EVENT, "properties": '{"x": ' + "[" * 9_999 + "]" * 9_999 + "}"}, "batch.1.properties"),
        ({**EVENT, "$set": "x"}, "batch.1.$set"),
        ({**EVENT, "team_id": "another"}, "batch.1.team_id"),
        ("signup", "batch.1"),
    ],
)
def test_one_bad_event_and_nothing_is_written(
    send: Send, rows: Rows, item: Any, field: str
) -> None:
    found = problem(send(EVENT, item), 400, "invalid_input")
    assert list(found["fields"]) == [field]
    assert rows(COUNT) == [[0]]


def test_a_batch_has_bounds(send: Send) -> None:
    assert list(problem(send(), 400, "invalid_input")["fields"]) == ["batch"]
    many = [{}] * (MAX_EVENTS + 1)
    assert list(problem(send(*many), 400, "invalid_input")["fields"]) == ["batch"]
    assert len(problem(send(*many[:200]), 400, "invalid_input")["fields"]) == 100


def test_long_numbers_keep_their_digits(send: Send, rows: Rows) -> None:
    assert send({**EVENT, "properties": {"n": 123456789012345678901234567890}}).status_code == 200
    assert rows("SELECT properties.n FROM events") == [["123456789012345678901234567890"]]


def test_no_team_sees_another_teams_events(
    send: Send, rows: Rows, client_of: Callable[[str], APIClient], other_team: Team
) -> None:
    assert send(EVENT).status_code == 200
    stranger = client_of("charlie")
    url = f"/api/environments/{other_team.pk}/queries/"
    answer = stranger.post(url, {"query": COUNT}, "json")
    assert b'"rows":[[0]]' in answer.getvalue()
    assert rows(COUNT) == [[1]]


def test_without_a_store_the_caller_is_told(settings: Any, alice: APIClient, team: Team) -> None:
    settings.CLICKHOUSE_URL = settings.STORE_PATH = ""
    answer = alice.post(f"/api/environments/{team.pk}/events/", {"batch": [EVENT]}, "json")
    problem(answer, 502, "store_not_configured")


def test_a_deleted_teams_events_are_dropped(
    send: Send, team: Team, django_capture_on_commit_callbacks: Any
) -> None:
    assert send(EVENT).status_code == 200
    count = "SELECT count() FROM system.databases WHERE name LIKE {name:String}"
    name = {"name": f"team%{team.pk.hex}"}
    assert client.owner().command(count, name) == 1
    with django_capture_on_commit_callbacks(execute=True):
        team.delete()
    assert client.owner().command(count, name) == 0


def test_a_team_is_deleted_also_when_the_store_is_silent(
    settings: Any, tmp_path: Any, team: Team, django_capture_on_commit_callbacks: Any
) -> None:
    settings.CLICKHOUSE_URL, settings.STORE_PATH = "", str(tmp_path)
    with django_capture_on_commit_callbacks(execute=True):
        team.delete()
    assert not Team.objects.exists()
