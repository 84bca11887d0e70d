"""Columns that are equal in every row of an answer, also where no condition says so of the two."""

from dataclasses import replace

from warehouse.federation.conditions import all_of, conjuncts
from warehouse.hogql import tree
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.types import Kind, Type

INNER = (None, JoinKind.CROSS, JoinKind.INNER)
Pair = tuple[tree.Column, tree.Column]


def is_inner(query: tree.Select) -> bool:
    """No row of its joins may be missing."""
    return all(join.kind in INNER for join in query.joins)


def conditions(query: tree.Select) -> list[tree.Expr]:
    """All that every row of the answer meets, where ``is_inner``."""
    on = [part for join in query.joins for part in conjuncts(join.on)]
    return [*on, *conjuncts(query.where)]


def equal_columns(query: tree.Select) -> list[tuple[tree.Column, ...]]:
    """Those that are one value in every row, of queries around this one too."""
    found: list[dict[tuple[str, str], tree.Column]] = []
    for part in conditions(query):
        pair = exact_pair(part)
        if pair is None:
            continue
        one = {(column.relation, column.name): column for column in pair}
        for other in [group for group in found if group.keys() & one.keys()]:
            found.remove(other)
            one = other | one
        found.append(one)
    return [tuple(group.values()) for group in found]


def connected(query: tree.Select) -> tree.Select:
    """Its relations in an order in which each is joined with one before it, as far as there is
    one: ClickHouse joins them as they stand."""
    first, *left = query.joins
    links = [part.names.aliases for part in conditions(query)]
    order = [first]
    while left:
        seen = {join.relation.alias for join in order}
        near = (
            join
            for join in left
            if any(join.relation.alias in link and link & seen for link in links)
        )
        order.append(next(near, left[0]))
        left.remove(order[-1])
    loose = tuple(replace(join, kind=JoinKind.CROSS, on=None) for join in order[1:])
    where = all_of(conditions(query))
    return replace(query, joins=(replace(first, kind=None, on=None), *loose), where=where)


def exact_pair(part: tree.Expr) -> Pair | None:
    """The two columns that it says are equal, if that means the same everywhere."""
    if not isinstance(part, tree.Call) or part.function.name != "equals":
        return None
    a, b = part.args
    if not isinstance(a, tree.Column) or not isinstance(b, tree.Column):
        return None
    return (a, b) if a.relation != b.relation and _is_exact(a.type, b.type) else None


def _is_exact(*kinds: Type) -> bool:
    """Equal values of both are equal everywhere, and can be listed."""
    return all(kind.kind == Kind.STRING for kind in kinds) or all(map(_is_whole, kinds))


def _is_whole(kind: Type) -> bool:
    return kind.kind == Kind.INT or (kind.kind == Kind.DECIMAL and kind.scale == 0)
