"""The tables that a query may name: nothing that is not here exists."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property

from connectors.types import Table
from warehouse.hogql import types
from warehouse.hogql.types import Type

MAX_NEAREST = 3


@dataclass(frozen=True)
class Link:
    """From a row to the one of another table, or none, whose keys are equal to its own."""

    table: "CatalogTable"
    keys: tuple[tuple[str, str], ...]
    """Pairs: a column here, and the one there."""


@dataclass(frozen=True)
class CatalogTable:
    """A table of one team; ``path`` is how a query names it, ``columns`` by native name.

    ``links`` lead to other tables by ``link.column``, and are joined where a query does so.
    ``shortcuts`` are names for what stands behind a link.
    ``source`` is the system that has it; the store where it is empty. ``view`` is a query in HogQL
    that is read in the table's place.
    """

    team: str
    path: tuple[str, ...]
    columns: tuple[tuple[str, Type], ...]
    # Tables may lead to each other in a circle.
    links: Mapping[str, Link] = field(default_factory=dict, compare=False, repr=False)
    shortcuts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    as_text: frozenset[str] = frozenset()
    """Columns of a type that only the warehouse knows, whose text queries see: uuids."""
    stored_as: tuple[str, ...] = ()
    """How its warehouse names it, where that is not ``path``."""
    source: str = ""
    key: tuple[str, ...] = ()
    """The columns of its primary key, if it says that it has one. Few warehouses enforce it: it may
    decide how a query is run, and never what is answered."""
    rows: int | None = None
    """As its warehouse last counted or guessed them."""
    as_of: datetime | None = None
    """Of a copy in the store: what its warehouse had by then is in it."""
    view: str | None = None

    @property
    def is_events(self) -> bool:
        """It has the team's events."""
        return self.path == ("events",) and not self.source

    @property
    def name(self) -> str:
        return self.path[-1]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Catalog:
    """The tables that one query may name. Names match in any case where no exact one does; a name
    that is all of a table's path is that table's, whatever others end so."""

    tables: tuple[CatalogTable, ...]

    @classmethod
    def of(cls, team: str, tables: Iterable[Table]) -> "Catalog":
        """Of what a connector's ``fetch_tables`` gives."""
        return cls(tuple(_table(team, table) for table in tables))

    def find(self, chain: Sequence[str]) -> list[CatalogTable]:
        """The tables that a name can mean: more than one is ambiguous, none unknown."""
        folded = _folded(chain)
        found = self._ending(folded)
        exact = [table for table in found if table.path[-len(folded) :] == tuple(chain)]
        whole = [table for table in exact or found if len(table.path) == len(folded)]
        return whole or exact or found

    def nearest(self, chain: Sequence[str]) -> list[str]:
        """Names like that one, as a query may write them."""
        return nearest(".".join(chain), [name for table in self.tables for name in _names(table)])

    def _ending(self, folded: tuple[str, ...]) -> list[CatalogTable]:
        return self._by_end.get(folded, [])

    @cached_property
    def bare_names(self) -> frozenset[str]:
        """Of tables that are printed without anything before their name, folded."""
        printed = (table.stored_as or table.path for table in self.tables)
        return frozenset(path[0].casefold() for path in printed if len(path) == 1)

    @cached_property
    def _by_end(self) -> dict[tuple[str, ...], list[CatalogTable]]:
        found: dict[tuple[str, ...], list[CatalogTable]] = {}
        for table in self.tables:
            for start in range(len(table.path)):
                found.setdefault(_folded(table.path[start:]), []).append(table)
        return found


class JoinedCatalog(Catalog):
    """Several catalogs as one, by their own indexes: none is made of all tables.

    ``hidden`` are paths of tables of warehouses that the store has, and which are read there. Where
    a name is ambiguous, it is that of the connection ``first``, if one of its tables can be meant.
    """

    def __init__(
        self, parts: Sequence[Catalog], hidden: Collection[tuple[str, ...]], first: str = ""
    ) -> None:
        self._parts = parts
        self._hidden = frozenset(hidden)
        self._first = first

    @cached_property
    def tables(self) -> tuple[CatalogTable, ...]:
        return tuple(one for part in self._parts for one in part.tables if self._is_seen(one))

    def find(self, chain: Sequence[str]) -> list[CatalogTable]:
        found = super().find(chain)
        first = [one for one in found if len(one.path) > 1 and one.path[0] == self._first]
        return first or found if len(found) > 1 else found

    def _ending(self, folded: tuple[str, ...]) -> list[CatalogTable]:
        found = (one for part in self._parts for one in part._ending(folded))
        return [one for one in found if self._is_seen(one)]

    def _is_seen(self, table: CatalogTable) -> bool:
        return not table.source or table.path not in self._hidden


def column_of(columns: Mapping[str, Type], name: str) -> tuple[str, Type] | None:
    """The column as its table names it: the exact one, or the only one in another case."""
    if name in columns:
        return name, columns[name]
    folded = [other for other in columns if other.casefold() == name.casefold()]
    return (folded[0], columns[folded[0]]) if len(folded) == 1 else None


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Of ``known``, at most MAX_NEAREST that look like the name, in whatever case."""
    by_fold = {other.casefold(): other for other in known}
    close = get_close_matches(name.casefold(), by_fold, MAX_NEAREST)
    return [by_fold[folded] for folded in close if _may_mean(name.casefold(), folded)]


def _may_mean(name: str, other: str) -> bool:
    """One is the other with something before or behind it, or has a letter in four amiss."""
    if name.startswith(other) or name.endswith(other):
        return True
    if other.startswith(name) or other.endswith(name) or sorted(name) == sorted(other):
        return True
    steps = SequenceMatcher(None, name, other).get_opcodes()
    wrong = sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in steps if tag != "equal")
    return wrong <= max(1, len(name) // 4)


def _names(table: CatalogTable) -> list[str]:
    return [table.name, ".".join(table.path[-2:])]


def _folded(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in path)


def _table(team: str, table: Table) -> CatalogTable:
    path = (
        (table.catalog, table.schema, table.name) if table.catalog else (table.schema, table.name)
    )
    columns = tuple((column.name, types.of_column(column)) for column in table.columns)
    return CatalogTable(team, path, columns, key=table.primary_key, rows=table.row_count)
