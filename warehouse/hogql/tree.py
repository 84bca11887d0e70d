"""A query that has been resolved: every table is one of a team, every expression has a type.

What is printed, planned and costed later is this, never the text.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.nodes import JoinKind, SetOp
from warehouse.hogql.resolved import Names, Resolved
from warehouse.hogql.types import Type

if TYPE_CHECKING:
    from warehouse.hogql.functions.table import Function


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
