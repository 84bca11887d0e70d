"""What a team's queries in HogQL may name: of the store, and of its connections."""

from collections.abc import Iterable
from typing import Any

import structlog

from connectors import registry
from connectors.errors import ConnectorError
from warehouse import connections, synced
from warehouse.catalogs import Kept, catalogs
from warehouse.events import tables
from warehouse.hogql import types
from warehouse.hogql.catalog import Catalog, CatalogTable, JoinedCatalog
from warehouse.hogql.links import Declared
from warehouse.models import TableJoin, WarehouseConnection
from warehouse.synced import StoreTable
from warehouse.views import catalog as views

log = structlog.get_logger(__name__)


def catalog_of(team: Any) -> Catalog:
    """Every table of the team in the store: events and persons, those in sync, and its views."""
    found = [_synced(team, one) for one in synced.store_tables(team)]
    return Catalog((*tables.catalog_tables(team.pk), *found, *views.catalog_tables(team)))


def of_connections(
    found: Iterable[WarehouseConnection], *, anew: bool = False, unnamed: bool = False
) -> list[Catalog]:
    """The tables of each, as ``connection.schema.table``.

    Raises ConnectorError where they cannot be read; of connections that a query has not named,
    such a one has none.
    """
    listed = []
    for connection in found:
        if not registry.provider(connection.provider).capabilities.dialect:
            continue
        try:
            kept = tables_of(connection, anew=anew)
        except ConnectorError as exc:
            if not unnamed:
                exc.fields = {**exc.fields, "connection": connection.name}
                raise
            log.warning("catalog.not_read", connection=str(connection.pk), code=exc.code)
            continue
        listed.append(kept.named(connection))
    return listed


def tables_of(connection: WarehouseConnection, *, anew: bool = False) -> Kept:
    """What there is of a connection; a session is opened only where that is not known yet."""
    kept = catalogs.kept(connection, anew=anew)
    if kept is not None:
        return kept
    with connections.leased(connection) as lease:
        return catalogs.read(connection, lease.connector, anew=anew)


def joined(
    own: Catalog, theirs: Iterable[Catalog], found: Iterable[WarehouseConnection]
) -> JoinedCatalog:
    """The store's tables and those of connections; ambiguous names are the default one's."""
    first = next((one.name for one in found if one.is_default), "")
    stored = {table.path for table in own.tables if not table.source}
    return JoinedCatalog([own, *theirs], stored, first)


def links_of(team: Any) -> list[Declared]:
    """The joins that the team has declared."""
    return [
        Declared(
            one.field,
            tuple(one.table.split(".")),
            tuple(one.joined_table.split(".")),
            tuple((own, other) for own, other in one.keys),
        )
        for one in TableJoin.objects.for_team(team).order_by()
    ]


def _synced(team: Any, table: StoreTable) -> CatalogTable:
    """Called as in its warehouse, under the connection's name."""
    columns = tuple((field.name, types.of_field(field)) for field in table.columns)
    path = (table.connection, table.schema, table.table)
    return CatalogTable(
        str(team.pk),
        path,
        columns,
        stored_as=(table.store_table,),
        rows=table.rows,
        as_of=table.as_of,
    )
