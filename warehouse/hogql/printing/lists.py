"""Values of a list, many to a parameter, where a dialect bounds the number of parameters."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from warehouse.hogql import tree
from warehouse.hogql.types import Kind, Type

KINDS = (Kind.INT, Kind.STRING)
"""What an array sent beside the text has as it is."""
MAX_BYTES = 32 * 1024
"""Of one parameter, before signs in it are escaped."""


def gathered(items: Sequence[tree.Expr]) -> tuple[list[tree.Expr], list[tree.Expr]]:
    """The items that stand for themselves, and arrays of the others."""
    single, arrays = list[tree.Expr](), list[tree.Expr]()
    for key, group in groupby(items, _kinds):
        if key is None:
            single += group
        else:
            arrays += map(_array, _parts(group))
    return single, arrays


def _kinds(item: tree.Expr) -> tuple[Type, Type] | None:
    """What it is, and what it is cast to; ``None`` where it is no such value."""
    param = _param(item)
    return (param.type, item.type) if param is not None and param.type.kind in KINDS else None


def _param(item: tree.Expr) -> tree.Param | None:
    inner = item.expr if isinstance(item, tree.Cast) else item
    return inner if isinstance(inner, tree.Param) else None


def _parts(items: Iterable[tree.Expr]) -> Iterator[list[tree.Expr]]:
    part, size = list[tree.Expr](), 0
    for item in items:
        param = _param(item)
        added = len(str(param.value).encode()) if param is not None else 0
        if part and size + added > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += added
    yield part


def _array(part: list[tree.Expr]) -> tree.Expr:
    first, params = part[0], [param for item in part if (param := _param(item)) is not None]
    kind = Type(Kind.ARRAY, item=params[0].type)
    values = tree.Param(first.at, kind, params[0].name, [param.value for param in params])
    if isinstance(first, tree.Cast):
        return replace(first, type=Type(Kind.ARRAY, item=first.type), expr=values)
    return values
