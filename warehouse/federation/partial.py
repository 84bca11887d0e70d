"""Aggregates that a leg begins: it sends a row for each of its keys, not for each of its rows.

Rows of a relation that agree in all that the rest of a query asks of them are alike to its joins
and conditions. So they can be counted and summed where they are, and the store counts and sums on,
as often as the joins repeat what has come. That is so of inner joins, and of what ``steps`` begins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

from warehouse.federation import sizes
from warehouse.federation.conditions import EQUAL_SHARE, all_of
from warehouse.federation.equal import equal_columns, is_inner
from warehouse.federation.relations import asking, column_item, columns_of, source_of
from warehouse.federation.semi import ALIKE
from warehouse.federation.steps import Steps, can_begin, is_unmoved
from warehouse.hogql import tree
from warehouse.hogql.grouping import has_windows, is_aggregate
from warehouse.hogql.resolved import Resolved, same

TIMES_FEWER = 2
"""Groups are guessed, and cost the warehouse more than rows that it only sends."""


def begun(
    query: tree.Select,
    pushed: dict[str, list[tree.Expr]],
    can_run: Callable[[tree.Query], bool],
) -> tree.Select:
    """The query with one relation as a query of its groups, where that surely answers the same and
    likely brings less; what is ``pushed`` to it is then asked there. ``can_run`` says whether
    a query's source knows all that it asks."""
    # What depends on a row around it may be of no rows, of which the store knows less.
    if not is_inner(query) or len(query.joins) < 2 or query.names.aliases or has_windows(query):
        return query
    calls = list(_aggregates(query))
    for join in query.joins:
        grouped = _Grouped.of(join.relation, query, calls)
        if grouped is None:
            continue
        asked = grouped.asked(pushed.get(join.relation.alias, []))
        if _is_shorter(grouped, asked) and can_run(asked):
            pushed.pop(join.relation.alias, None)
            return grouped.over(asked)
    return query


@dataclass(frozen=True)
class _Grouped:
    """``rest`` is the query, which reads the groups of ``relation`` in its place: those of its
    ``keys``, each with what is ``begun`` of its rows."""

    relation: tree.Relation
    keys: tuple[tree.Item, ...]
    begun: tuple[tree.Item, ...]
    rest: tree.Select

    @classmethod
    def of(
        cls, relation: tree.Relation, query: tree.Select, calls: list[tree.Call]
    ) -> "_Grouped | None":
        """``None`` where its groups would not tell all that is asked of its rows."""
        own = [call for call in calls if can_begin(call, relation.alias)]
        others = [call for call in calls if call not in own]
        if source_of(relation) is None or not own or not all(map(is_unmoved, others)):
            return None
        steps = Steps(relation, query.group_by)
        rest = query.over(steps.ended)
        asked = {name for alias, name in rest.names.columns if alias == relation.alias}
        columns = [
            column_item(relation.at, relation.alias, name, kind)
            for name, kind in columns_of(relation)
            if name in asked
        ]
        keys = (*columns, *steps.keys)
        is_alike = all(key.expr.type.kind in ALIKE for key in keys)
        return cls(relation, keys, tuple(steps.begun), rest) if keys and is_alike else None

    def asked(self, conditions: list[tree.Expr]) -> tree.Select:
        """Its groups."""
        asked = asking(self.relation, all_of(conditions), (*self.keys, *self.begun))
        return replace(asked, group_by=tuple(key.expr for key in self.keys))

    def over(self, asked: tree.Select) -> tree.Select:
        """The query that reads them."""
        alias = self.relation.alias
        relation = tree.QueryRelation(self.relation.at, alias, asked)
        joins = tuple(
            replace(join, relation=relation) if join.relation.alias == alias else join
            for join in self.rest.joins
        )
        return replace(self.rest, joins=joins)


def _aggregates(part: Resolved) -> Iterator[tree.Call]:
    """Those of a query, and not of the queries in it."""
    for one in part.parts():
        if is_aggregate(one):
            yield one
        elif not isinstance(one, tree.Query):
            yield from _aggregates(one)


def _is_shorter(grouped: _Grouped, asked: tree.Select) -> bool:
    """It has fewer groups than rows, by what is known of them."""
    keys, unique = grouped.keys, _key_of(grouped.relation)
    rows = sizes.rows_of(replace(asked, group_by=()))
    if rows is None or (unique and unique <= {key.name for key in keys}):
        return False
    equal = equal_columns(grouped.rest)
    values = [_values(key.expr, grouped.rest, equal) for key in keys]
    known = [one for one in values if one is not None]
    return len(known) == len(values) and prod(known) * TIMES_FEWER <= rows


def _key_of(relation: tree.Relation) -> set[str]:
    """The columns of a declared key; of tables that are asked together the first one's."""
    if isinstance(relation, tree.TableRelation):
        return {*relation.table.key}
    query = relation.query if isinstance(relation, tree.QueryRelation) else None
    if not isinstance(query, tree.Select) or not query.joins:
        return set()
    first = query.joins[0].relation
    key = {(first.alias, name) for name in _key_of(first)}
    own = {
        item.name: (item.expr.relation, item.expr.name)
        for item in query.items
        if isinstance(item.expr, tree.Column)
    }
    if not key <= {*own.values()}:
        return set()
    return {name for name, place in own.items() if place in key}


def _values(
    key: tree.Expr, query: tree.Select, equal: list[tuple[tree.Column, ...]]
) -> float | None:
    """How many different ones there are: no more than rows of what they are to find; of others
    a guess. ``None`` where nothing is known."""
    mine = [group for group in equal if any(same(key, one) for one in group)]
    if not mine:
        return 1 / EQUAL_SHARE
    others = {one.relation for group in mine for one in group} - key.names.aliases
    found = [sizes.rows_in(one.relation) for one in query.joins if one.relation.alias in others]
    return min((rows for rows in found if rows is not None), default=None)
