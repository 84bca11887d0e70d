"""What a team's queries in HogQL may name of the store."""

from typing import Any

from connectors.types import Column
from warehouse import synced
from warehouse.events import tables
from warehouse.hogql import types
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.models import WarehouseConnection
from warehouse.synced import StoreTable


def catalog_of(team: Any) -> Catalog:
    """Every table of the team in the store: events and persons, and those in sync."""
    names = dict(WarehouseConnection.objects.for_team(team).values_list("pk", "name"))
    found = [_synced(team, names[one.connection_id], one) for one in synced.store_tables(team)]
    return Catalog((*tables.catalog_tables(team.pk), *found))


def _synced(team: Any, connection: str, table: StoreTable) -> CatalogTable:
    """Called as in its warehouse, under the connection's name."""
    columns = tuple(
        (field.name, types.of_column(Column(field.name, str(field.type), None, place, field.type)))
        for place, field in enumerate(table.columns, start=1)
    )
    path = (connection, table.schema, table.table)
    return CatalogTable(str(team.pk), path, columns, stored_as=(table.store_table,))
