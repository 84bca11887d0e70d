"""What of a team's warehouses its store has: the catalog's side of synced tables.

Whoever moves rows says here what has arrived; whoever plans a query asks here what is there.
"""

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa

from warehouse.models import SyncedTable, WarehouseConnection

PREFIX = "synced_"
"""Of the names of all tables that syncs make in the store, and of no other's."""


@dataclass(frozen=True)
class StoreTable:
    """A table of a connection as the store has it, under the name ``store_table``.

    ``connection`` is the connection's name. ``columns`` are Arrow's types as the source has them;
    ``as_of``: whatever was committed at the source by then is in it.
    """

    connection_id: UUID
    connection: str
    schema: str
    table: str
    store_table: str
    columns: pa.Schema
    rows: int
    as_of: datetime


def store_tables(team: Any) -> list[StoreTable]:
    """The team's tables that have been loaded, in no order."""
    # Every plan asks this: neither models are made nor rows sorted that nobody needs.
    rows = SyncedTable.objects.for_team(team).order_by()
    return [
        StoreTable(
            connection_id,
            connection,
            schema,
            table,
            store_table,
            pa.ipc.read_schema(pa.py_buffer(base64.b64decode(columns))),
            count,
            as_of,
        )
        for connection_id, connection, schema, table, store_table, columns, count, as_of in (
            rows.values_list(
                *("connection_id", "connection__name", "schema", "name"),
                *("store_table", "columns", "rows", "as_of"),
            )
        )
    ]


def name_of(connection_id: UUID, schema: str, table: str) -> str:
    """The table's name in the store; different for every table of every connection."""
    # Of schema and name together, so that no two pairs make the same text.
    told = hashlib.sha256(f"{len(schema)}.{schema}.{table}".encode()).hexdigest()[:16]
    return f"{PREFIX}{connection_id.hex}_{told}"


def publish(
    connection: WarehouseConnection,
    schema: str,
    table: str,
    columns: pa.Schema,
    rows: int,
    as_of: datetime,
) -> None:
    """The store has the table so, from now on."""
    SyncedTable.objects.for_team(connection.team_id).update_or_create(
        connection=connection,
        schema=schema,
        name=table,
        defaults={
            "team_id": connection.team_id,
            "store_table": name_of(connection.pk, schema, table),
            "columns": base64.b64encode(columns.serialize().to_pybytes()).decode(),
            "rows": rows,
            "as_of": as_of,
        },
    )


def forget_all_but(team: Any, store_tables: Collection[str]) -> bool:
    """The store has no others of the team any more; whether there were any."""
    gone = SyncedTable.objects.for_team(team).exclude(store_table__in=store_tables)
    return bool(gone.delete()[0])
