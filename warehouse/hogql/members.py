"""Members of documents: texts, or numbers and truth values where a query reads them so."""

from collections.abc import Sequence
from dataclasses import replace

from warehouse.hogql import nodes, tree, types
from warehouse.hogql.functions import lookup
from warehouse.hogql.types import Kind, Type

CASTS = (types.INT, types.FLOAT, types.BOOL)
CALLS = {"toInt": types.INT, "toFloat": types.FLOAT}


def member(expr: tree.Expr, path: tuple[str, ...], at: int) -> tree.Expr | None:
    """The expression itself where the path is empty; only documents have members."""
    if not path:
        return expr
    return tree.Member(at, types.STRING, expr, path) if expr.type.kind == Kind.JSON else None


def cast(expr: tree.Expr, wanted: Type | None) -> tree.Expr | None:
    """``CAST(doc.x AS Float)``: the member as that type; ``None`` for any other cast."""
    if isinstance(expr, tree.Member) and wanted in CASTS:
        return replace(expr, type=wanted)
    return None


def call(node: nodes.Call, args: Sequence[tree.Expr]) -> tree.Expr | None:
    """``toFloat(doc.x)``: likewise; ``doc['x']`` is the member x."""
    if node.name == "arrayElement":
        return _element(node.at, *args) if len(args) == 2 else None
    names = {function.name for function in lookup.named(node.name)}
    wanted = next((kind for name, kind in CALLS.items() if name in names), None)
    return cast(args[0], wanted) if len(args) == 1 else None


def _element(at: int, expr: tree.Expr, place: tree.Expr) -> tree.Expr | None:
    if not isinstance(place, tree.Literal) or not isinstance(place.value, str):
        return None
    if isinstance(expr, tree.Member) and expr.type == types.STRING:
        return replace(expr, path=(*expr.path, place.value))
    return member(expr, (place.value,), at)
