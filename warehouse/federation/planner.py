"""How a team's query is answered: by the store, by one warehouse, or by several and the store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

from connectors import registry
from warehouse import team_catalog
from warehouse.federation.relations import STORE
from warehouse.federation.split import Split, split
from warehouse.hogql import nodes, tree
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.errors import NameUnknown
from warehouse.hogql.links import Declared, LinkedCatalog
from warehouse.hogql.printing.printer import can_print, refusal
from warehouse.hogql.read import read
from warehouse.hogql.resolve import resolve
from warehouse.hogql.tables import tables
from warehouse.models import WarehouseConnection

STORE_DIALECT = "clickhouse"
Found = Sequence[WarehouseConnection]
PATH_PARTS = 3
"""Connection, schema, name: what the store has of its own is called by less."""


class Mode(StrEnum):
    """``local``: the store has every table. ``push_down``: one warehouse has, and runs the whole
    query. ``federated``: several have, or the one cannot say all of it, and the store does the rest
    with what they send."""

    LOCAL = "local"
    PUSH_DOWN = "push_down"
    FEDERATED = "federated"


@dataclass(frozen=True)
class Planned:
    """A resolved query; ``connections`` and ``dialects`` are those of its sources. ``as_of`` is
    that of the oldest table in sync or materialized view that it reads; ``None`` where it reads
    none."""

    text: str
    query: tree.Query
    connections: Mapping[str, WarehouseConnection]
    dialects: Mapping[str, str]
    as_of: datetime | None

    @cached_property
    def mode(self) -> Mode:
        if not self.connections:
            return Mode.LOCAL
        return Mode.PUSH_DOWN if self.reason is None else Mode.FEDERATED

    @cached_property
    def reason(self) -> str | None:
        """Why no single system answers the query; ``None`` where one does."""
        places = sorted(one.name for one in self.connections.values())
        if self.connections and STORE in self.query.names.sources:
            places.append("the store")
        if len(places) > 1:
            return f"Its tables are in {', '.join(places[:-1])} and {places[-1]}."
        for source, dialect in self.dialects.items():
            unsaid = refusal(self.query, dialect, self.text)
            # What nobody can say is refused in the warehouse's name.
            if unsaid is not None and can_print(self.query, STORE_DIALECT, self.text):
                name = self.connections[source].name
                return f"{name} cannot run it whole. {unsaid.detail} {unsaid.place or ''}".rstrip()
        return None

    @property
    def reads(self) -> list[CatalogTable]:
        """The tables of connections that it reads, and the views whose rows are kept, by their
        paths, wherever they are read."""
        found = {one.table.path: one.table for one in tables(self.query)}
        tables_read = (table for _, table in sorted(found.items()))
        # Of the store's own, what is as new as it is asked for has no age.
        return [one for one in tables_read if len(one.path) == PATH_PARTS or one.as_of is not None]

    def split(self, prefix: str) -> Split:
        return split(self.query, self.text, self.dialects, prefix)


def planned(team: Any, text: str, values: Mapping[str, object]) -> Planned:
    """The query over all that the team has. Raises HogQLError, and ConnectorError where the tables
    of a connection that it names cannot be read."""
    every = _connections(team)
    own = team_catalog.catalog_of(team)
    links = team_catalog.links_of(team)
    asked = _Asked.of(_named_in(text, own.tables, links), list(every.values()), own.tables)
    try:
        query = resolve(text, LinkedCatalog(asked.catalog(own), links), values)
    except NameUnknown:
        # A table may be newer than what was kept of its connection's.
        query = resolve(text, LinkedCatalog(asked.catalog(own, anew=True), links), values)
    used = {source: every[source] for source in query.names.sources - {STORE}}
    dialects = {
        source: registry.provider(one.provider).capabilities.dialect for source, one in used.items()
    }
    return Planned(text, query, used, dialects, _as_of(query))


def catalog_naming(team: Any, chains: Iterable[tuple[str, ...]]) -> Catalog:
    """What the names of tables may mean to the team, as it is now. Raises ConnectorError where the
    tables of a connection that one names cannot be read."""
    own = team_catalog.catalog_of(team)
    asked = _Asked.of(set(map(_folded, chains)), list(_connections(team).values()), own.tables)
    return asked.catalog(own, anew=True)


def _connections(team: Any) -> dict[str, WarehouseConnection]:
    active = WarehouseConnection.objects.for_team(team).filter(is_active=True).order_by()
    return {str(one.pk): one for one in sorted(active, key=attrgetter("name"))}


@dataclass(frozen=True)
class _Asked:
    """The connections that a query may be about: those it names, and the others where it has a
    name that may be of any of them."""

    named: Found
    others: Found

    @classmethod
    def of(
        cls, chains: set[tuple[str, ...]], every: Found, own: Sequence[CatalogTable]
    ) -> "_Asked":
        named = [one for one in every if any(_is_of(chain, one) for chain in chains)]
        known = {_folded(table.path) for table in own}
        free = [chain for chain in chains - known if not any(_is_of(chain, one) for one in named)]
        return cls(named, [one for one in every if one not in named] if free else [])

    def catalog(self, own: Catalog, *, anew: bool = False) -> Catalog:
        """A table that the store has is read there, and not in its warehouse."""
        theirs = [
            *team_catalog.of_connections(self.named, anew=anew),
            *team_catalog.of_connections(self.others, anew=anew, unnamed=True),
        ]
        return team_catalog.joined(own, theirs, [*self.named, *self.others])


def _is_of(chain: tuple[str, ...], connection: WarehouseConnection) -> bool:
    return len(chain) > 1 and chain[0] == connection.name.casefold()


@lru_cache(maxsize=64)
def names_of(text: str) -> frozenset[tuple[str, ...]]:
    """The names of tables in a query as it was written, in lower case. Raises HogQLError."""
    return frozenset(_folded(chain) for chain in _chains(read(text)))


def _named_in(
    text: str, own: Sequence[CatalogTable], links: Sequence[Declared]
) -> set[tuple[str, ...]]:
    """The names of tables in a query and in the views that it reads, and of those that their links
    may lead to, in lower case."""
    views = {table.name.casefold(): table.view for table in own if table.view is not None}
    found, left = set[tuple[str, ...]](), [text]
    while left:
        one = left.pop()
        named = {
            *names_of(one),
            *(_folded(link.joined) for link in links if link.name in _words(one)),
        }
        left += [views[name] for (name, *more) in named - found if not more and name in views]
        found |= named
    return found


def _chains(part: object) -> Iterator[tuple[str, ...]]:
    """The names of tables in a query as it was written, but for those of its own CTEs."""
    ctes = {cte.name.casefold() for cte in _nodes(part) if isinstance(cte, nodes.Cte)}
    for node in _nodes(part):
        name = node.table if isinstance(node, nodes.Source) else None
        if isinstance(name, tuple) and (len(name) > 1 or name[0].casefold() not in ctes):
            yield name


@lru_cache(maxsize=64)
def _words(text: str) -> frozenset[str]:
    """All that the names in a query are made of: any may be a link's."""
    names = (node.chain for node in _nodes(read(text)) if isinstance(node, nodes.Name))
    return frozenset(word for chain in names for word in chain)


def _folded(chain: Iterable[str]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in chain)


def _nodes(part: object) -> Iterator[nodes.Node]:
    left = [part]
    while left:
        one = left.pop()
        if isinstance(one, tuple):
            left += one
        elif isinstance(one, nodes.Node):
            yield one
            left += [getattr(one, field.name) for field in fields(one)]


def _as_of(query: tree.Query) -> datetime | None:
    """Of the oldest copy in the store that the query reads."""
    found = (one.table.as_of for one in tables(query))
    return min((as_of for as_of in found if as_of is not None), default=None)
