"""Tables that queries fill: an optional ability, and how it is done whatever the dialect.

The rows are computed aside, in a table of ours, and put in place in one step. Of two fills of a
table the one with the greater fence wins: it takes away what those of smaller fences are building
before it begins, and what was taken away cannot be put in place any more; and a table tells the
fence of its rows. What a fill that was cut off has left aside goes with the next one.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from connectors import loading
from connectors.base import GRACE_S, Connector
from connectors.errors import LoadSuperseded, ObjectNotFound, PermissionDenied, TableTaken
from connectors.types import Limits, Params, RunStats

ASIDE = "WAREHOUSE_FILL"
UNFIT_PLACE: Mapping[type[ObjectNotFound | PermissionDenied], tuple[str, str]] = {
    ObjectNotFound: (
        "There is no schema {}, or not any more what the query reads.",
        "Make the schema, or name another; schema and tables are spelled as they are listed.",
    ),
    PermissionDenied: (
        "The role may not make tables in {}, or not read what the query reads.",
        "Grant it to make tables in the schema, and to read the tables named.",
    ),
}
"""What keeps a table from being filled, and what to do; with the schema's name."""


@dataclass(frozen=True)
class FillTarget:
    """A table that is its ``owner``'s; ``fence`` as in LoadTarget. A comment on it says both."""

    schema: str
    table: str
    owner: UUID
    fence: int

    @property
    def mark(self) -> str:
        """The comment."""
        return f"warehouse view {self.owner} {self.fence}"

    def fence_in(self, comment: str) -> int | None:
        """Of the table that bears the comment; ``None`` where it is not the owner's."""
        found = re.fullmatch(rf"warehouse view {self.owner} (\d+)", comment)
        return int(found[1]) if found else None

    @property
    def prefix(self) -> str:
        """What tables are called that are built aside, before the fence; no warehouse cuts it."""
        return f"{ASIDE}_{self.owner.hex[:16]}_"

    @property
    def aside(self) -> str:
        return f"{self.prefix}{self.fence}"


@dataclass(frozen=True)
class Filled:
    """What a fill has put in place, and used."""

    rows: int
    stats: RunStats


class FillTable(Connector):
    """Keeps what a query answers in a table of the same warehouse, which alone has the rows."""

    def fill(
        self,
        target: FillTarget,
        sql: str,
        params: Params,
        limits: Limits,
        still_mine: Callable[[], None],
    ) -> Filled:
        """Put the answer of one read-only query in the place of all rows of the target.

        The query is judged as any is. Readers see the rows before or those after. Where the
        columns are the same the table stays, with whatever is granted on it; else another takes
        its place. ``still_mine`` is called before the new rows show, and raises where they must
        not any more. Raises TableTaken where the table is not the owner's, LoadSuperseded, and
        what ``query`` raises; then the rows stay as they were.
        """
        sql, params = self._bound(sql, params)
        self._guard(sql)
        try:
            with self._writing(target, limits) as filling:
                return filling.fill(sql, params, still_mine)
        except (ObjectNotFound, PermissionDenied) as exc:
            # What a warehouse says does not tell the query from the place of its answer.
            said, hint = UNFIT_PLACE[type(exc)]
            raise type(exc)(said.format(target.schema), hint=hint) from exc

    def clear(self, target: FillTarget) -> None:
        """Drop what fills up to the target's fence have left aside."""
        with self._writing(target, Limits()) as filling:
            filling.clear()

    @contextmanager
    def _writing(self, target: FillTarget, limits: Limits) -> Iterator["Filling"]:
        watched = self._watched(limits.timeout_s + GRACE_S)
        with watched, self._session(), self._filling(target, limits) as filling:
            yield filling

    @abstractmethod
    def _filling(self, target: FillTarget, limits: Limits) -> AbstractContextManager["Filling"]:
        """One fill in the session that is open, which may write until it is over."""


class Filling(ABC):
    """One fill, in a session that may write."""

    def __init__(self, target: FillTarget) -> None:
        self.target = target

    def fill(self, sql: str, params: Params, still_mine: Callable[[], None]) -> Filled:
        """As ``FillTable.fill``, of a query that has been judged."""
        self.clear()
        self._is_there()  # before it costs anything
        try:
            self._build(sql, params)
            # Only after that: of two, one at least sees the other.
            if any(_fence(name) > self.target.fence for name in self._names()):
                raise LoadSuperseded()
            rows = self._count()
            still_mine()
            self._put(rows)
        finally:
            # What cannot be dropped now is dropped by the next one.
            with suppress(Exception):
                self.clear()
        return Filled(rows, self._stats())

    def clear(self) -> None:
        for name in self._names():
            if _fence(name) <= self.target.fence:
                self._drop(name)

    def _is_there(self) -> bool:
        """There is a table, and it is the owner's. Raises TableTaken where it is another's, and
        LoadSuperseded where its rows are of a greater fence."""
        found = self._comments(self.target.table)
        if not found:
            return False
        fence = self.target.fence_in(found[0] or "")
        if fence is None:
            place = f"{self.target.schema}.{self.target.table}"
            raise TableTaken(f"There is a table {place} that was not made for this view.")
        if fence > self.target.fence:
            raise LoadSuperseded()
        return True

    @abstractmethod
    def _build(self, sql: str, params: Params) -> None:
        """Make the table aside of the query's answer, with the mark."""

    @abstractmethod
    def _put(self, rows: int) -> None:
        """Put the rows aside in place. Raises TableTaken, and what a table raises that is gone."""

    @abstractmethod
    def _stats(self) -> RunStats:
        """What all of it has used."""

    @abstractmethod
    def _names(self) -> list[str]:
        """Of the tables that fills of this target have aside."""

    @abstractmethod
    def _comments(self, table: str) -> list[str | None]:
        """The comment of the table or view of that name, if there is one."""

    @abstractmethod
    def _count(self) -> int:
        """The rows aside."""

    @abstractmethod
    def _drop(self, table: str) -> None: ...


class ExchangeFilling(Filling):
    """Where rows, and tables, can change places."""

    def _put(self, rows: int) -> None:
        aside, table = self.target.aside, self.target.table
        if not self._is_there():
            self._rename(aside, table)
        elif self._shape(aside) == self._shape(table):
            # Before its rows are ours: a fence may be too great for them, and never too small.
            self._mark(table)
            written = self._copy(aside, table)
            loading.agree(written, rows, "written to the table", "in the answer")
        else:
            self._exchange(aside, table)

    @abstractmethod
    def _shape(self, table: str) -> Sequence[Any]:
        """Columns, in their order, and all of their types that tells them apart."""

    @abstractmethod
    def _mark(self, table: str) -> None:
        """Put the comment on it."""

    @abstractmethod
    def _rename(self, table: str, name: str) -> None:
        """Raises TableTaken where there is one of that name."""

    @abstractmethod
    def _copy(self, source: str, table: str) -> int:
        """All rows of the one in the place of all rows of the other, in one transaction."""

    @abstractmethod
    def _exchange(self, source: str, table: str) -> None:
        """The one is called as the other, in one step; that one is gone, or has its name."""


def _fence(name: str) -> int:
    return int(name.rpartition("_")[2])
