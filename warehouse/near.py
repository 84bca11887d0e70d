"""What a caller may have meant by a name that a warehouse does not have."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import ObjectNotFound
from warehouse.catalogs import catalogs
from warehouse.hogql.catalog import Catalog, nearest
from warehouse.models import WarehouseConnection

WORD = re.compile(r"\w+")


@contextmanager
def hinted(connection: WarehouseConnection, sql: str) -> Iterator[None]:
    """An error about a name of ``sql`` says what is like it, where this process knows the
    connection's tables at the moment: they are not read for it."""
    try:
        yield
    except ObjectNotFound as exc:
        name, kept = exc.fields.get("sql"), catalogs.kept(connection)
        if name and kept and (near := nearest(name, _known(kept.catalog, sql))):
            exc.advice = f"Did you mean {' or '.join(near)}?"
        raise


def _known(catalog: Catalog, sql: str) -> Iterator[str]:
    """All tables, and the columns of those that the query names."""
    words = set(WORD.findall(sql.casefold()))
    for table in catalog.tables:
        yield table.name
        yield ".".join(table.path[-2:])
        if table.name.casefold() in words:
            yield from (name for name, _ in table.columns)
