"""``x IN (a, b)`` as equalities, where engines differ in what they make of a NULL.

ClickHouse passes over one in a list, and several take a tuple with one for equal to none; of an
equality with NULL all make NULL.
"""

from functools import partial

from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.printing.dialects import Dialect
from warehouse.hogql.resolved import Resolved, changed
from warehouse.hogql.types import BOOL, Kind

AND, OR, NOT, EQUAL = (named(name)[0] for name in ("and", "or", "not", "equals"))


def with_equalities(query: tree.Query, dialect: Dialect) -> tree.Query:
    """The query, with those of its lists that mean the same everywhere."""
    if not any(isinstance(node, tree.In) for node in query.walk()):
        return query
    found: tree.Query = changed(query, partial(_said, dialect))
    return found


def _said(dialect: Dialect, node: Resolved) -> Resolved:
    if not isinstance(node, tree.In) or isinstance(node.items, tree.Query):
        return node
    loose = [item for item in node.items if _is_loose(item, dialect)]
    if not loose:
        return node
    parts: list[tree.Expr] = [_equal(node.expr, item) for item in loose]
    if fixed := tuple(item for item in node.items if not _is_loose(item, dialect)):
        parts.append(tree.In(node.at, BOOL, node.expr, fixed, negated=False))
    found = parts[0] if len(parts) == 1 else tree.Call(node.at, BOOL, OR, tuple(parts))
    return tree.Call(node.at, BOOL, NOT, (found,)) if node.negated else found


def _is_loose(item: tree.Expr, dialect: Dialect) -> bool:
    if isinstance(item, tree.Tuple):
        return True
    inner = item.expr if isinstance(item, tree.Cast) else item
    is_value = isinstance(inner, tree.Literal | tree.Param) and inner.type.kind != Kind.NULL
    return dialect.in_skips_null and not is_value


def _equal(one: tree.Expr, other: tree.Expr) -> tree.Expr:
    if isinstance(one, tree.Tuple) and isinstance(other, tree.Tuple):
        pairs = zip(one.items, other.items, strict=True)
        return tree.Call(one.at, BOOL, AND, tuple(_equal(*pair) for pair in pairs))
    return tree.Call(one.at, BOOL, EQUAL, (one, other))
