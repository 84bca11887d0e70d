"""The outermost select list: what a value would lose or bring along on its way out is seen to."""

from dataclasses import replace

from warehouse.hogql import tree
from warehouse.hogql.functions.scalar import UNPADDED
from warehouse.hogql.printing.dialects import Dialect
from warehouse.hogql.types import STRING, Kind

ROWS = "hogql_rows"


def arriving(query: tree.Query, dialect: Dialect) -> tree.Query:
    """The query, with decimals of a size where the result would have none, and without the blanks
    that fill a CHAR: its warehouse compares as if they were not there, and nobody else does."""
    if not isinstance(query, tree.Select):
        pads = any(kind.padded for _, kind in query.columns) and dialect.name in UNPADDED.forms
        return arriving(_around(query), dialect) if pads else query
    sizes = dialect.sized_decimals and not query.distinct
    items = tuple(
        replace(item, expr=_cast(item.expr, dialect, sizes=sizes)) for item in query.items
    )
    return replace(query, items=items)


def made_array(query: tree.Query) -> tree.Resolved | None:
    """What is an array of the result, and no column of a table: NULL may be in it."""
    if not isinstance(query, tree.Select):
        return query if any(kind.kind == Kind.ARRAY for _, kind in query.columns) else None
    tables = {
        join.relation.alias for join in query.joins if isinstance(join.relation, tree.TableRelation)
    }
    arrays = (item.expr for item in query.items if item.expr.type.kind == Kind.ARRAY)
    return next((one for one in arrays if not _is_of(one, tables)), None)


def _is_of(expr: tree.Expr, tables: set[str]) -> bool:
    return isinstance(expr, tree.Column) and expr.relation in tables


def _cast(expr: tree.Expr, dialect: Dialect, *, sizes: bool) -> tree.Expr:
    if expr.type.padded and dialect.name in UNPADDED.forms:
        return tree.Call(expr.at, STRING, UNPADDED, (expr,))
    is_sized = expr.type.kind == Kind.DECIMAL and expr.type.scale is not None
    if sizes and is_sized and not isinstance(expr, tree.Column):
        return tree.Cast(expr.at, expr.type, expr)
    return expr


def _around(query: tree.Query) -> tree.Select:
    relation = tree.QueryRelation(query.at, ROWS, query)
    items = tuple(
        tree.Item(query.at, name, tree.Column(query.at, kind, ROWS, name))
        for name, kind in query.columns
    )
    return tree.Select(query.at, query.columns, items, (tree.Join(query.at, relation, None, None),))
