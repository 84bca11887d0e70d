"""A query that has been resolved: every table is one of a team, every expression has a type.

What is printed, planned and costed later is this, never the text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from operator import is_not
from typing import TYPE_CHECKING, Any

from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.nodes import JoinKind, SetOp
from warehouse.hogql.parts import NOTHING, Names, places, said
from warehouse.hogql.types import Type

if TYPE_CHECKING:
    from warehouse.hogql.functions.table import Function


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
                left += [getattr(one, name) for name in reversed(places(type(one)))]
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
        for name in places(type(self)):
            part = getattr(self, name)
            for one in part if isinstance(part, tuple) else (part,):
                if one is not None:
                    yield one

    def over(self, change: "Callable[[Any], Resolved]") -> Any:
        """The node with each of those right below it changed; itself, if none differs."""
        made: dict[str, Any] = {}
        for name in places(type(self)):
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


def changed(node: Any, change: "Callable[[Any], Any]") -> Any:
    """The node with every node in it changed, those below it first."""
    return change(node.over(lambda one: changed(one, change)))


@dataclass(frozen=True)
class Expr(Resolved):
    type: Type


@dataclass(frozen=True)
class Literal(Expr):
    value: bool | int | float | Decimal | str | None


@dataclass(frozen=True)
class Param(Expr):
    """A value that is sent beside the text."""

    name: str
    value: object


@dataclass(frozen=True)
class Column(Expr):
    """A column of the relation that has this alias, in this query or one around it."""

    relation: str
    name: str

    def _own_names(self) -> Names:
        return Names(columns=frozenset([(self.relation, self.name)]))


@dataclass(frozen=True)
class Member(Expr):
    """What stands in a document under a path; NULL where nothing of its type does."""

    expr: Expr
    path: tuple[str, ...]


@dataclass(frozen=True)
class Variable(Expr):
    """A parameter of a lambda."""

    name: str


@dataclass(frozen=True)
class Call(Expr):
    function: "Function"
    args: tuple[Expr, ...]
    params: tuple[Expr, ...] = ()
    distinct: bool = False
    condition: Expr | None = None


@dataclass(frozen=True)
class Cast(Expr):
    expr: Expr


@dataclass(frozen=True)
class Tuple(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Array(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Lambda(Expr):
    params: tuple[str, ...]
    body: Expr


@dataclass(frozen=True)
class In(Expr):
    expr: Expr
    items: "tuple[Expr, ...] | Query"
    negated: bool


@dataclass(frozen=True)
class Exists(Expr):
    query: "Query"


@dataclass(frozen=True)
class Scalar(Expr):
    query: "Query"


@dataclass(frozen=True)
class Order(Resolved):
    """``item`` is the place in the select list of what is ordered by, where it stands there."""

    expr: Expr
    descending: bool
    nulls_first: bool
    item: int | None = None


@dataclass(frozen=True)
class Bound(Resolved):
    rows: int | None
    following: bool


@dataclass(frozen=True)
class Window(Expr):
    call: Call
    partition_by: tuple[Expr, ...]
    order_by: tuple[Order, ...]
    method: str
    start: Bound | None
    end: Bound | None


@dataclass(frozen=True)
class Item(Resolved):
    name: str
    expr: Expr


@dataclass(frozen=True)
class Relation(Resolved):
    """What rows come from. Columns are named ``alias.name``; an alias is used once in a query."""

    alias: str

    def _own_names(self) -> Names:
        return Names(aliases_made=frozenset([self.alias]))


@dataclass(frozen=True)
class TableRelation(Relation):
    table: CatalogTable

    def _own_names(self) -> Names:
        return super()._own_names()._replace(sources=frozenset([self.table.source]))


@dataclass(frozen=True)
class CteRelation(Relation):
    name: str

    def _own_names(self) -> Names:
        return super()._own_names()._replace(ctes=frozenset([self.name]))


@dataclass(frozen=True)
class QueryRelation(Relation):
    """``view`` is the name of the saved query that it is; empty where it stands in the text."""

    query: "Query"
    view: str = ""


@dataclass(frozen=True)
class Join(Resolved):
    """``kind`` is ``None`` for the first relation of a query."""

    relation: Relation
    kind: JoinKind | None
    on: Expr | None


@dataclass(frozen=True)
class LimitBy(Resolved):
    count: int
    offset: int
    exprs: tuple[Expr, ...]


@dataclass(frozen=True)
class Cte(Resolved):
    name: str
    query: "Query"

    def _own_names(self) -> Names:
        return Names(ctes_made=frozenset([self.name]))


@dataclass(frozen=True)
class Query(Resolved):
    """``columns`` are the names and types of its result."""

    columns: tuple[tuple[str, Type], ...]


@dataclass(frozen=True)
class Select(Query):
    items: tuple[Item, ...]
    joins: tuple[Join, ...] = ()
    ctes: tuple[Cte, ...] = ()
    distinct: bool = False
    where: Expr | None = None
    group_by: tuple[Expr, ...] = ()
    having: Expr | None = None
    qualify: Expr | None = None
    order_by: tuple[Order, ...] = ()
    limit_by: LimitBy | None = None
    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True)
class SetQuery(Query):
    left: Query
    op: SetOp
    right: Query
    limit: int | None = None
    offset: int | None = None
    ctes: tuple[Cte, ...] = ()


@dataclass(frozen=True)
class Given(Query):
    """Rows that are sent beside the text, as JSON: of each the list of its values, which are texts
    or null."""

    rows: Param


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
    return all(same(getattr(a, name), getattr(b, name)) for name in said(type(a)))
