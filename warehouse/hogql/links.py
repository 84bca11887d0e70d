"""Joins that a team declares, from a table to another, wherever the two are: links, to tell them
from the joins that stand in a query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from warehouse.hogql.catalog import Catalog, CatalogTable, Link


@dataclass(frozen=True)
class Declared:
    """``name`` leads from rows of ``table`` to those of ``joined``; ``keys`` are pairs: a column
    here, and the one there."""

    name: str
    table: tuple[str, ...]
    joined: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]


class LinkedCatalog(Catalog):
    """A catalog with these links, also behind other links. One whose tables or columns are not
    there leads nowhere, and does not exist."""

    def __init__(self, catalog: Catalog, declared: Iterable[Declared]) -> None:
        self._catalog = catalog
        self._declared: dict[tuple[str, ...], dict[str, Link]] = {}
        self._linked: dict[tuple[str, ...], CatalogTable] = {}
        for one in declared:
            here, there = self._only(one.table), self._only(one.joined)
            if here is not None and there is not None and _has_columns(here, there, one.keys):
                self._declared.setdefault(here.path, {})[one.name] = Link(there, one.keys)

    @cached_property
    def tables(self) -> tuple[CatalogTable, ...]:
        return tuple(map(self._with_links, self._catalog.tables))

    def find(self, chain: Sequence[str]) -> list[CatalogTable]:
        return [self._with_links(table) for table in self._catalog.find(chain)]

    def nearest(self, chain: Sequence[str]) -> list[str]:
        return self._catalog.nearest(chain)

    def _only(self, path: tuple[str, ...]) -> CatalogTable | None:
        found = self._catalog.find(path)
        # A view is a query wherever it is named, and no table to join.
        return found[0] if len(found) == 1 and found[0].view is None else None

    def _with_links(self, table: CatalogTable) -> CatalogTable:
        """The table once: tables may lead to each other in a circle."""
        links = {**table.links, **self._declared.get(table.path, {})}
        if not links:
            return table
        if table.path not in self._linked:
            known = self._linked[table.path] = replace(table, links=links)
            for name, link in links.items():
                links[name] = replace(link, table=self._with_links(link.table))
            return known
        return self._linked[table.path]


def _has_columns(
    here: CatalogTable, there: CatalogTable, keys: tuple[tuple[str, str], ...]
) -> bool:
    ours, theirs = dict(here.columns), dict(there.columns)
    return all(own in ours and other in theirs for own, other in keys)
