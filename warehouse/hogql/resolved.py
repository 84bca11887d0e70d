"""A node of a resolved query: what is below it, what all of that names, and what is made of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cache, cached_property
from operator import is_not
from types import NoneType
from typing import Any, NamedTuple, get_args

from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.nodes import JoinKind, SetOp
from warehouse.hogql.types import Type

PLAIN = (
    *(int, str, bool, float, Decimal, object, NoneType, ...),
    *(Type, CatalogTable, JoinKind, SetOp, "Function"),
)
"""Types of what is no node."""


class Names(NamedTuple):
    """What a node and all below it name, and what they make: columns are of an alias."""

    columns: frozenset[tuple[str, str]] = frozenset()
    sources: frozenset[str] = frozenset()
    """Of tables."""
    ctes: frozenset[str] = frozenset()
    aliases_made: frozenset[str] = frozenset()
    ctes_made: frozenset[str] = frozenset()

    @property
    def aliases(self) -> set[str]:
        """The relations around it that are asked: those that are not made here."""
        return {alias for alias, _ in self.columns} - self.aliases_made


NOTHING = Names()


def _is_plain(kind: object) -> bool:
    """No value of the type has a node in it."""
    if parts := get_args(kind):
        return all(map(_is_plain, parts))
    return kind in PLAIN


def _with_nodes(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if not _is_plain(field.type))


def _but_at(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "at")


# mypy takes no class of nodes for hashable.
Fields = Callable[[Any], tuple[str, ...]]
_places: Fields = cache(_with_nodes)
"""Of a class of nodes: those that may have nodes in them. Plans walk a great deal."""
_said: Fields = cache(_but_at)
"""All but where in the text a node stands."""


@dataclass(frozen=True)
class Resolved:
    """``at`` is the offset in the text."""

    at: int

    def walk(self) -> "Iterator[Resolved]":
        """This and all below it."""
        left: list[object] = [self]
        while left:
            one = left.pop()
            if isinstance(one, Resolved):
                yield one
                left += [getattr(one, name) for name in reversed(_places(type(one)))]
            elif isinstance(one, tuple):
                left += one[::-1]

    @cached_property
    def names(self) -> Names:
        """A node never changes, and plans ask this again and again."""
        below = [part.names for part in self.parts()]
        found = [one for one in (self._own_names(), *below) if one is not NOTHING]
        if len(found) < 2:
            return found[0] if found else NOTHING
        return Names(*(frozenset().union(*sets) for sets in zip(*found, strict=True)))

    def parts(self) -> "Iterator[Resolved]":
        """The nodes right below it."""
        for name in _places(type(self)):
            part = getattr(self, name)
            for one in part if isinstance(part, tuple) else (part,):
                if one is not None:
                    yield one

    def over(self, change: "Callable[[Any], Resolved]") -> Any:
        """The node with each of those right below it changed; itself, if none differs."""
        made: dict[str, Any] = {}
        for name in _places(type(self)):
            part = getattr(self, name)
            if isinstance(part, tuple):
                several = tuple(map(change, part))
                if any(map(is_not, several, part)):
                    made[name] = several
            elif part is not None and (one := change(part)) is not part:
                made[name] = one
        return replace(self, **made) if made else self

    def _own_names(self) -> Names:
        """By the node alone."""
        return NOTHING


def changed(node: Any, change: Callable[[Any], Any]) -> Any:
    """The node with every node in it changed, those below it first."""
    return change(node.over(lambda one: changed(one, change)))


def moved(part: Resolved, at: int) -> Any:
    """A node as if all of it stood at one place."""
    return replace(part.over(lambda one: moved(one, at)), at=at)


def same(a: Any, b: Any) -> bool:
    """Equal but for where in the text they stand."""
    if a is b or type(a) is not type(b):
        return a is b
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if not isinstance(a, Resolved):
        return bool(a == b)
    # What differs does so early, mostly: queries compare many pairs.
    return all(same(getattr(a, name), getattr(b, name)) for name in _said(type(a)))
