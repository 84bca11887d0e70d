"""The tables of a connection as queries in HogQL see them, read from metadata and kept briefly.

One is kept for CATALOG_TTL_S, for one connection with one version of its credentials, in this
process. It is dropped earlier when the connection is changed or deleted here, when others need the
room, and read again when a query names a table that is not in it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from connectors.base import Connector
from connectors.errors import InvalidInput
from connectors.types import MAX_TABLES, Table
from warehouse.hogql.catalog import Catalog, CatalogTable
from warehouse.models import WarehouseConnection

CATALOG_TTL_S = 60.0
AGAIN_S = 5.0
"""One that is younger is not read again for the sake of a name that it lacks."""
MAX_KEPT_TABLES = 20_000
Key = tuple[str, str, int]


class Kept:
    """What was read over a connection: ``catalog`` is of ``tables``, in their order."""

    def __init__(self, team: str, tables: Sequence[Table], read_at: float) -> None:
        self.tables = tables
        self.catalog = Catalog.of(team, tables)
        self._read_at = read_at
        self._named: tuple[str, Catalog] | None = None

    def is_older_than(self, seconds: float) -> bool:
        return time.monotonic() - self._read_at > seconds

    def named(self, connection: WarehouseConnection) -> Catalog:
        """The tables as ``connection.schema.table``, with their source; made once for a name."""
        if self._named is None or self._named[0] != connection.name:
            found = Catalog(tuple(_named(connection, table) for table in self.catalog.tables))
            self._named = connection.name, found
        return self._named[1]


class Catalogs:
    """The catalogs of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def kept(self, connection: WarehouseConnection, *, anew: bool = False) -> Kept | None:
        """What was read lately enough; ``anew``: just now."""
        with self._lock:
            found = self._kept.get(_key(connection))
        is_old = found is None or found.is_older_than(AGAIN_S if anew else CATALOG_TTL_S)
        return None if is_old else found

    def read(
        self, connection: WarehouseConnection, connector: Connector, *, anew: bool = False
    ) -> Kept:
        """The connection's tables; ``anew`` reads them unless that was just done.

        Raises InvalidInput for more than MAX_TABLES, and ConnectorError.
        """
        if (kept := self.kept(connection, anew=anew)) is not None:
            return kept
        read_at = time.monotonic()
        tables = connector.fetch_tables(limit=MAX_TABLES)
        if len(tables) == MAX_TABLES:
            raise InvalidInput(
                f"This connection has {MAX_TABLES:,} tables or more, too many for HogQL.",
                hint="Give its role fewer schemas to see, or use the warehouse's own SQL.",
            )
        made = Kept(str(connection.team_id), tables, read_at)
        with self._lock:
            self._keep(_key(connection), made)
        return made

    def of(
        self, connection: WarehouseConnection, connector: Connector, *, anew: bool = False
    ) -> Catalog:
        """As the warehouse itself names them; otherwise as ``read``."""
        return self.read(connection, connector, anew=anew).catalog

    def drop(self, connection_id: object) -> None:
        """Forget what was read over a connection."""
        with self._lock:
            for key in [key for key in self._kept if key[1] == str(connection_id)]:
                del self._kept[key]

    def _keep(self, key: Key, kept: Kept) -> None:
        for other in [k for k in self._kept if k[:2] == key[:2]]:
            del self._kept[other]
        self._kept[key] = kept
        while sum(len(one.catalog.tables) for one in self._kept.values()) > MAX_KEPT_TABLES:
            self._kept.popitem(last=False)


def _named(connection: WarehouseConnection, table: CatalogTable) -> CatalogTable:
    return replace(
        table,
        path=(connection.name, *table.path[-2:]),
        stored_as=table.path,
        source=str(connection.pk),
    )


def _key(connection: WarehouseConnection) -> Key:
    return str(connection.team_id), str(connection.pk), connection.credential_version


catalogs = Catalogs()
