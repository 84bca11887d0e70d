"""HogQL as it was written: what ``read`` makes of the parser's tree. Nothing is looked up yet.

``at`` is the offset in the text at which a node starts.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True)
class Node:
    at: int


class Expr(Node):
    """What has a value."""


@dataclass(frozen=True)
class Constant(Expr):
    """A number with a point is a Decimal, one with an exponent a float."""

    value: bool | int | float | Decimal | str | None


@dataclass(frozen=True)
class Name(Expr):
    """A column, a table's column, or ``*``."""

    chain: tuple[str, ...]


@dataclass(frozen=True)
class Placeholder(Expr):
    name: str


@dataclass(frozen=True)
class Call(Expr):
    """A function; operators are calls by their ClickHouse name, such as ``plus``."""

    name: str
    args: tuple[Expr, ...]
    params: tuple[Expr, ...] = ()
    distinct: bool = False
    condition: Expr | None = None


@dataclass(frozen=True)
class Cast(Expr):
    expr: Expr
    type_name: str
    args: tuple[int, ...] = ()


@dataclass(frozen=True)
class In(Expr):
    """``items`` are expressions, or one query."""

    expr: Expr
    items: "tuple[Expr, ...] | Query"
    negated: bool


@dataclass(frozen=True)
class Exists(Expr):
    query: "Query"


@dataclass(frozen=True)
class Scalar(Expr):
    """A query in the place of a value."""

    query: "Query"


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
class Order(Node):
    expr: Expr
    descending: bool
    nulls_first: bool


@dataclass(frozen=True)
class Bound(Node):
    """An end of a frame: ``rows`` before (negative) or after, ``None`` for all of them."""

    rows: int | None
    following: bool


@dataclass(frozen=True)
class WindowSpec(Node):
    partition_by: tuple[Expr, ...]
    order_by: tuple[Order, ...]
    method: str = ""
    start: Bound | None = None
    end: Bound | None = None


@dataclass(frozen=True)
class Over(Expr):
    call: Call
    window: WindowSpec


@dataclass(frozen=True)
class Item(Node):
    """One of a select list; ``alias`` is empty where none was given."""

    expr: Expr
    alias: str


class JoinKind(StrEnum):
    CROSS = "cross"
    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"


@dataclass(frozen=True)
class Source(Node):
    """What stands after FROM or JOIN; the first of a query has no kind."""

    table: "tuple[str, ...] | Query"
    alias: str
    kind: JoinKind | None = None
    on: Expr | None = None


@dataclass(frozen=True)
class LimitBy(Node):
    count: int
    offset: int
    exprs: tuple[Expr, ...]


@dataclass(frozen=True)
class Cte(Node):
    name: str
    query: "Query"


@dataclass(frozen=True)
class Query(Node):
    """A SELECT or a set operation, with its own CTEs."""


@dataclass(frozen=True)
class Select(Query):
    items: tuple[Item, ...]
    sources: tuple[Source, ...] = ()
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


class SetOp(StrEnum):
    UNION_ALL = "UNION ALL"
    UNION = "UNION DISTINCT"
    INTERSECT = "INTERSECT"
    EXCEPT = "EXCEPT"


@dataclass(frozen=True)
class SetQuery(Query):
    left: Query
    op: SetOp
    right: Query
    limit: int | None = None
    offset: int | None = None
    ctes: tuple[Cte, ...] = ()
