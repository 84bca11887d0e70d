"""Tables of one system that a query joins with each other: asked together, as one relation.

That is always right; here is decided where it brings no more. A table whose key another one's rows
name adds to each of them at most one row: so both together have no more rows than that other one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warehouse.federation.conditions import all_of
from warehouse.federation.equal import conditions, equal_columns, exact_pair, is_inner
from warehouse.federation.relations import needed
from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.resolved import Resolved
from warehouse.hogql.scope import free_name
from warehouse.hogql.types import BOOL, Kind

LONG = (Kind.STRING, Kind.JSON, Kind.ARRAY, Kind.OTHER)
"""Kinds whose values are better not sent again with each row that names them."""
EQUAL = named("equals")[0]
Pairs = tuple[tuple[tree.Column, tree.Column], ...]
Names = Mapping[tuple[str, str], str]
"""Of the columns of a new relation, by alias and name of those that they are."""


@dataclass(frozen=True)
class _Group:
    """Relations with as many rows as the first of them; ``pairs`` are, by relation, its key and
    the columns that name it."""

    relations: tuple[tree.TableRelation, ...]
    pairs: tuple[Pairs, ...] = ()

    @property
    def root(self) -> tree.TableRelation:
        return self.relations[0]

    @property
    def aliases(self) -> set[str]:
        return {one.alias for one in self.relations}

    def with_group(self, pairs: Pairs, other: "_Group") -> "_Group":
        joined = (*self.relations, *other.relations)
        return _Group(joined, (*self.pairs, pairs, *other.pairs))


def merged(query: tree.Select, can_ask: Callable[[tree.Relation], bool]) -> tree.Select:
    """The query over fewer relations. ``can_ask`` says whether a system knows all that a new one
    asks of it."""
    if not is_inner(query):
        return query
    for group in _groups(query):
        if len(group.relations) > 1:
            names = _names(group, query)
            relation = _relation(group, query, names)
            if can_ask(relation):
                query = _over(query, group, relation, names)
    return query


def _groups(query: tree.Select) -> list[_Group]:
    found = [_Group((one,)) for one in _tables(query)]
    equal = equal_columns(query)
    while (step := _step(query, found, equal)) is not None:
        few, many, pairs = step
        found = [one for one in found if one not in (few, many)]
        found.append(many.with_group(pairs, few))
    return found


def _step(
    query: tree.Select, found: list[_Group], equal: list[tuple[tree.Column, ...]]
) -> tuple[_Group, _Group, Pairs] | None:
    """The next two to be one, and by what."""
    for few in found:
        for many in found:
            if many is few or many.root.table.source != few.root.table.source:
                continue
            pairs = _pairs(few.root, many, equal)
            if pairs and _is_short(few, query, pairs, many):
                return few, many, pairs
    return None


def _tables(query: tree.Select) -> Iterator[tree.TableRelation]:
    for join in query.joins:
        if isinstance(join.relation, tree.TableRelation) and join.relation.table.source:
            yield join.relation


def _pairs(
    few: tree.TableRelation, many: _Group, equal: list[tuple[tree.Column, ...]]
) -> Pairs | None:
    """The columns of the key, each with its equal in the other; ``None`` where one has none."""
    pairs = []
    for name in few.table.key:
        group = next((one for one in equal if any(_is(c, few.alias, name) for c in one)), ())
        own = next((c for c in group if _is(c, few.alias, name)), None)
        theirs = next((c for c in group if c.relation in many.aliases), None)
        if own is None or theirs is None:
            return None
        pairs.append((own, theirs))
    return tuple(pairs) or None


def _is(column: tree.Column, alias: str, name: str) -> bool:
    return (column.relation, column.name) == (alias, name)


def _is_short(few: _Group, query: tree.Select, pairs: Pairs, many: _Group) -> bool:
    """What it adds to each row of the other is short, or those are not all that there are."""
    source = many.root.table.source
    asked = [part for part in conditions(query) if part.names.sources <= {source}]
    # What a condition on it alone needs stays behind.
    left = [part for part in conditions(query) if part not in asked or len(part.names.aliases) > 1]
    joins = tuple(replace(join, on=None) for join in query.joins)
    plain = replace(query, joins=joins, where=all_of(left))
    keys = {own.name for own, _ in pairs}
    added = [item for one in few.relations for item in needed(one, plain) if item.name not in keys]
    if not any(item.expr.type.kind in LONG for item in added):
        return True
    return any(part.names.aliases == {many.root.alias} for part in asked)


def _names(group: _Group, query: tree.Select) -> Names:
    found: dict[tuple[str, str], str] = {}
    taken = set[str]()
    for one in group.relations:
        for item in needed(one, query):
            name = free_name(f"{one.alias}__{item.name}", taken)
            found[one.alias, item.name] = name
            taken.add(name.casefold())
    return found


def _relation(group: _Group, query: tree.Select, names: Names) -> tree.QueryRelation:
    at, root = group.root.at, group.root
    items = tuple(
        replace(item, name=names[one.alias, item.name])
        for one in group.relations
        for item in needed(one, query)
    )
    joins = [tree.Join(at, root, None, None)]
    for relation, pairs in zip(group.relations[1:], group.pairs, strict=True):
        on = all_of([tree.Call(at, BOOL, EQUAL, pair) for pair in pairs])
        joins.append(tree.Join(at, relation, JoinKind.INNER, on))
    columns = tuple((item.name, item.expr.type) for item in items)
    return tree.QueryRelation(at, root.alias, tree.Select(at, columns, items, tuple(joins)))


def _over(
    query: tree.Select, group: _Group, relation: tree.QueryRelation, names: Names
) -> tree.Select:
    """The query that reads the relation in the place of those of the group."""
    said = {frozenset(map(_place, pair)) for pairs in group.pairs for pair in pairs}

    def is_left(part: tree.Expr) -> bool:
        pair = exact_pair(part)
        return pair is None or frozenset(map(_place, pair)) not in said

    left = [part for part in conditions(query) if is_left(part)]
    plain = replace(query, joins=(), ctes=(), where=all_of(left))
    found: tree.Select = _renamed(plain, relation.alias, names)
    joins = [
        replace(join, on=None, kind=JoinKind.CROSS)
        for join in query.joins
        if join.relation.alias not in group.aliases
    ]
    first = tree.Join(relation.at, relation, None, None)
    return replace(found, joins=(first, *joins), ctes=query.ctes)


def _place(column: tree.Column) -> tuple[str, str]:
    return column.relation, column.name


def _renamed(part: Resolved, alias: str, names: Names) -> Any:
    """With the columns of the group's relations as those of the new one, which has that alias."""
    if names.keys().isdisjoint(part.names.columns):
        return part
    if isinstance(part, tree.Column):
        return replace(part, relation=alias, name=names[_place(part)])
    return part.over(lambda one: _renamed(one, alias, names))
