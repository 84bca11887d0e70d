"""Templates of functions: a dialect's own SQL, with ``_0``, ``_1``… for arguments."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp

SIMPLE = (exp.Anonymous, exp.Boolean, exp.Case, exp.Cast, exp.Column, exp.Func, exp.Literal,
          exp.Null, exp.Paren, exp.Subquery, exp.Tuple, exp.Var)  # fmt: skip
PLACE = ("line", "col", "start", "end")
"""Where sqlglot has parsed a node; its other notes say how a function was written."""


def filled(
    template: str, dialect: str, args: Sequence[exp.Expr], level: exp.Expr | None = None
) -> exp.Expr:
    """The template's tree with the arguments in their places; ``_p`` is a level."""
    by_name = {f"_{place}": arg for place, arg in enumerate(args)}
    if level is not None:
        by_name["_p"] = level
    placed = set[str]()

    def made(node: exp.Expr) -> exp.Expr:
        arg = by_name.get(node.name) if isinstance(node, exp.Column) else None
        if arg is None:
            found = type(node)(**{name: copied(value) for name, value in node.args.items()})
            found.meta.update(node.meta)
            return found
        # It may stand in the template again, but mostly it does not.
        is_free = arg.parent is None and node.name not in placed
        placed.add(node.name)
        return apart(arg if is_free else arg.copy())

    def copied(value: Any) -> Any:
        if isinstance(value, list):
            return [copied(one) for one in value]
        return made(value) if isinstance(value, exp.Expr) else value

    # Copied and filled at once: every call in a query passes here.
    return made(_parsed(template, dialect))


@cache
def _parsed(template: str, dialect: str) -> exp.Expr:
    # Names that are quoted would not be arguments; the table has none.
    found: exp.Expr = sqlglot.parse_one(template, read=dialect)
    for node in found.walk():
        # Where it stands in the template, which costs more to copy than all the rest.
        for place in PLACE:
            node.meta.pop(place, None)
    return found


def apart(node: exp.Expr) -> exp.Expr:
    """The node, in parentheses unless it stands for itself."""
    # A cast may be printed as an operator, AND and OR are functions to sqlglot, too.
    is_simple = isinstance(node, SIMPLE) and not isinstance(node, exp.Binary | exp.Connector)
    return node if is_simple else exp.Paren(this=node)
