"""A small catalog for tests that look at trees and texts, and run nothing."""

import pyarrow as pa

from connectors.types import Column, Table
from warehouse.hogql.catalog import Catalog


def table(schema: str, called: str, /, **columns: pa.DataType) -> Table:
    """A table whose columns have these types."""
    natives = {pa.string(): "text", pa.int64(): "bigint"}
    found = tuple(
        Column(column, natives.get(kind, str(kind)), True, place, kind)
        for place, (column, kind) in enumerate(columns.items(), start=1)
    )
    return Table("db", schema, called, "table", found)


UUID = Column("uuid", "uuid", True, 9, pa.string())
EVENTS = table(
    "public",
    "events",
    id=pa.int64(),
    name=pa.string(),
    price=pa.decimal128(15, 2),
    score=pa.float64(),
    ok=pa.bool_(),
    day=pa.date32(),
    at=pa.timestamp("us", "UTC"),
)
USERS = table("public", "users", id=pa.int64(), email=pa.string(), Name=pa.string())
OTHER_USERS = table("archive", "users", id=pa.int64(), email=pa.string())
CATALOG = Catalog.of("acme", [EVENTS, USERS, OTHER_USERS])
