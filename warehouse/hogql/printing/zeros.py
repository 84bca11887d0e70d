"""One zero of floats where ClickHouse has two.

It takes 0.0 and -0.0 for equal in a condition, and for two keys in groups, joins, DISTINCT, sets
and IN. ``x + 0`` is never -0.0, so that is what is a key there.
"""

from dataclasses import replace
from typing import Any

from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.nodes import SetOp
from warehouse.hogql.printing.dialects import Dialect
from warehouse.hogql.resolved import Resolved, changed, same
from warehouse.hogql.types import FLOAT, INT, Kind

PLUS = named("plus")[0]
BY_KEY = ("equals", "notEquals", "uniq", "groupUniqArray")
"""Functions that may take their arguments for keys: an equality is that of a join."""


def with_one_zero(query: tree.Query, dialect: Dialect) -> tree.Query:
    """The query with keys of which none is -0.0."""
    if not dialect.two_zeros:
        return query
    if not any(isinstance(node, tree.Expr) and _is_float(node) for node in query.walk()):
        return query
    found: tree.Query = changed(query, _changed)
    return found


def _changed(node: Resolved) -> Any:
    match node:
        case tree.Select():
            return _grouped(_once(node) if node.distinct else node)
        case tree.SetQuery() if node.op != SetOp.UNION_ALL:
            return _once(node)
        case tree.Call() if node.distinct or node.function.name in BY_KEY:
            return replace(node, args=_keys(node.args))
        case tree.Window():
            return replace(node, partition_by=_keys(node.partition_by))
        case tree.LimitBy():
            return replace(node, exprs=_keys(node.exprs))
        case tree.In():
            items = node.items
            among = _once(items) if isinstance(items, tree.Query) else _keys(items)
            return replace(node, expr=_key(node.expr), items=among)
    return node


def _grouped(query: tree.Select) -> tree.Select:
    """With what it groups by as keys, wherever that is asked for."""
    by = [expr for expr in query.group_by if _is_float(expr)]
    if not by:
        return query

    def change(node: Resolved) -> Resolved:
        return _key(node) if any(same(node, one) for one in by) else node

    found: tree.Select = replace(query, joins=(), ctes=(), where=None).over(
        lambda part: changed(part, change)
    )
    return replace(found, joins=query.joins, ctes=query.ctes, where=query.where)


def _once(query: tree.Query) -> Any:
    """Of which each row is a key."""
    match query:
        case tree.Select():
            items = tuple(replace(item, expr=_key(item.expr)) for item in query.items)
            return replace(query, items=items)
        case tree.SetQuery():
            return replace(query, left=_once(query.left), right=_once(query.right))
    raise TypeError(type(query))


def _keys(exprs: tuple[tree.Expr, ...]) -> tuple[tree.Expr, ...]:
    return tuple(map(_key, exprs))


def _key(expr: Any) -> Any:
    if isinstance(expr, tree.Tuple):
        return replace(expr, items=_keys(expr.items))
    if not _is_float(expr):
        return expr
    return tree.Call(expr.at, FLOAT, PLUS, (expr, tree.Literal(expr.at, INT, 0)))


def _is_float(expr: tree.Expr) -> bool:
    return expr.type.kind == Kind.FLOAT
