"""UNION, INTERSECT and EXCEPT of parts whose values a dialect does not bring to one type itself."""

from dataclasses import replace

from warehouse.hogql import tree
from warehouse.hogql.printing.outermost import around
from warehouse.hogql.types import Kind, Type

BROUGHT = (Kind.BOOL, Kind.INT, Kind.FLOAT, Kind.DECIMAL, Kind.DATETIME)
"""Kinds that values of other kinds, or NULL, stand beside."""


def alike(query: tree.SetQuery) -> tree.SetQuery:
    """The query whose parts have the types of all of it."""
    wanted = [kind for _, kind in query.columns]
    left, right = (_as(part, wanted) for part in (query.left, query.right))
    return replace(query, left=left, right=right)


def _as(part: tree.Query, wanted: list[Type]) -> tree.Query:
    made = around(part)
    items = tuple(
        replace(item, expr=tree.Cast(item.at, kind, item.expr))
        if _differs(item.expr.type, kind)
        else item
        for item, kind in zip(made.items, wanted, strict=True)
    )
    return part if items == made.items else replace(made, items=items)


def _differs(kind: Type, wanted: Type) -> bool:
    """Integers are of many sizes, some of them without a sign."""
    has_form = wanted.kind != Kind.DECIMAL or wanted.scale is not None
    is_other = (kind.kind, kind.scale) != (wanted.kind, wanted.scale) or wanted.kind == Kind.INT
    return wanted.kind in BROUGHT and has_form and is_other
