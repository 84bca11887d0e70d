"""Rows that are sent beside the text, as a query of them."""

from sqlglot import exp

from warehouse.hogql import tree
from warehouse.hogql.errors import HogQLRefused
from warehouse.hogql.printing.expressions import Expressions, quoted
from warehouse.hogql.printing.templates import filled
from warehouse.hogql.source import Place


def rows(query: tree.Given, exprs: Expressions) -> exp.Query:
    """Raises HogQLRefused where the dialect cannot read them."""
    dialect = exprs.dialect
    if dialect.given is None:
        raise HogQLRefused(
            f"Rows cannot be given to {dialect.label}.", Place.of(exprs.text, query.at)
        )
    every = filled(f"SELECT * FROM {dialect.given.rows}", dialect.name, [exprs.node(query.rows)])
    made = exp.Select(from_=every.args["from_"].pop())
    for place, (name, kind) in enumerate(query.columns):
        value = filled(dialect.given.value.format(place=place), dialect.name, [])
        item = exp.Alias(this=exprs.cast_to(value, kind), alias=quoted(name))
        made.append("expressions", item)
    return made
