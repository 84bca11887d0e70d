"""A query in the place of a value that counts or sums what belongs to a row around it.

ClickHouse joins its groups to the rows around: a row to which nothing belongs has no group, and so
NULL, where a count is to be 0.
"""

from typing import TypeGuard

from warehouse.hogql import tree
from warehouse.hogql.grouping import is_aggregate
from warehouse.hogql.resolved import Resolved

ANSWERS_NULL = frozenset(
    ("coalesce", "ifNull", "if", "multiIf", "isNull", "isNotNull", "and", "or")
)
"""Functions that may give something else than NULL where all aggregates are of nothing."""


def misses_groups(query: tree.Query) -> TypeGuard[tree.Select]:
    """It aggregates to one row, of rows that depend on one around it."""
    if not isinstance(query, tree.Select) or query.group_by or query.having is not None:
        return False
    return any(map(is_aggregate, query.items[0].walk())) and bool(query.names.aliases)


def orders(query: tree.Select) -> bool:
    """Its rows are ordered by such a query; those of a DISTINCT are so by its columns alone."""
    found = (node for order in query.order_by for node in order.walk())
    return not query.distinct and any(isinstance(node, tree.Query) for node in found)


def is_count(expr: Resolved) -> bool:
    return isinstance(expr, tree.Call) and expr.function.name == "count"


def not_null_of_nothing(expr: tree.Expr) -> tree.Call | None:
    """A part that may not be NULL where all aggregates are of nothing."""
    if not isinstance(expr, tree.Call):
        return not_null_of_nothing(expr.expr) if isinstance(expr, tree.Cast) else None
    if is_count(expr) or expr.function.name in ANSWERS_NULL:
        return expr
    if is_aggregate(expr):
        return None
    found = (not_null_of_nothing(arg) for arg in expr.args)
    return next((call for call in found if call is not None), None)
