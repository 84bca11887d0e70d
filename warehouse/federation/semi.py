"""Queries of which only counts whether they have a row: those of EXISTS and IN."""

from dataclasses import replace

from warehouse.hogql import tree
from warehouse.hogql.grouping import is_of_many
from warehouse.hogql.types import INT, Kind

ALIKE = (Kind.BOOL, Kind.DATE, Kind.INT, Kind.DECIMAL, Kind.STRING)
"""Kinds of which every system means the same by equal."""


def is_plain(query: tree.Query) -> bool:
    """Its rows are those of its joins that its condition lets through, and no others."""
    if not isinstance(query, tree.Select):
        return False
    is_cut = query.limit is not None or query.offset is not None or query.limit_by is not None
    return not (is_cut or query.group_by or query.having or query.qualify or _is_of_many(query))


def bare(query: tree.Query) -> tree.Query:
    """What EXISTS is asked, without columns that nobody looks at."""
    if not isinstance(query, tree.Select) or not is_plain(query):
        return query
    one = tree.Item(query.at, "one", tree.Literal(query.at, INT, 1))
    return replace(query, columns=(("one", INT),), items=(one,), distinct=False, order_by=())


def once(query: tree.Query) -> tree.Query:
    """The query with each of its rows but once, where that can be asked of every system."""
    if not isinstance(query, tree.Select) or not is_plain(query) or query.order_by:
        return query
    is_alike = all(kind.kind in ALIKE for _, kind in query.columns)
    return replace(query, distinct=query.distinct or is_alike)


def first(query: tree.Query) -> tree.Query:
    """One row of the query, if there is any."""
    return replace(query, limit=1) if isinstance(query, tree.Select) and is_plain(query) else query


def _is_of_many(query: tree.Select) -> bool:
    """Some item is made of several rows, or has a query in it whose items are."""
    return any(is_of_many(node) for item in query.items for node in item.walk())
