"""Of a query that groups: what has one value for each group, and what has none."""

from collections.abc import Iterable, Iterator
from typing import TypeGuard

from warehouse.hogql import tree
from warehouse.hogql.functions.table import Use
from warehouse.hogql.listed import Listed
from warehouse.hogql.resolved import Resolved


def ungrouped(select: tree.Select) -> tree.Column | None:
    """A column of the query's own that has several values in a group, where one is asked for."""
    if not groups(select):
        return None
    own = {join.relation.alias for join in select.joins}
    keys = Listed(select.group_by)
    asked = (one for one in _asked(select) if one is not None)
    return next((column for one in asked for column in _loose(one, keys, own)), None)


def groups(select: tree.Select) -> bool:
    """Each of its rows is made of a group of others, be it of all there are."""
    asked = (one for one in _asked(select) if one is not None)
    return bool(select.group_by) or select.having is not None or any(map(_aggregates, asked))


def is_aggregate(node: object) -> TypeGuard[tree.Call]:
    return isinstance(node, tree.Call) and node.function.use == Use.AGGREGATE


def is_of_many(node: object) -> bool:
    """It is made of several rows: an aggregate, a window, or what only a window has."""
    is_window = isinstance(node, tree.Window)
    return is_window or (isinstance(node, tree.Call) and node.function.use != Use.SCALAR)


def has_windows(part: Resolved) -> bool:
    return any(isinstance(node, tree.Window) for node in part.walk())


def _asked(select: tree.Select) -> Iterator[tree.Expr | None]:
    """What is computed once for each group."""
    yield from (item.expr for item in select.items)
    yield select.having
    yield select.qualify
    yield from (order.expr for order in select.order_by)
    if select.limit_by is not None:
        yield from select.limit_by.exprs


def _aggregates(expr: Resolved) -> bool:
    return is_aggregate(expr) or any(map(_aggregates, _parts(expr)))


def _loose(expr: Resolved, keys: Listed, own: set[str]) -> Iterator[tree.Column]:
    if is_aggregate(expr) or keys.place(expr) is not None:
        return
    if isinstance(expr, tree.Column):
        if expr.relation in own:
            yield expr
        return
    for part in _parts(expr):
        yield from _loose(part, keys, own)


def _parts(expr: Resolved) -> Iterator[Resolved]:
    """Those right below it. What a query within asks is its own affair, and what a window does is
    done with the groups."""
    found: Iterable[Resolved] = expr.parts()
    if isinstance(expr, tree.Window):
        found = (*expr.call.args, *expr.partition_by, *expr.order_by)
    yield from (part for part in found if not isinstance(part, tree.Query))
