"""A query that is answered the plain way: every table of another system is brought whole."""

from dataclasses import fields, replace
from typing import Any

from warehouse.federation.split import Leg, Split
from warehouse.hogql import tree
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.resolved import Resolved


def of_whole_tables(query: tree.Query, prefix: str) -> Split:
    """One leg for each table, however often the query reads it."""
    legs: dict[tuple[str, ...], Leg] = {}

    def leg_of(table: CatalogTable) -> CatalogTable:
        if table.path not in legs:
            name = f"{prefix}{len(legs)}"
            made = CatalogTable(table.team, (name,), table.columns)
            legs[table.path] = Leg(table.source, _all_of(table), made)
        return legs[table.path].table

    def changed(value: Any) -> Any:
        if isinstance(value, tree.TableRelation):
            return replace(value, table=leg_of(value.table)) if value.table.source else value
        if isinstance(value, tuple):
            return tuple(map(changed, value))
        if not isinstance(value, Resolved):
            return value
        return replace(
            value, **{one.name: changed(getattr(value, one.name)) for one in fields(value)}
        )

    rest = changed(query)
    return Split(tuple(legs.values()), rest)


def _all_of(table: CatalogTable) -> tree.Select:
    items = tuple(
        tree.Item(0, name, tree.Column(0, kind, "whole", name)) for name, kind in table.columns
    )
    join = tree.Join(0, tree.TableRelation(0, "whole", table), None, None)
    return tree.Select(0, table.columns, items, (join,))
