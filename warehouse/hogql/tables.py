"""The tables that a query reads."""

from collections.abc import Iterator

from warehouse.hogql import tree
from warehouse.hogql.resolved import Resolved


def tables(query: Resolved) -> Iterator[tree.TableRelation]:
    """Every table that is read in it."""
    for node in query.walk():
        if isinstance(node, tree.TableRelation):
            yield node
