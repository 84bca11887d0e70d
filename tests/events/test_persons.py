"""`$set` and `$set_once`: what events say of their persons."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from tests.events.conftest import Rows
from tests.store.running import Engine
from warehouse.events.batch import take
from warehouse.events.items import person_of
from warehouse.events.writing import write_persons
from warehouse.models import Team

NAMES = "SELECT person.properties.name AS name, person.properties.plan AS plan FROM events"
Say = Callable[..., int]


def event(of: str, **sets: Any) -> dict[str, Any]:
    return {"event": "e", "distinct_id": of} | {f"${name}": value for name, value in sets.items()}


@pytest.fixture
def say(store: Engine, team: Team) -> Say:
    return lambda *events: take(team.pk, events)


@pytest.mark.django_db
def test_a_person_is_what_was_set_last(say: Say, rows: Rows) -> None:
    say(event("u1", set={"name": "ann"}, set_once={"plan": "free"}))
    say(event("u1", set={"name": "bea"}, set_once={"plan": "pro", "age": 7}))
    say(event("u1", set={"name": "cleo"}), event("u1", set={"name": "dora"}))
    assert rows("SELECT properties FROM persons") == [['{"plan":"free","age":7,"name":"dora"}']]
    assert rows("SELECT count(DISTINCT person_id) AS c FROM events") == [[1]]
    assert rows("SELECT properties.$set.name AS n FROM events ORDER BY n") == [
        ["ann"], ["bea"], ["cleo"], ["dora"],
    ]  # fmt: skip


@pytest.mark.django_db
def test_distinct_ids_of_one_person_change_that_one(say: Say, rows: Rows, team: Team) -> None:
    ann = {"distinct_ids": ["u1", "u2"], "properties": {"name": "ann"}, "created_at": "2020-01-01"}
    write_persons(team.pk, [person_of(ann, datetime.now(UTC), team.pk)])
    say(event("u2", set={"plan": "pro"}), event("u1"), event("u9"))
    assert rows(f"{NAMES} ORDER BY name") == [["ann", "pro"], ["ann", "pro"], [None, None]]
    assert rows("SELECT created_at FROM persons") == [["2020-01-01T00:00:00Z"]]


@pytest.mark.django_db
def test_what_posthogs_clients_send_among_the_properties_counts(say: Say, rows: Rows) -> None:
    say({**event("u1"), "properties": {"$set": {"name": "ann"}, "x": 1}})
    assert rows(f"{NAMES} ORDER BY name") == [["ann", None]]


@pytest.mark.django_db
@pytest.mark.parametrize("sign", ["\U0001f600", "\\", "'", "\n"])
def test_long_distinct_ids_are_found_again(say: Say, rows: Rows, sign: str) -> None:
    ids = [f"{number}{sign * 396}" for number in range(150)]
    say(*(event(one, set={"name": "ann"}) for one in ids))
    say(*(event(one, set={"plan": "pro"}) for one in ids))
    assert rows(
        "SELECT properties.name AS name, properties.plan AS plan, count() FROM persons "
        "GROUP BY name, plan"
    ) == [["ann", "pro", 150]]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_a_time_none_is_lost(say: Say, rows: Rows) -> None:
    def one(number: int) -> None:
        say(event("u1", set={f"p{number}": number}))
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(16)))
    ((found,),) = rows("SELECT properties FROM persons")
    assert sorted(found.count(f'"p{n}"') for n in range(16)) == [1] * 16
