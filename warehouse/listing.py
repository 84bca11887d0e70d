"""What a team's queries in HogQL may name, for whoever writes them: tables page by page."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from connectors import registry
from connectors.errors import ConnectorError
from connectors.types import Column, Table
from warehouse import synced, team_catalog
from warehouse.catalogs import Kept
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.models import ConnectionMode, WarehouseConnection
from warehouse.statements import TableName
from warehouse.synced import StoreTable

ModesOf = Callable[[WarehouseConnection], Callable[[TableName], str]]
"""Which mode each table of a connection has."""
IN_STORE = "store"
"""The mode of what is the store's own."""
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PART = re.compile(r'("(?:[^"\\]|\\.)+")|([^".]+)')
WRITTEN = re.compile(rf"(?:{PART.pattern})(?:\.(?:{PART.pattern}))*")
WORDS = frozenset(
    "all and any array as asc between both by case cast cross date desc distinct end except exists "
    "extract false filter first following for from full group having if in inf inner intersect "
    "interval is join last leading left like limit nan natural not null nulls offset on or order "
    "outer over partition right sample select semi settings substring table then timestamp to top "
    "trailing trim true union using values when where window with".split()
)
"""Of the language: a name that is one of them is quoted."""


@dataclass(frozen=True)
class ListedColumn:
    """``None`` is unknown."""

    name: str
    type: str
    nullable: bool | None
    description: str | None


@dataclass(frozen=True)
class ListedTable:
    """``name`` and ``short_name`` are written as a query takes them; without a short one, only the
    name is this table's alone. ``as_of`` is of what the store has of a warehouse."""

    name: str
    short_name: str | None
    connection: str | None
    provider: str | None
    mode: str
    as_of: datetime | None
    description: str | None
    columns: tuple[ListedColumn, ...]


@dataclass(frozen=True)
class Place:
    """``table`` is how the connection's warehouse calls it."""

    connection: WarehouseConnection
    table: TableName


@dataclass(frozen=True)
class Unread:
    """A connection whose tables could not be read, and why."""

    connection: str
    code: str


@dataclass(frozen=True)
class ListedPage:
    """``next`` is to be given as ``after`` for what follows; ``None`` on the last page."""

    tables: tuple[ListedTable, ...]
    next: str | None
    unread: tuple[Unread, ...]


def page(team: Any, modes_of: ModesOf, search: str, after: str, limit: int) -> ListedPage:
    """At most ``limit`` tables whose name has ``search`` in it, in any case, by name."""
    listing = _Listing(team, modes_of)
    wanted = search.casefold()
    named = ((written(one.path), one) for one in listing.catalog.tables)
    found = sorted(
        (pair for pair in named if pair[0] > after and wanted in str(pair[1]).casefold()),
        key=lambda pair: pair[0],
    )
    tables = tuple(listing.shown(name, table) for name, table in found[:limit])
    return ListedPage(tables, tables[-1].name if len(found) > limit else None, listing.unread)


def written(path: tuple[str, ...]) -> str:
    """A name as a query takes it."""
    return ".".join(map(_quoted, path))


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a name, as ``written`` or without quotation marks."""
    if not WRITTEN.fullmatch(name):
        return tuple(name.split("."))
    found = (quoted[1:-1] if quoted else plain for quoted, plain in PART.findall(name))
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in found)


def place_of(table: CatalogTable, every: Iterable[WarehouseConnection]) -> Place | None:
    """In the warehouse that has it, or whose it is though the store has it; ``None``: it is the
    store's own."""
    if len(table.path) > 1:
        connection = next((one for one in every if one.name == table.path[0]), None)
    else:
        # A view may be kept in a warehouse.
        connection = next((one for one in every if str(one.pk) == table.source), None)
    if connection is None:
        return None
    schema, name = (table.stored_as if table.source else table.path)[-2:]
    return Place(connection, (schema, name))


class _Listing:
    """All that a team may name, at one moment."""

    def __init__(self, team: Any, modes_of: ModesOf) -> None:
        self._modes_of = cache(modes_of)
        active = WarehouseConnection.objects.for_team(team).filter(is_active=True)
        self._connections = {one.name: one for one in active.order_by("name")}
        self._synced = {one.store_table: one for one in synced.store_tables(team)}
        self._own = team_catalog.catalog_of(team)
        self._kept: dict[str, Kept] = {}
        self.unread: tuple[Unread, ...] = tuple(self._read())
        catalogs = [kept.named(self._connections[name]) for name, kept in self._kept.items()]
        self.catalog: Catalog = team_catalog.joined(self._own, catalogs, active)

    def shown(self, name: str, table: CatalogTable) -> ListedTable:
        place = place_of(table, self._connections.values())
        stored = None if table.source else self._synced.get("".join(table.stored_as))
        source = self._tables.get(table.path)
        return ListedTable(
            name,
            self._short(table),
            place.connection.name if place else None,
            place.connection.provider if place else None,
            self._mode(table, place),
            table.as_of,
            source.comment if source else None,
            tuple(_columns(table, source, stored)),
        )

    def _mode(self, table: CatalogTable, place: Place | None) -> str:
        if table.view is not None:
            return ConnectionMode.DIRECT
        return self._modes_of(place.connection)(place.table) if place else IN_STORE

    def _read(self) -> Iterator[Unread]:
        for name, connection in self._connections.items():
            if registry.provider(connection.provider).capabilities.dialect:
                try:
                    self._kept[name] = team_catalog.tables_of(connection)
                except ConnectorError as exc:
                    yield Unread(name, exc.code)

    def _short(self, table: CatalogTable) -> str | None:
        for parts in range(1, len(table.path)):
            if self.catalog.find(table.path[-parts:]) == [table]:
                return written(table.path[-parts:])
        return None

    @cached_property
    def _tables(self) -> dict[tuple[str, ...], Table]:
        """As their warehouses describe them, by path."""
        return {
            table.path: source
            for name, kept in self._kept.items()
            for table, source in zip(
                kept.named(self._connections[name]).tables, kept.tables, strict=True
            )
        }


def _columns(
    table: CatalogTable, source: Table | None, stored: StoreTable | None
) -> Iterator[ListedColumn]:
    described: dict[str, Column] = {one.name: one for one in source.columns} if source else {}
    for name, kind in table.columns:
        column = described.get(name)
        nullable = column.nullable if column else None
        if nullable is None and stored is not None:
            nullable = stored.columns.field(name).nullable
        yield ListedColumn(name, str(kind), nullable, column.comment if column else None)


def _quoted(part: str) -> str:
    if PLAIN.fullmatch(part) and part.casefold() not in WORDS:
        return part
    return '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
