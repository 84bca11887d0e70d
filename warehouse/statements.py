"""What a caller asks of a connection: a statement in the warehouse's own SQL, or in HogQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from connectors.base import Connector
from connectors.types import Params
from warehouse.catalogs import catalogs
from warehouse.hogql.errors import NameUnknown
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.translate import translate
from warehouse.models import WarehouseConnection

TableName = tuple[str, str]
"""Schema and name, as the connection lists them."""


class Language(StrEnum):
    """``native`` is the SQL of the connection's warehouse."""

    NATIVE = "native"
    HOGQL = "hogql"


@dataclass(frozen=True)
class Statement:
    """``params`` are those of the warehouse's own SQL, ``values`` are HogQL's ``{name}``.

    ``tables`` are all that it reads, where they are known for sure.
    """

    sql: str
    params: Params = ()
    language: Language = Language.NATIVE
    values: Mapping[str, object] = field(default_factory=dict)
    tables: frozenset[TableName] = frozenset()

    def printed(self, connection: WarehouseConnection, connector: Connector) -> Printed:
        """As the connector is to be given it; its own guard judges it there.

        Raises HogQLError, and ConnectorError where the tables cannot be read.
        """
        if self.language == Language.NATIVE:
            return Printed(self.sql, self.params)
        dialect = connector.capabilities.dialect
        catalog = catalogs.of(connection, connector)
        try:
            return translate(self.sql, catalog, dialect, self.values)
        except NameUnknown:
            newer = catalogs.of(connection, connector, anew=True)
            if newer is catalog:
                raise
            return translate(self.sql, newer, dialect, self.values)
