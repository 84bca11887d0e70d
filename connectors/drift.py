"""Schema drift: what happens when the columns of source and target are not the same.

Each kind of difference has one declared outcome for each contract. A destination finds the
differences, since only it knows its types, and writes the statements that alter its table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

import pyarrow as pa

from connectors.types import Contract

KEY = "primary key"
"""Where a key differs that is of several columns, in place of a column's name."""


class Kind(StrEnum):
    """How a column differs. One that was renamed is one dropped and one added."""

    ADDED = "added"
    DROPPED = "dropped"
    REQUIRED = "required"
    WIDENED = "widened"
    NARROWED = "narrowed"
    RETYPED = "retyped"
    KEY = "key"


class Outcome(StrEnum):
    """What a load does about it. Only ``alter`` changes the target, and only ``stop`` ends it."""

    ALTER = "alter"
    GO_ON = "go on"
    LEAVE_OUT = "leave out"
    STOP = "stop"


def _by_contract(evolve: Outcome, freeze: Outcome, quarantine: Outcome) -> dict[Contract, Outcome]:
    return {Contract.EVOLVE: evolve, Contract.FREEZE: freeze, Contract.QUARANTINE: quarantine}


RULES: dict[Kind, dict[Contract, Outcome]] = {
    Kind.ADDED: _by_contract(Outcome.ALTER, Outcome.STOP, Outcome.LEAVE_OUT),
    Kind.DROPPED: _by_contract(Outcome.GO_ON, Outcome.STOP, Outcome.GO_ON),
    Kind.REQUIRED: _by_contract(Outcome.ALTER, Outcome.STOP, Outcome.STOP),
    Kind.WIDENED: _by_contract(Outcome.ALTER, Outcome.STOP, Outcome.GO_ON),
    Kind.NARROWED: _by_contract(Outcome.GO_ON, Outcome.STOP, Outcome.GO_ON),
    Kind.RETYPED: _by_contract(Outcome.STOP, Outcome.STOP, Outcome.LEAVE_OUT),
    Kind.KEY: _by_contract(Outcome.STOP, Outcome.STOP, Outcome.STOP),
}

FOUND: dict[Kind, str] = {
    Kind.ADDED: "The target has no such column; the source has one of type {wanted}.",
    Kind.DROPPED: "The source has no such column.",
    Kind.REQUIRED: "The source has no such column, and the target takes no row without it.",
    Kind.WIDENED: "The target has {there}, the source needs {wanted}.",
    Kind.NARROWED: "The target has {there}, the source only {wanted}.",
    Kind.RETYPED: "The target has {there}, the source needs {wanted}.",
    Kind.KEY: "The target's key has {there}, the source's {wanted}.",
}

DONE: dict[tuple[Kind, Outcome], str] = {
    (Kind.ADDED, Outcome.ALTER): "It is added. Rows loaded before have NULL in it until they "
    "change at the source, or the table is loaded in full.",
    (Kind.ADDED, Outcome.LEAVE_OUT): "It is not loaded.",
    (Kind.DROPPED, Outcome.GO_ON): "It is kept: new rows have NULL in it, rows that are updated "
    "keep what they have.",
    (Kind.REQUIRED, Outcome.ALTER): "It is kept and takes NULL from now on.",
    (Kind.WIDENED, Outcome.ALTER): "It is widened.",
    (Kind.WIDENED, Outcome.GO_ON): "It stays so; a value that does not fit stops the load.",
    (Kind.NARROWED, Outcome.GO_ON): "It stays so: every value fits.",
    (Kind.RETYPED, Outcome.LEAVE_OUT): "It is not loaded: new rows have NULL in it, rows that are "
    "updated keep what they have.",
}
"""What a load does, for all outcomes but ``stop``, which needs no more words."""


@dataclass(frozen=True)
class Difference:
    """One column of the target, as the target names it, and its types on both sides."""

    kind: Kind
    column: str
    there: str = ""
    wanted: str = ""


@dataclass(frozen=True)
class Change:
    """A difference, what is done about it, and the statement that does it."""

    difference: Difference
    outcome: Outcome
    statement: str | None = None

    @property
    def sentence(self) -> str:
        found = self.difference
        said = FOUND[found.kind].format(there=found.there, wanted=found.wanted)
        return " ".join(filter(None, (said, DONE.get((found.kind, self.outcome)))))


@dataclass(frozen=True)
class LoadPlan:
    """What a load does to the target before any row: make it, or alter its columns."""

    creates: str | None = None
    changes: tuple[Change, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        """In order; running them again changes nothing."""
        found = (self.creates, *(change.statement for change in self.changes))
        return tuple(statement for statement in found if statement)

    @property
    def stops(self) -> dict[str, str]:
        """What keeps the rows from being loaded, by column."""
        return self._said(self._with(Outcome.STOP))

    @property
    def sentences(self) -> dict[str, str]:
        """All that differs and what is done about it, by column."""
        return self._said(self.changes)

    @property
    def left_out(self) -> frozenset[str]:
        """Columns, as the target names them, that are not loaded."""
        return frozenset(c.difference.column for c in self._with(Outcome.LEAVE_OUT))

    def _with(self, outcome: Outcome) -> list[Change]:
        return [change for change in self.changes if change.outcome is outcome]

    @staticmethod
    def _said(changes: Iterable[Change]) -> dict[str, str]:
        return {change.difference.column: change.sentence for change in changes}


def decide(
    differences: Iterable[Difference], contract: Contract, alter: Callable[[Difference], str | None]
) -> tuple[Change, ...]:
    """What to do about each, by the contract; ``alter`` writes the destination's statement, or
    has none where the destination cannot do that, which stops the load."""
    changes = []
    for difference in differences:
        outcome = RULES[difference.kind][contract]
        statement = alter(difference) if outcome is Outcome.ALTER else None
        if outcome is Outcome.ALTER and statement is None:
            outcome = Outcome.STOP
        changes.append(Change(difference, outcome, statement))
    return tuple(changes)


class Existing(Protocol):
    """A column of the target."""

    @property
    def required(self) -> bool:
        """It takes no NULL, and has no default."""


There = TypeVar("There", bound=Existing)
Compare = Callable[[str, pa.Field, There | None], Difference | None]
"""How a column of that name, for the source's field, differs from the target's, if it is there."""


def differences(
    fields: Mapping[str, pa.Field],
    merged_by: Sequence[str],
    there: Mapping[str, There],
    key_there: Sequence[str],
    compare: Compare[There],
) -> Iterator[Difference]:
    """What of the target does not fit the source, in the source's order of columns.

    All by the target's names. ``merged_by`` is empty where rows are not merged by their key, and
    ``key_there`` where the target has none.
    """
    if key_there and merged_by and set(key_there) != set(merged_by):
        yield Difference(Kind.KEY, KEY, ", ".join(key_there), ", ".join(merged_by))
    for name, field in fields.items():
        found = compare(name, field, there.get(name))
        if found and name in merged_by and found.kind in (Kind.ADDED, Kind.RETYPED):
            found = Difference(Kind.KEY, name, found.there or "no such column", found.wanted)
        if found:
            yield found
    for name in sorted(there.keys() - fields.keys()):
        yield Difference(Kind.REQUIRED if there[name].required else Kind.DROPPED, name)
