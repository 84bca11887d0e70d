"""Which rows of one leg another leg's keys let count, so that the others need not be fetched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warehouse.federation.conditions import all_of, conjuncts
from warehouse.hogql import tree
from warehouse.hogql.types import BOOL, INT, STRING, Kind, Type

NUL = "\x00"


@dataclass(frozen=True)
class KeyFilter:
    """Of one leg only rows count whose ``column`` is a value of another's ``from_column``."""

    table: str
    column: str
    from_table: str
    from_column: str


def filters(part: tree.Expr, may: set[str], legs: Mapping[str, str]) -> Iterator[KeyFilter]:
    """What an equality says of the relations that ``may`` leave rows out; ``legs`` are the tables
    of legs, by the alias of their relation."""
    if not isinstance(part, tree.Call) or part.function.name != "equals":
        return
    for here, there in (part.args, part.args[::-1]):
        if (
            isinstance(here, tree.Column)
            and isinstance(there, tree.Column)
            and here.relation in may & legs.keys()
            and there.relation in legs
            and here.relation != there.relation
            and _is_exact(here.type, there.type)
        ):
            yield KeyFilter(legs[here.relation], here.name, legs[there.relation], there.name)


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
        items = tuple(tree.Literal(query.at, INT, value) for value in fitting)
    condition: tree.Expr = tree.In(query.at, BOOL, found, items, negated=False)
    if not items:
        condition = tree.Literal(query.at, BOOL, value=False)
    return replace(query, where=all_of([*conjuncts(query.where), condition]))


def _is_exact(*kinds: Type) -> bool:
    """Equal values of both are equal everywhere, and can be listed."""
    return all(kind.kind == Kind.STRING for kind in kinds) or all(map(_is_whole, kinds))


def _is_whole(kind: Type) -> bool:
    return kind.kind == Kind.INT or (kind.kind == Kind.DECIMAL and kind.scale == 0)
