"""What events say of their persons: ``$set``, and ``$set_once`` for what is not known yet."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from django.db import connection

from warehouse.events.items import Event, ItemUnfit, Person, json_of, person_id, version_at
from warehouse.events.tables import PERSON_IDS, PERSONS, Kept, with_tables
from warehouse.events.writing import write_persons
from warehouse.store import client, names

log = structlog.get_logger(__name__)

KEY_CHARS_AT_ONCE = 25_000
"""A value beside a query has 128 KiB at most, and a character five bytes: four, or a backslash
before it. Source: ClickHouse, http_max_field_value_size."""


def apply_sets(team_id: object, events: Sequence[Event], now: datetime) -> None:
    """Change the persons as the events say, in their order; a distinct id without one gets one.

    Raises as ``write_persons`` does.
    """
    said = [event for event in events if event.sets]
    if not said:
        return
    with _alone(team_id):
        ids = _ids(team_id, [event.distinct_id for event in said])
        persons = _persons(team_id, list(ids.values()))
        for event in said:
            key = ids.get(event.distinct_id) or person_id(team_id, event.distinct_id)
            known = persons.get(key) or Person(key, (), "{}", now, 0)
            try:
                persons[key] = _changed(known, event, now)
            except ItemUnfit:
                # The events are written by now, and a person that is full must not stop others.
                log.warning("person.not_changed", team=str(team_id), person=key)
        changed = {key: person for key, person in persons.items() if person.distinct_ids}
        write_persons(team_id, list(changed.values()))


@contextmanager
def _alone(team_id: object) -> Iterator[None]:
    """One at a time for each team: of two that read and then write, one would be lost."""
    key = [f"persons of {team_id}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", key)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)


def _changed(person: Person, event: Event, now: datetime) -> Person:
    properties = {
        **event.sets.get("$set_once", {}),
        **json.loads(person.properties),
        **event.sets.get("$set", {}),
    }
    ids = dict.fromkeys((*person.distinct_ids, event.distinct_id))
    version = max(version_at(now), person.version + 1)
    return Person(person.id, tuple(ids), json_of(properties), person.created_at, version)


def _ids(team_id: object, distinct_ids: Sequence[str]) -> dict[str, str]:
    """The persons' ids by those of the distinct ids that have one."""
    found = _rows(team_id, PERSON_IDS, "distinct_id, toString(person_id) AS id", distinct_ids)
    return {row["distinct_id"]: row["id"] for row in found}


def _persons(team_id: object, ids: Sequence[str]) -> dict[str, Person]:
    """Those persons as they are, without distinct ids."""
    columns = "toString(id) AS key, properties, created_at, version"
    return {
        row["key"]: Person(
            row["key"], (), row["properties"], row["created_at"].astimezone(UTC), row["version"]
        )
        for row in _rows(team_id, PERSONS, columns, ids)
    }


def _rows(
    team_id: object, table: Kept, columns: str, keys: Sequence[str]
) -> Iterator[dict[str, Any]]:
    key = names.quote(table.key)
    source = f"{names.quote(names.database(team_id))}.{names.quote(table.name)}"
    sql = f"SELECT {columns} FROM {source} FINAL WHERE {key} IN {{keys:Array(String)}}"
    for wanted in _at_once(dict.fromkeys(keys)):
        rows = with_tables(team_id, partial(client.owner().query, sql, {"keys": wanted}))
        yield from rows.read_all().to_pylist()


def _at_once(keys: Iterable[str]) -> Iterator[list[str]]:
    """The keys in their order, as many together as one query takes."""
    part, chars = list[str](), 0
    for key in keys:
        # With its quotes.
        length = len(key) + 2
        if part and chars + length > KEY_CHARS_AT_ONCE:
            yield part
            part, chars = [], 0
        part.append(key)
        chars += length
    if part:
        yield part
