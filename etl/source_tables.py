"""Whether a connection has a table, and columns of it, that somebody names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from connectors.errors import InvalidInput
from connectors.types import MAX_TABLES, Table
from warehouse import query_executor
from warehouse.hogql.catalog import nearest
from warehouse.models import WarehouseConnection
from warehouse.statements import TableName


def require(
    connection: WarehouseConnection, name: TableName, columns: Mapping[str, Sequence[str]]
) -> None:
    """The table is there, and so are the columns, which stand under the fields that name them.

    Asks the warehouse, for metadata only. Raises InvalidInput, and ConnectorError where it cannot
    be asked.
    """
    if faults := dict(_faults(connection, name, columns)):
        raise InvalidInput("The warehouse does not have what is named.", fields=faults)


def _faults(
    connection: WarehouseConnection, name: TableName, columns: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    table = next((one for one in _listed(connection, *name) if _name(one) == name), None)
    if table is None:
        known = (".".join(_name(one)) for one in _listed(connection))
        yield "table", _missing(f"table {'.'.join(name)}", ".".join(name), known)
        return
    there = [column.name for column in table.columns]
    for field, named in columns.items():
        missing = (column for column in named if column not in there)
        said = [_missing(f"column {column}", column, there) for column in missing]
        if said:
            yield field, " ".join(said)


def _listed(
    connection: WarehouseConnection, schema: str | None = None, search: str | None = None
) -> list[Table]:
    tables, _ = query_executor.list_tables(connection, schema, search=search, limit=MAX_TABLES - 1)
    return tables


def _name(table: Table) -> TableName:
    return table.schema, table.name


def _missing(what: str, name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"There is no {what}." + (f" Did you mean {' or '.join(near)}?" if near else "")
