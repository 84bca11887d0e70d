"""What rows come from: the system that has them, their columns, the query that asks for them."""

from warehouse.federation.parts import asks_ctes
from warehouse.hogql import tree
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.types import Kind, Type

STORE = ""
"""The source of tables that are in the store."""
SMALL = (Kind.BOOL, Kind.DATE, Kind.INT, Kind.DATETIME, Kind.TIMESTAMP, Kind.FLOAT, Kind.DECIMAL)
"""Kinds of columns, the smallest first: one is asked for where only the number of rows counts."""


def asking(
    relation: tree.Relation, condition: tree.Expr | None, items: tuple[tree.Item, ...]
) -> tree.Select:
    """The leg of one relation."""
    columns = tuple((item.name, item.expr.type) for item in items)
    join = tree.Join(relation.at, relation, None, None)
    return tree.Select(relation.at, columns, items, (join,), where=condition)


def all_rows(query: tree.Query, table: CatalogTable) -> tree.Select:
    """A query of all that a leg has brought, in its order of columns."""
    alias = table.name
    items = tuple(column_item(query.at, alias, name, kind) for name, kind in query.columns)
    join = tree.Join(query.at, tree.TableRelation(query.at, alias, table), None, None)
    return tree.Select(query.at, query.columns, items, (join,))


def needed(relation: tree.Relation, query: tree.Select) -> tuple[tree.Item, ...]:
    """The relation's columns that the query asks for, or one, if it only counts rows."""
    asked = {name for alias, name in query.names.columns if alias == relation.alias}
    columns = columns_of(relation)
    found = [(name, kind) for name, kind in columns if name in asked]
    return tuple(
        column_item(relation.at, relation.alias, name, kind)
        for name, kind in found or [min(columns, key=_size)]
    )


def column_item(at: int, alias: str, name: str, kind: Type) -> tree.Item:
    return tree.Item(at, name, tree.Column(at, kind, alias, name))


def _size(column: tuple[str, Type]) -> int:
    kind = column[1].kind
    return SMALL.index(kind) if kind in SMALL else len(SMALL)


def columns_of(relation: tree.Relation) -> tuple[tuple[str, Type], ...]:
    match relation:
        case tree.TableRelation():
            return relation.table.columns
        case tree.QueryRelation():
            return relation.query.columns
    raise TypeError(type(relation))


def source_of(relation: tree.Relation, home: str = STORE) -> str | None:
    """The system that a leg of the relation would go to; ``None`` where it is no leg: ``home``
    has what is left."""
    match relation:
        case tree.TableRelation():
            return None if relation.table.source == home else relation.table.source
        case tree.QueryRelation():
            return only_source(relation.query, home)
    return None


def only_source(query: tree.Query, home: str) -> str | None:
    """The one other system that could run the query by itself; ``None`` where there is none."""
    found = query.names.sources
    if home in found or len(found) != 1 or query.names.aliases or asks_ctes(query):
        return None
    return next(iter(found))
