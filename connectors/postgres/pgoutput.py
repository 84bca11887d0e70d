"""The messages of Postgres' own output plugin for logical replication, protocol version 1.

Nothing is taken on trust: bytes that are no such message raise Malformed. Source: PostgreSQL
documentation, Logical Replication Message Formats.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from connectors.postgres.fields import Malformed


class Unsent(Enum):
    """Stands for a value out of line (TOAST) that a change has left as it was."""

    VALUE = "unsent"


Value: TypeAlias = str | Unsent | None
Row: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class Relation:
    """A table as it was when what follows was written; ``identity`` marks its replica identity."""

    schema: str
    name: str
    columns: tuple[str, ...]
    identity: tuple[bool, ...]


@dataclass(frozen=True)
class Begin:
    """What follows was committed together; ``lsn`` is where the commit lies in the log."""

    lsn: int
    transaction: int


@dataclass(frozen=True)
class Upsert:
    """A row that is there now, and what it was, as far as that was sent.

    ``old_key`` has NULL for all but the identity; it comes when that has changed. ``old`` comes
    where the identity is the whole row.
    """

    relation: Relation
    new: Row
    old_key: Row | None = None
    old: Row | None = None


@dataclass(frozen=True)
class Delete:
    """A row that has gone; of ``old`` at least the identity was sent."""

    relation: Relation
    old: Row


@dataclass(frozen=True)
class Truncate:
    """These tables are empty now."""

    relations: tuple[Relation, ...]


Message: TypeAlias = Begin | Upsert | Delete | Truncate


def messages(raw: Iterable[bytes]) -> Iterator[Message]:
    """What the messages say, in their order; those without a row of a table are left out.

    Values are text, as the server's output functions write it.
    """
    relations: dict[int, Relation] = {}
    for message in raw:
        reader = _Reader(message)
        kind = reader.take(1)
        match kind:
            case b"B":
                lsn, _time = reader.number(8), reader.number(8)
                yield Begin(lsn, reader.number(4))
            case b"R":
                oid = reader.number(4)
                relations[oid] = _relation(reader)
            case b"I" | b"U" | b"D":
                yield _change(kind, reader, _known(relations, reader.number(4)))
            case b"T":
                count, _options = reader.number(4), reader.number(1)
                ids = [reader.number(4) for _ in range(count)]
                yield Truncate(tuple(_known(relations, oid) for oid in ids))
            case b"C" | b"O" | b"Y" | b"M":
                continue
            case _:
                raise Malformed
        reader.end()


def _known(relations: dict[int, Relation], oid: int) -> Relation:
    try:
        return relations[oid]
    except KeyError:
        raise Malformed from None


def _relation(reader: "_Reader") -> Relation:
    schema, name = reader.text(), reader.text()
    _identity_kind, count = reader.number(1), reader.number(2)
    columns = []
    for _ in range(count):
        flags, column = reader.number(1), reader.text()
        _type, _modifier = reader.number(4), reader.number(4)
        columns.append((column, bool(flags & 1)))
    # An empty schema stands for pg_catalog.
    return Relation(
        schema or "pg_catalog", name, tuple(c for c, _ in columns), tuple(k for _, k in columns)
    )


def _change(kind: bytes, reader: "_Reader", relation: Relation) -> Message:
    part = reader.take(1)
    old: dict[bytes, Row] = {}
    if part in (b"K", b"O"):
        old[part] = _row(reader, relation)
        if kind == b"D":
            return Delete(relation, old[part])
        part = reader.take(1)
    if kind == b"D" or part != b"N":
        raise Malformed
    return Upsert(relation, _row(reader, relation), old.get(b"K"), old.get(b"O"))


def _row(reader: "_Reader", relation: Relation) -> Row:
    if reader.number(2) != len(relation.columns):
        raise Malformed
    return tuple(reader.value() for _ in relation.columns)


class _Reader:
    """Takes a message apart from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise Malformed
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        """Up to a byte of zero, which is passed over."""
        end = self._data.find(0, self._at)
        found = self.take(end - self._at)
        self._at += 1
        return _decoded(found)

    def value(self) -> Value:
        match self.take(1):
            case b"n":
                return None
            case b"u":
                return Unsent.VALUE
            case b"t":
                return _decoded(self.take(self.number(4)))
            case _:
                raise Malformed

    def end(self) -> None:
        if self._at != len(self._data):
            raise Malformed


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Malformed from None


def key_of(row: Sequence[Value], places: Sequence[int]) -> tuple[str, ...]:
    """The values at these places, none of which is NULL or unsent; else raises Malformed."""
    key = tuple(value for place in places if isinstance(value := row[place], str))
    if len(key) != len(places):
        raise Malformed
    return key
