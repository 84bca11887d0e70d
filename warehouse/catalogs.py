"""The tables of a connection as queries in HogQL see them, read from metadata and kept briefly.

One is kept for CATALOG_TTL_S, for one connection with one version of its credentials, in this
process. It is dropped earlier when the connection is changed or deleted here, when others need the
room, and read again when a query names a table that is not in it.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from connectors.base import Connector
from connectors.errors import InvalidInput
from connectors.types import MAX_TABLES
from warehouse.hogql.catalog import Catalog
from warehouse.models import WarehouseConnection

CATALOG_TTL_S = 60.0
AGAIN_S = 5.0
"""One that is younger is not read again for the sake of a name that it lacks."""
MAX_KEPT_TABLES = 20_000
Key = tuple[str, str, int]


@dataclass(frozen=True)
class _Kept:
    catalog: Catalog
    read_at: float

    def is_older_than(self, seconds: float) -> bool:
        return time.monotonic() - self.read_at > seconds


class Catalogs:
    """The catalogs of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()

    def of(
        self, connection: WarehouseConnection, connector: Connector, *, anew: bool = False
    ) -> Catalog:
        """The connection's tables; ``anew`` reads them unless that was just done.

        Raises InvalidInput for more than MAX_TABLES, and ConnectorError.
        """
        key = _key(connection)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and not kept.is_older_than(AGAIN_S if anew else CATALOG_TTL_S):
            return kept.catalog
        read_at = time.monotonic()
        tables = connector.fetch_tables(limit=MAX_TABLES)
        if len(tables) == MAX_TABLES:
            raise InvalidInput(
                f"This connection has {MAX_TABLES:,} tables or more, too many for HogQL.",
                hint="Give its role fewer schemas to see, or use the warehouse's own SQL.",
            )
        catalog = Catalog.of(str(connection.team_id), tables)
        with self._lock:
            self._keep(key, _Kept(catalog, read_at))
        return catalog

    def drop(self, connection_id: object) -> None:
        """Forget what was read over a connection."""
        with self._lock:
            for key in [key for key in self._kept if key[1] == str(connection_id)]:
                del self._kept[key]

    def _keep(self, key: Key, kept: _Kept) -> None:
        for other in [k for k in self._kept if k[:2] == key[:2]]:
            del self._kept[other]
        self._kept[key] = kept
        while sum(len(one.catalog.tables) for one in self._kept.values()) > MAX_KEPT_TABLES:
            self._kept.popitem(last=False)


def _key(connection: WarehouseConnection) -> Key:
    return str(connection.team_id), str(connection.pk), connection.credential_version


catalogs = Catalogs()
