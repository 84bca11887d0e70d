"""Parts of a resolved query, looked at and put back."""

from collections.abc import Callable, Iterable
from typing import Any

from warehouse.hogql import tree
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.resolved import Resolved

Change = Callable[[tree.Query, Resolved | None], tree.Query]
"""Of a query in a part, and the node that it stands in."""


def optional(joins: Iterable[tree.Join]) -> set[str]:
    """The relations whose rows may be missing in the joined ones."""
    found, before = set[str](), set[str]()
    for join in joins:
        if join.kind in (JoinKind.RIGHT, JoinKind.FULL):
            found |= before
        if join.kind in (JoinKind.LEFT, JoinKind.FULL):
            found.add(join.relation.alias)
        before.add(join.relation.alias)
    return found


def asks_ctes(part: Resolved) -> bool:
    """It reads from a CTE of a query around it."""
    return bool(part.names.ctes - part.names.ctes_made)


def with_tables(part: Any, change: Callable[[tree.TableRelation], tree.Relation]) -> Any:
    """A part with every table in it changed."""
    if isinstance(part, tree.TableRelation):
        return change(part)
    return part.over(lambda one: with_tables(one, change))


def with_queries(part: Any, change: Change) -> Any:
    """An expression, or the parts of a query, with every query in it that has tables changed."""
    if part is None or not part.names.aliases_made:
        return part

    def changed(one: Resolved) -> Resolved:
        return change(one, part) if isinstance(one, tree.Query) else with_queries(one, change)

    return part.over(changed)
