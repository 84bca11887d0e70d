"""What a team's queries in HogQL may name when the store runs them."""

from typing import Any

from warehouse.events import tables
from warehouse.hogql.catalog import Catalog


def catalog_of(team: Any) -> Catalog:
    """Every table of the team in the store that a query may name."""
    return Catalog(tuple(tables.catalog_tables(team.pk)))
