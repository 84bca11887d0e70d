"""The outermost select list: what a value would lose or bring along on its way out is seen to."""

from collections.abc import Iterable
from dataclasses import replace

from warehouse.hogql import tree
from warehouse.hogql.functions.text import UNPADDED
from warehouse.hogql.printing.dialects import Dialect
from warehouse.hogql.resolved import Resolved
from warehouse.hogql.types import STRING, Kind, Type

ROWS = "hogql_rows"


def arriving(query: tree.Query, dialect: Dialect) -> tree.Query:
    """The query, with decimals of a size where the result would have none, truth values where it
    would have 1 and 0, and without the blanks that fill a CHAR: its warehouse compares as if they
    were not there, and nobody else does."""
    if not isinstance(query, tree.Select):
        kinds = [kind for _, kind in query.columns]
        pads = any(kind.padded for kind in kinds) and dialect.name in UNPADDED.forms
        return arriving(around(query), dialect) if pads or _is_cast(kinds, dialect) else query
    own = _tables(query)
    items = tuple(replace(item, expr=_cast(item.expr, dialect, own)) for item in query.items)
    return replace(query, items=items)


def made_array(query: tree.Query) -> Resolved | None:
    """What is an array of the result, and no column of a table: NULL may be in it."""
    if not isinstance(query, tree.Select):
        return query if any(kind.kind == Kind.ARRAY for _, kind in query.columns) else None
    tables = _tables(query)
    arrays = (item.expr for item in query.items if item.expr.type.kind == Kind.ARRAY)
    return next((one for one in arrays if not _is_of(one, tables)), None)


def _tables(query: tree.Select) -> set[str]:
    return {
        join.relation.alias for join in query.joins if isinstance(join.relation, tree.TableRelation)
    }


def _is_sized(kind: Type) -> bool:
    return kind.kind == Kind.DECIMAL and kind.scale is not None


def _is_of(expr: tree.Expr, tables: set[str]) -> bool:
    return isinstance(expr, tree.Column) and expr.relation in tables


def _cast(expr: tree.Expr, dialect: Dialect, own: set[str]) -> tree.Expr:
    if expr.type.padded and dialect.name in UNPADDED.forms:
        return tree.Call(expr.at, STRING, UNPADDED, (expr,))
    if _is_cast([expr.type], dialect) and not _is_of(expr, own):
        return tree.Cast(expr.at, expr.type, expr)
    return expr


def _is_cast(kinds: Iterable[Type], dialect: Dialect) -> bool:
    return any(
        (dialect.sized_decimals and _is_sized(kind))
        or (dialect.truth_in_numbers and kind.kind == Kind.BOOL)
        for kind in kinds
    )


def around(query: tree.Query) -> tree.Select:
    """All that the query answers, in a query around it."""
    relation = tree.QueryRelation(query.at, ROWS, query)
    items = tuple(
        tree.Item(query.at, name, tree.Column(query.at, kind, ROWS, name))
        for name, kind in query.columns
    )
    return tree.Select(query.at, query.columns, items, (tree.Join(query.at, relation, None, None),))
