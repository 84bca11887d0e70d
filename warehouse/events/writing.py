"""Events and persons into the store: on disk when a call returns, and there once however often."""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from warehouse.events.items import Event, Person
from warehouse.events.tables import EVENTS, PERSON_IDS, PERSONS, Kept, with_tables
from warehouse.store import client, names

_MOMENT = pa.timestamp("us", "UTC")
# A uuid as text: ClickHouse makes it one.
_EVENT = pa.schema(
    {
        "uuid": pa.string(),
        "event": pa.string(),
        "timestamp": _MOMENT,
        "distinct_id": pa.string(),
        "properties": pa.string(),
        "created_at": _MOMENT,
    }
)
_PERSON = pa.schema(
    {
        "id": pa.string(),
        "properties": pa.string(),
        "created_at": _MOMENT,
        "version": pa.uint64(),
    }
)
_PERSON_ID = pa.schema(
    {"distinct_id": pa.string(), "person_id": pa.string(), "version": pa.uint64()}
)


def write_events(team_id: object, events: Sequence[Event], now: datetime) -> None:
    """All of them; one whose uuid is there already takes its place.

    Raises TableMapped, and ConnectorError: then some may have been written, and all can be again.
    """
    rows = [(*event[:5], now) for event in events]
    _write(team_id, EVENTS, _EVENT, rows)


def write_persons(team_id: object, persons: Sequence[Person]) -> None:
    """All of them, and their distinct ids; of two with one id the greater version stands.

    Raises as ``write_events`` does.
    """
    ids = [
        (distinct_id, person.id, person.version)
        for person in persons
        for distinct_id in person.distinct_ids
    ]
    _write(team_id, PERSON_IDS, _PERSON_ID, ids)
    rows = [(one.id, one.properties, one.created_at, one.version) for one in persons]
    _write(team_id, PERSONS, _PERSON, rows)


def _write(
    team_id: object, table: Kept, schema: pa.Schema, rows: Sequence[tuple[object, ...]]
) -> None:
    table.refuse_mapped()
    if not rows:
        return
    columns = [
        pa.array(values, field.type)
        for values, field in zip(zip(*rows, strict=True), schema, strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    with_tables(
        team_id,
        lambda: client.owner().insert(names.database(team_id), table.name, schema, [batch]),
    )
