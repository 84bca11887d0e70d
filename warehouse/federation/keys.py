"""Which rows of one leg another leg's keys let count, so that the others need not be fetched."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warehouse.federation.conditions import all_of, conjuncts
from warehouse.federation.equal import Pair, conditions, equal_columns, exact_pair
from warehouse.federation.parts import asks_ctes
from warehouse.federation.relations import STORE
from warehouse.hogql import tree
from warehouse.hogql.functions.lookup import named
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.types import BOOL, INT, STRING, Kind

MAX_KEYS = 1_000
"""Of more, a list is no help: warehouses bound the length of a statement."""
NUL = "\x00"
AT_LEAST, AT_MOST = named("greaterOrEquals")[0], named("lessOrEquals")[0]


@dataclass(frozen=True)
class KeyFilter:
    """Of one leg only rows count whose ``column`` is a value of another's ``from_column``."""

    table: str
    column: str
    from_table: str
    from_column: str


@dataclass(frozen=True)
class StoredKeys:
    """Of one leg only rows count whose ``column`` is a value that the store answers to a query."""

    table: str
    column: str
    query: tree.Select


def filters(pair: Pair, may: set[str], legs: Mapping[str, str]) -> Iterator[KeyFilter]:
    """What two equal columns say of the relations that ``may`` leave rows out; ``legs`` are the
    tables of legs, by the alias of their relation."""
    for here, there in (pair, pair[::-1]):
        if here.relation in may & legs.keys() and there.relation in legs:
            table, from_table = legs[here.relation], legs[there.relation]
            if table != from_table:
                yield KeyFilter(table, here.name, from_table, there.name)


def stored(query: tree.Select, legs: Mapping[str, str]) -> Iterator[StoredKeys]:
    """What tables of the store that a query joins, and that not all rows of count, say of legs."""
    in_store = {
        join.relation.alias: join
        for join in query.joins
        if isinstance(join.relation, tree.TableRelation) and not join.relation.table.source
    }
    own = {join.relation.alias for join in query.joins}
    asked = [
        part for part in conditions(query) if part.names.aliases and _is_of_store(part, in_store)
    ]
    for group in equal_columns(query):
        there = next((column for column in group if column.relation in in_store), None)
        here = [one for one in group if one.relation in own & legs.keys()]
        if there is None or not here:
            continue
        near = _near(there.relation, asked)
        found = [part for part in asked if part.names.aliases <= near]
        if all(exact_pair(part) for part in found):
            continue
        joins = [join for alias, join in in_store.items() if alias in near]
        for one in here:
            yield StoredKeys(legs[one.relation], one.name, _values(there, joins, found))


def _is_of_store(part: tree.Expr, in_store: Container[str]) -> bool:
    is_own = all(alias in in_store for alias in part.names.aliases)
    return is_own and part.names.sources <= {STORE} and not asks_ctes(part)


def _near(alias: str, asked: list[tree.Expr]) -> set[str]:
    """The relations that conditions join with it, directly or over others."""
    found, left = {alias}, [part.names.aliases for part in asked]
    while near := [aliases for aliases in left if aliases & found]:
        found = found.union(*near)
        left = [aliases for aliases in left if aliases not in near]
    return found


def _values(column: tree.Column, joins: list[tree.Join], asked: list[tree.Expr]) -> tree.Select:
    """The values that the column has, or MAX_KEYS and one more."""
    loose = [
        replace(join, kind=JoinKind.CROSS if place else None, on=None)
        for place, join in enumerate(joins)
    ]
    items = (tree.Item(column.at, column.name, column),)
    return tree.Select(
        column.at,
        ((column.name, column.type),),
        items,
        tuple(loose),
        distinct=True,
        where=all_of(asked),
        limit=MAX_KEYS + 1,
    )


def narrowed(query: tree.Select, column: str, values: list[Any]) -> tree.Select:
    """The leg's query, of those rows alone that have one of the values; of none without any."""
    found = next(item.expr for item in query.items if item.name == column)
    if found.type.kind == Kind.STRING:
        if any(NUL in value for value in values):
            # It is in no query.
            return query
        items = tuple(tree.Literal(query.at, STRING, value) for value in values)
    else:
        # A column of integers has no others.
        fitting = [int(value) for value in values if -(2**63) <= value < 2**63]
        if len(fitting) < len(values) and found.type.kind != Kind.INT:
            return query
        if _is_dense(fitting):
            return _between(query, found, min(fitting), max(fitting))
        items = tuple(tree.Literal(query.at, INT, value) for value in fitting)
    condition: tree.Expr = tree.In(query.at, BOOL, found, items, negated=False)
    if not items:
        condition = tree.Literal(query.at, BOOL, value=False)
    return replace(query, where=all_of([*conjuncts(query.where), condition]))


def _is_dense(values: list[int]) -> bool:
    """They are nearly all that lie between the first and the last of them."""
    return len(values) > 1 and (max(values) - min(values) + 1) * 3 <= len(values) * 4


def _between(query: tree.Select, column: tree.Expr, first: int, last: int) -> tree.Select:
    ends = [tree.Literal(query.at, INT, value) for value in (first, last)]
    asked = [
        tree.Call(query.at, BOOL, function, (column, end))
        for function, end in zip((AT_LEAST, AT_MOST), ends, strict=True)
    ]
    return replace(query, where=all_of([*conjuncts(query.where), *asked]))
