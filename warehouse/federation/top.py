"""The first rows of an answer, asked of what they come from: no leg sends what is cut off anyway.

That goes only by values that are in one order everywhere: texts are not, nor are floats that are
no number.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from warehouse.federation import semi
from warehouse.federation.conditions import all_of
from warehouse.federation.relations import asking, needed, source_of
from warehouse.hogql import tree
from warehouse.hogql.grouping import has_windows
from warehouse.hogql.nodes import JoinKind, SetOp
from warehouse.hogql.types import TIMES, Kind

ORDERED = (Kind.BOOL, Kind.INT, Kind.DECIMAL, *TIMES)
Places = Sequence[tuple[int, tree.Order]]
"""Of columns that rows are ordered by."""


def cut(
    query: tree.Select,
    pushed: dict[str, list[tree.Expr]],
    can_run: Callable[[tree.Query], bool],
) -> tree.Select:
    """The query that asks its first relation for no more rows than can count; what is ``pushed``
    to it is then asked there. Of a LEFT JOIN each of its rows makes one or more, whatever is joined
    with it."""
    rows = _rows(query)
    if rows is None or not query.joins or query.where is not None:
        return query
    first, *others = query.joins
    relation, alias = first.relation, first.relation.alias
    is_kept = all(join.kind == JoinKind.LEFT for join in others)
    is_by_own = all(_is_ordered(order.expr, alias) for order in query.order_by)
    if not is_kept or not is_by_own or source_of(relation) is None:
        return query
    asked = replace(
        asking(relation, all_of(pushed.get(alias, [])), needed(relation, query)),
        order_by=tuple(replace(order, item=None) for order in query.order_by),
        limit=rows,
    )
    if not can_run(asked):
        return query
    pushed.pop(alias, None)
    relation = tree.QueryRelation(relation.at, alias, asked)
    return replace(query, joins=(replace(first, relation=relation), *others))


def cut_parts(query: tree.Query) -> tree.Query:
    """The query whose UNION ALL asks each part for no more rows than can count."""
    match query:
        case tree.SetQuery(limit=int(rows), op=SetOp.UNION_ALL):
            most = rows + (query.offset or 0)
            left, right = (_first(one, (), most) for one in (query.left, query.right))
            return replace(query, left=left, right=right)
        case tree.Select(
            joins=(tree.Join(relation=tree.QueryRelation(query=tree.SetQuery()) as parts) as join,)
        ):
            wanted, places = _rows(query), _places(query, parts.query)
            if wanted is None or places is None or query.where is not None:
                return query
            relation = replace(parts, query=_first(parts.query, places, wanted))
            return replace(query, joins=(replace(join, relation=relation),))
    return query


def _rows(query: tree.Select) -> int | None:
    """How many of those of its joins can count, at most; ``None`` where that may be all."""
    if query.limit is None or query.distinct:
        return None
    is_plain = semi.is_plain(replace(query, limit=None, offset=None))
    return query.limit + (query.offset or 0) if is_plain else None


def _is_ordered(expr: tree.Expr, alias: str) -> bool:
    is_own = expr.names.aliases == {alias} and not expr.names.aliases_made
    return is_own and not has_windows(expr) and expr.type.kind in ORDERED


def _places(query: tree.Select, parts: tree.Query) -> Places | None:
    """By which of the columns of what it reads it is ordered; ``None``, if by something else."""
    names = [name for name, _ in parts.columns]
    found = []
    for order in query.order_by:
        if not isinstance(order.expr, tree.Column) or order.expr.name not in names:
            return None
        found.append((names.index(order.expr.name), order))
    return found


def _first(query: tree.Query, places: Places, rows: int) -> tree.Query:
    """The first rows of a query, where its parts or itself can be asked for them."""
    match query:
        case tree.SetQuery(op=SetOp.UNION_ALL, limit=None, offset=None):
            left, right = (_first(one, places, rows) for one in (query.left, query.right))
            return replace(query, left=left, right=right)
        case tree.Select(limit=None, offset=None, limit_by=None):
            exprs = [query.items[place].expr for place, _ in places]
            if any(expr.type.kind not in ORDERED for expr in exprs):
                return query
            order_by = tuple(
                replace(order, expr=expr, item=place)
                for (place, order), expr in zip(places, exprs, strict=True)
            )
            return replace(query, order_by=order_by, limit=rows)
    return query
