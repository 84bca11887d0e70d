"""Which system has which table of TPC-H, the queries that name them there, and the store's part."""

import re
from collections.abc import Callable, Mapping

import pyarrow as pa
from django.utils import timezone

from tests.hogql.tpch_queries import HERE
from warehouse import synced
from warehouse.models import WarehouseConnection
from warehouse.store import client, ddl
from warehouse.store.load import types

Layout = dict[str, str]
STORE = "store"
LAYOUTS: dict[str, Layout] = {
    "apart": {
        "lineitem": "bigquery",
        "orders": "snowflake",
        "customer": "snowflake",
        "part": "postgres",
        "partsupp": "postgres",
        "supplier": STORE,
        "nation": STORE,
        "region": STORE,
    },
    "moved": {
        "lineitem": "snowflake",
        "orders": "postgres",
        "customer": "bigquery",
        "part": "bigquery",
        "partsupp": "snowflake",
        "supplier": "redshift",
        "nation": "redshift",
        "region": STORE,
    },
}
STORE_OF = "postgres"
"""The connection whose tables the store has a copy of."""
TABLE = r"[a-z]+(?: AS \w+)?"
NAMED = re.compile(rf"\b(?:FROM|JOIN)\s+{TABLE}(?:\s*,\s*{TABLE})*")


def text_of(name: str, layout: Layout, schema: Callable[[str], str]) -> str:
    """A query of the suite, over the tables where they are."""

    def placed(match: re.Match[str]) -> str:
        where = layout.get(match[0])
        if where is None:
            return match[0]
        provider = STORE_OF if where == STORE else where
        return f"{provider}.{schema(provider)}.{match[0]}"

    text = (HERE / f"{name}.sql").read_text()
    return NAMED.sub(lambda clause: re.sub(r"\b[a-z]+\b", placed, clause[0]), text)


def put_into_store(
    connection: WarehouseConnection, schema: str, tables: Mapping[str, pa.Table]
) -> None:
    """As a sync of the connection's tables leaves them."""
    database, owner = client.create_database(connection.team_id), client.owner()
    for name, table in tables.items():
        stored = synced.name_of(connection.pk, schema, name)
        columns = types.columns(table.schema, ())
        owner.command(ddl.create_table(database, stored, columns, ()))
        owner.insert(database, stored, table.schema, table.to_batches())
        synced.publish(connection, schema, name, table.schema, table.num_rows, timezone.now())
