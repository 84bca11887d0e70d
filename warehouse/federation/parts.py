"""Parts of a resolved query, looked at and put back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from warehouse.hogql import tree
from warehouse.hogql.nodes import JoinKind

Change = Callable[[tree.Query, tree.Resolved | None], tree.Query]
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


def asks_ctes(part: tree.Resolved) -> bool:
    """It reads from a CTE of a query around it."""
    asked = {node.name for node in part.walk() if isinstance(node, tree.CteRelation)}
    return bool(asked - {node.name for node in part.walk() if isinstance(node, tree.Cte)})


def with_queries(value: Any, change: Change) -> Any:
    """An expression, or the parts of a query, with every query in it changed."""
    return _with_queries(value, change, None)


def _with_queries(value: Any, change: Change, parent: tree.Resolved | None) -> Any:
    if isinstance(value, tuple):
        return tuple(_inside(one, change, parent) for one in value)
    if not isinstance(value, tree.Resolved):
        return value
    parts = dict(_parts(value))
    changed = {name: _inside(part, change, value) for name, part in parts.items()}
    return replace(value, **changed) if changed != parts else value


def _inside(value: Any, change: Change, parent: tree.Resolved | None) -> Any:
    if isinstance(value, tree.Query):
        return change(value, parent)
    return _with_queries(value, change, parent)


def _parts(value: tree.Resolved) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        part = getattr(value, field.name)
        if isinstance(part, tree.Resolved | tuple):
            yield field.name, part
