"""How a team's query is answered: by the store, by one warehouse, or by several and the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import structlog

from connectors import registry
from connectors.errors import ConnectorError
from warehouse import connections, team_catalog
from warehouse.catalogs import catalogs
from warehouse.federation.split import STORE, Split, sources, split
from warehouse.hogql import tree
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.hogql.errors import NameUnknown
from warehouse.hogql.resolve import resolve
from warehouse.models import WarehouseConnection

log = structlog.get_logger(__name__)


class Mode(StrEnum):
    """``local``: the store has every table. ``push_down``: one warehouse has, and runs the whole
    query. ``federated``: several have, and the store joins what they send."""

    LOCAL = "local"
    PUSH_DOWN = "push_down"
    FEDERATED = "federated"


@dataclass(frozen=True)
class Planned:
    """A resolved query; ``connections`` and ``dialects`` are those of its sources."""

    text: str
    query: tree.Query
    connections: Mapping[str, WarehouseConnection]
    dialects: Mapping[str, str]

    @property
    def mode(self) -> Mode:
        if not self.connections:
            return Mode.LOCAL
        is_one = len(self.connections) == 1 and STORE not in sources(self.query)
        return Mode.PUSH_DOWN if is_one else Mode.FEDERATED

    def split(self, prefix: str) -> Split:
        return split(self.query, self.text, self.dialects, prefix)


def planned(team: Any, text: str, values: Mapping[str, object]) -> Planned:
    """The query over all that the team has. Raises HogQLError, and ConnectorError where the tables
    of a connection that it names cannot be read."""
    active = WarehouseConnection.objects.for_team(team).filter(is_active=True).order_by("name")
    every = {str(one.pk): one for one in active}
    folded = text.casefold()
    named = [one for one in every.values() if one.name.casefold() in folded]
    own = team_catalog.catalog_of(team).tables
    try:
        query = resolve(text, _known(own, _tables(named)), values)
    except NameUnknown:
        # A short name may be of any connection.
        others = [one for one in every.values() if one not in named]
        if not others:
            raise
        more = [*_tables(named), *_tables(others, unnamed=True)]
        query = resolve(text, _known(own, more), values)
    used = {source: every[source] for source in sources(query) - {STORE}}
    dialects = {
        source: registry.provider(one.provider).capabilities.dialect for source, one in used.items()
    }
    return Planned(text, query, used, dialects)


def _known(own: Sequence[CatalogTable], theirs: Sequence[CatalogTable]) -> Catalog:
    """A table that the store has is read there, and not in its warehouse."""
    stored = {table.path for table in own}
    return Catalog((*own, *(table for table in theirs if table.path not in stored)))


def _tables(found: Sequence[WarehouseConnection], *, unnamed: bool = False) -> list[CatalogTable]:
    """The tables of connections, as ``connection.schema.table``."""
    tables: list[CatalogTable] = []
    for connection in found:
        if not registry.provider(connection.provider).capabilities.dialect:
            continue
        try:
            with connections.leased(connection) as lease:
                listed = catalogs.of(connection, lease.connector).tables
        except ConnectorError as exc:
            if not unnamed:
                exc.fields = {**exc.fields, "connection": connection.name}
                raise
            log.warning("catalog.not_read", connection=str(connection.pk), code=exc.code)
            continue
        tables += [_seen(connection, table) for table in listed]
    return tables


def _seen(connection: WarehouseConnection, table: CatalogTable) -> CatalogTable:
    return replace(
        table,
        path=(connection.name, *table.path[-2:]),
        stored_as=table.path,
        source=str(connection.pk),
    )
