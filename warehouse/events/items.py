"""An event or a person as it is given, in a file or over the API, judged field by field."""

import json
import math
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

MAX_NAME_CHARS = 400
"""Of an event's name, and of a distinct id."""
MAX_PROPERTIES_BYTES = 1_000_000
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)
"""What the store's column of times holds. Source: ClickHouse, DateTime64."""
EVENT_FIELDS = frozenset(
    ("uuid", "event", "timestamp", "distinct_id", "properties", "$set", "$set_once")
)
PERSON_FIELDS = frozenset(("id", "distinct_ids", "properties", "created_at", "version"))
SETS = ("$set", "$set_once")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
Document = Mapping[str, Any]


class ItemUnfit(ValueError):
    """An item cannot be taken: the field at fault, and why."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}" if field else reason)


class Event(NamedTuple):
    """One event; ``properties`` as JSON, ``sets`` what it says of its person."""

    uuid: str
    event: str
    timestamp: datetime
    distinct_id: str
    properties: str
    sets: Document
    """``$set`` and ``$set_once``, if there are any."""


class Person(NamedTuple):
    """One person, under all the distinct ids that are given; ``properties`` as JSON."""

    id: str
    distinct_ids: tuple[str, ...]
    properties: str
    created_at: datetime
    version: int


def event_of(item: object, now: datetime | None = None, known_as: uuid.UUID | None = None) -> Event:
    """The event, at ``now`` where it names no time; raises ItemUnfit, also where neither is given.

    One without a uuid gets ``known_as``, or a new one.
    """
    given = _fields(item, EVENT_FIELDS)
    properties = _document(given, "properties")
    # Where PostHog's clients put them, too.
    sets = {
        name: _document(said, name)
        for name in SETS
        for said in (given, properties)
        if said.get(name)
    }
    if sets:
        properties = {**properties, **sets}
    timestamp = _moment(given, "timestamp") or now
    if timestamp is None:
        raise ItemUnfit("timestamp", "Say when it happened.")
    return Event(
        _uuid(given, "uuid") or str(known_as or uuid.uuid4()),
        _text(given.get("event"), "event"),
        timestamp,
        _text(given.get("distinct_id"), "distinct_id"),
        json_of(properties),
        sets,
    )


def person_of(item: object, now: datetime, team_id: object) -> Person:
    """The person; one without a version is newer than all before. Raises ItemUnfit."""
    given = _fields(item, PERSON_FIELDS)
    found = given.get("distinct_ids")
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        raise ItemUnfit("distinct_ids", "Give a list of one distinct id or more.")
    ids = tuple(_text(one, f"distinct_ids.{place}") for place, one in enumerate(found))
    version = given.get("version")
    if version is None:
        version = version_at(now)
    if type(version) is not int or not 0 <= version < 2**64:
        raise ItemUnfit("version", "Give a whole number from 0 on.")
    return Person(
        _uuid(given, "id") or person_id(team_id, ids[0]),
        ids,
        json_of(_document(given, "properties")),
        _moment(given, "created_at") or now,
        version,
    )


def person_id(team_id: object, distinct_id: str) -> str:
    """Of a person of whom nothing but a distinct id is known: the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{team_id}:{distinct_id}"))


def version_at(now: datetime) -> int:
    """Microseconds since 1970: what is written later is newer."""
    return int(now.timestamp() * 1_000_000)


def exact_json(text: str | bytes) -> Any:
    """What a text of JSON says, integers with all their digits; raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("It is nested too deeply.") from None


def _no_number(name: str) -> float:
    # Python's parser takes NaN, which would be written as null.
    raise ValueError(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def json_of(document: Document) -> str:
    """Its JSON; raises ItemUnfit where that is too much."""
    try:
        text = orjson.dumps(document)
    except TypeError:
        # It has integers of 64 bits at most.
        text = _plain_json(document)
    if len(text) > MAX_PROPERTIES_BYTES:
        raise ItemUnfit("properties", f"This is more than {MAX_PROPERTIES_BYTES:,} bytes of JSON.")
    return text.decode()


def _plain_json(document: Document) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeError:
        raise ItemUnfit("properties", "This holds a character that is not text.") from None


def _fields(item: object, known: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise ItemUnfit("", "This is no JSON object.")
    if unknown := item.keys() - known:
        raise ItemUnfit(min(map(str, unknown)), "There is no such field.")
    return item


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS:
        raise ItemUnfit(field, f"Give a text of 1 to {MAX_NAME_CHARS} characters.")
    return value


def _uuid(given: Mapping[str, Any], field: str) -> str:
    value = given.get(field)
    if value is None:
        return ""
    text = str(value) if isinstance(value, uuid.UUID) else value
    if not isinstance(text, str) or not _UUID.fullmatch(text):
        raise ItemUnfit(field, "Give a uuid as 8-4-4-4-12 hexadecimal digits.")
    return text


def _moment(given: Mapping[str, Any], field: str) -> datetime | None:
    value = given.get(field)
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ItemUnfit(field, "Give a time in ISO 8601, as 2026-01-31T12:00:00Z.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if not FIRST <= found < LAST:
        raise ItemUnfit(field, f"Give a time from {FIRST.year} to {LAST.year}.")
    return found


def _document(given: Mapping[str, Any], field: str) -> Document:
    value = given.get(field)
    if isinstance(value, str):
        try:
            value = exact_json(value)
        except ValueError:
            value = ()
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ItemUnfit(field, "Give a JSON object.")
    return value
