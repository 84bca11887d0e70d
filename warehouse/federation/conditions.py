"""What of a condition can be asked of one relation alone, before its rows are joined."""

from collections.abc import Iterator
from math import prod

from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.types import BOOL

AND, OR = named("and")[0], named("or")[0]
EQUAL_SHARE, OTHER_SHARE = 1 / 10, 1 / 3
"""Of rows, where nothing is known of them. Source: Selinger et al., Access Path Selection in a
Relational Database Management System, 1979, table 1."""


def conjuncts(condition: tree.Expr | None) -> list[tree.Expr]:
    """The parts that must all be true; none of no condition."""
    if condition is None:
        return []
    return list(_parts(condition, "and"))


def all_of(parts: list[tree.Expr]) -> tree.Expr | None:
    """The condition that they make together."""
    return _joined("and", parts) if parts else None


def implied(condition: tree.Expr, alias: str) -> tree.Expr | None:
    """A weaker condition on one relation, where every branch of an OR says something of it."""
    branches = list(_parts(condition, "or"))
    if len(branches) < 2:
        return None
    found = []
    for branch in branches:
        own = [part for part in _parts(branch, "and") if part.names.aliases == {alias}]
        if not own:
            return None
        found.append(_joined("and", own))
    return _joined("or", found)


def share(condition: tree.Expr | None) -> float:
    """A guess at how many of the rows a condition lets through, from 0 to 1."""
    if condition is None:
        return 1.0
    if len(branches := list(_parts(condition, "or"))) > 1:
        return 1.0 - prod(1.0 - share(branch) for branch in branches)
    if len(parts := list(_parts(condition, "and"))) > 1:
        return prod(map(share, parts))
    is_equal = isinstance(condition, tree.In) or (
        isinstance(condition, tree.Call) and condition.function.name == "equals"
    )
    return EQUAL_SHARE if is_equal else OTHER_SHARE


def _parts(expr: tree.Expr, name: str) -> Iterator[tree.Expr]:
    if isinstance(expr, tree.Call) and expr.function.name == name:
        for arg in expr.args:
            yield from _parts(arg, name)
    else:
        yield expr


def _joined(name: str, parts: list[tree.Expr]) -> tree.Expr:
    if len(parts) == 1:
        return parts[0]
    return tree.Call(parts[0].at, BOOL, AND if name == "and" else OR, tuple(parts))
