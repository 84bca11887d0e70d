"""What a node of a resolved query has in it: which fields have others, and what all those name."""

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from functools import cache
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
        """The relations around it that are asked."""
        return {alias for alias, _ in self.columns} - self.aliases_made


NOTHING = Names()


def _is_plain(kind: object) -> bool:
    """No value of the type has a node in it."""
    if parts := get_args(kind):
        return all(map(_is_plain, parts))
    return kind in PLAIN


def _places(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if not _is_plain(field.type))


def _said(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "at")


Fields = Callable[[Any], tuple[str, ...]]
places: Fields = cache(_places)
"""Of a class of nodes: those that may have nodes in them. Plans walk a great deal."""
said: Fields = cache(_said)
"""All but where in the text a node stands."""
