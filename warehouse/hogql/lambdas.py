"""Lambdas: ``x -> x + 1`` as the first argument of a function of arrays."""

from collections.abc import Sequence
from typing import Protocol

from warehouse.hogql import nodes, tree
from warehouse.hogql.errors import HogQLRefused, NameAmbiguous, TypesDiffer
from warehouse.hogql.grouping import is_of_many
from warehouse.hogql.scope import Scope
from warehouse.hogql.source import Place

PARAM = "hogql_item"


class Resolver(Protocol):
    def resolve(self, node: nodes.Expr, scope: Scope) -> tree.Expr: ...

    def place(self, at: int) -> Place: ...


def resolved(
    node: nodes.Lambda, arrays: Sequence[tree.Expr], scope: Scope, resolver: Resolver
) -> tree.Lambda:
    """The lambda over items of these arrays; raises HogQLError."""
    items = [array.type.item for array in arrays if array.type.item is not None]
    if not len(node.params) == len(items) == len(arrays):
        raise TypesDiffer(
            f"A lambda of {len(node.params)} needs as many arrays behind it.",
            resolver.place(node.at),
        )
    if len({param.casefold() for param in node.params}) < len(node.params):
        raise NameAmbiguous(
            "Two parameters of the lambda are called the same.", resolver.place(node.at)
        )
    inner = Scope(scope)
    for param, item in zip(node.params, items, strict=True):
        # A name that nothing in sight has: what is around must not be taken for it.
        name = inner.free_alias(PARAM)
        inner.variables[param.casefold()] = tree.Variable(node.at, item, name)
    body = resolver.resolve(node.body, inner)
    _refuse_queries(body, resolver)
    names = tuple(variable.name for variable in inner.variables.values())
    return tree.Lambda(node.at, body.type, names, body)


def _refuse_queries(body: tree.Expr, resolver: Resolver) -> None:
    """An item is no row: nothing is counted over it, and no query sees it."""
    for node in body.walk():
        if is_of_many(node) or isinstance(node, tree.Query):
            raise HogQLRefused(
                "A lambda has no aggregates, windows and queries in it.", resolver.place(node.at)
            )
