"""How a table of a connection is asked for: by its own mode, or else its connection's.

Here is what decides whether answers are kept. Which tables a pipeline copies, and so are in sync
whatever is said here, ``etl.table_modes`` knows.
"""

import re
from collections.abc import Collection

from warehouse.hogql import tree
from warehouse.hogql.tables import tables
from warehouse.hybrid.cache import PLAIN_NAME
from warehouse.models import ConnectionMode, TableMode, WarehouseConnection
from warehouse.statements import Statement, TableName


def own(connection: WarehouseConnection) -> dict[TableName, ConnectionMode]:
    """The tables with a mode of their own, ``direct`` or ``hybrid``, by schema and name."""
    rows = TableMode.objects.for_team(connection.team_id).filter(connection=connection)
    found = rows.values_list("schema", "name", "mode")
    return {(schema, name): ConnectionMode(mode) for schema, name, mode in found}


def put(connection: WarehouseConnection, table: TableName, mode: ConnectionMode | None) -> None:
    """Give the table that mode of its own, or none."""
    schema, name = table
    rows = TableMode.objects.for_team(connection.team_id)
    if mode is None:
        rows.filter(connection=connection, schema=schema, name=name).delete()
    else:
        rows.update_or_create(
            connection=connection,
            schema=schema,
            name=name,
            defaults={"team_id": connection.team_id, "mode": mode},
        )


def keeps(connection: WarehouseConnection, statement: Statement) -> bool:
    """Whether the statement's answer may be kept, and one that is kept may serve.

    All its tables have to be hybrid. Where they are not known for sure the connection has to be,
    and no table that is not may be named in the text: one that is read through a view is not seen.
    """
    if statement.tables:
        return all_hybrid(connection, statement.tables)
    if connection.mode != ConnectionMode.HYBRID:
        return False
    direct = (name for (_, name), mode in own(connection).items() if mode == ConnectionMode.DIRECT)
    return not any(_may_name(statement.sql, name) for name in direct)


def all_hybrid(connection: WarehouseConnection, tables: Collection[TableName]) -> bool:
    """The mode of every one of them is."""
    modes = own(connection)
    return {modes.get(table, connection.mode) for table in tables} == {ConnectionMode.HYBRID}


def tables_of(query: tree.Query) -> frozenset[TableName]:
    """Of one connection: what a query reads, or a part of one, that is resolved."""
    return frozenset((one.table.stored_as[-2], one.table.stored_as[-1]) for one in tables(query))


def _may_name(sql: str, table: str) -> bool:
    if not PLAIN_NAME.fullmatch(table):
        # In a text it may be written in more than one way.
        return True
    return re.search(rf"\b{table}\b", sql, re.IGNORECASE) is not None
