"""From text to text: the whole way of a query that one warehouse runs."""

from collections.abc import Mapping

from warehouse.hogql.catalog import Catalog
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.resolve import resolve


def translate(
    text: str, catalog: Catalog, dialect: str, values: Mapping[str, object] | None = None
) -> Printed:
    """HogQL over the catalog's tables as a warehouse's own SQL; raises HogQLError."""
    return print_query(resolve(text, catalog, values), dialect, text)
