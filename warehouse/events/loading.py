"""A file into the team's tables: in parts, each on disk before the next is read.

Loading a file again changes nothing, also after it was cut off: an event is known by its uuid, and
one that has none by its line's number and text.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from connectors.errors import InvalidInput
from warehouse.events.files import UNREADABLE, Line, Lines
from warehouse.events.items import ItemUnfit, event_of, person_of
from warehouse.events.persons import apply_sets
from warehouse.events.writing import write_events, write_persons

PART, PART_BYTES = 50_000, 32 * 2**20
"""Rows that are written, and held in memory, together; and their text, about."""
MAX_TOLD = 10
Item = TypeVar("Item")


class FileUnfit(InvalidInput):
    """A file cannot be read, or has a line that cannot be taken."""

    code = "file_unfit"
    message = "The file cannot be loaded."
    hint = "Correct it and load it again: what is in the store already is not doubled."


@dataclass
class Loaded:
    """How far a load has come."""

    rows: int = 0
    bad: int = 0
    """Lines that were left out."""
    position: int = 0
    """In bytes of the file."""
    told: list[str] = field(default_factory=list)
    """Of the first of the bad lines: where, and why."""


Report = Callable[[Loaded], None]


def load_events(team_id: object, path: Path, report: Report, *, skip_bad: bool = False) -> Loaded:
    """Every event of a file. Raises FileUnfit, TableMapped and ConnectorError."""
    load = _Load(path, report, skip_bad=skip_bad)
    for part in load.parts(lambda line: event_of(line.item, None, _known_as(line))):
        now = datetime.now(UTC)
        write_events(team_id, part, now)
        apply_sets(team_id, part, now)
    return load.so_far


def load_persons(team_id: object, path: Path, report: Report, *, skip_bad: bool = False) -> Loaded:
    """Every person of a file. Raises as ``load_events`` does."""
    load, now = _Load(path, report, skip_bad=skip_bad), datetime.now(UTC)
    for part in load.parts(lambda line: person_of(line.item, now, team_id)):
        write_persons(team_id, part)
    return load.so_far


class _Load:
    """One file on its way, and how far it is."""

    def __init__(self, path: Path, report: Report, *, skip_bad: bool) -> None:
        self.so_far = Loaded()
        self._path = path
        self._file = Lines(path)
        self._report = report
        self._skip_bad = skip_bad

    def parts(self, item_of: Callable[[Line], Item]) -> Iterator[list[Item]]:
        """The file's items; a part counts when the next is asked for."""
        part, size = list[Item](), 0
        for line in self._file_lines():
            try:
                part.append(self._item(line, item_of))
            except ItemUnfit as exc:
                self._leave_out(line, exc)
            size += len(line.text)
            if len(part) == PART or size >= PART_BYTES:
                yield part
                self._count(part)
                part, size = [], 0
        yield part
        self._count(part)

    def _file_lines(self) -> Iterator[Line]:
        try:
            yield from self._file
        except UNREADABLE as exc:
            reason = getattr(exc, "strerror", None) or "it is cut off, or not of its kind"
            raise FileUnfit(f"{self._path.name} cannot be read: {reason}.") from exc

    def _item(self, line: Line, item_of: Callable[[Line], Item]) -> Item:
        if line.fault:
            raise ItemUnfit("", line.fault)
        return item_of(line)

    def _leave_out(self, line: Line, fault: ItemUnfit) -> None:
        told = f"Line {line.number:,}: {fault}"
        if not self._skip_bad:
            raise FileUnfit(f"{told} {self.so_far.rows:,} rows before it were loaded.")
        self.so_far.bad += 1
        if len(self.so_far.told) < MAX_TOLD:
            self.so_far.told.append(told)

    def _count(self, part: Sequence[object]) -> None:
        self.so_far.rows += len(part)
        self.so_far.position = self._file.position
        self._report(self.so_far)


def _known_as(line: Line) -> uuid.UUID:
    digest = hashlib.sha256(b"%d:%b" % (line.number, line.text.strip())).digest()
    return uuid.UUID(bytes=digest[:16])
