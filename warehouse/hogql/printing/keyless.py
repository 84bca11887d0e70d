"""Joins that are on no equality: ClickHouse makes those that keep rows without a match by a key."""

from collections.abc import Mapping

from sqlglot import exp

from warehouse.hogql import tree
from warehouse.hogql.nodes import JoinKind
from warehouse.hogql.printing.expressions import quoted

OUTER = (JoinKind.LEFT, JoinKind.RIGHT, JoinKind.FULL)


def key_of(join: tree.Join, query: tree.Select) -> exp.Expr | None:
    """A key that all rows of both sides have, for an outer join that has none of its own."""
    if join.kind not in OUTER or join.on is None:
        return None
    alias = join.relation.alias
    before = [one.relation.alias for one in query.joins[: query.joins.index(join)]]
    if _has_key(join.on, alias, before):
        return None
    columns = _columns(query)
    here = next((columns[one] for one in before if one in columns), None)
    there = columns.get(alias)
    if here is None or there is None:
        return None
    return exp.EQ(this=_zero(here), expression=_zero(there))


def _has_key(on: tree.Expr, alias: str, before: list[str]) -> bool:
    """ClickHouse finds one: every branch of an OR has an equality between both sides."""
    if not isinstance(on, tree.Call):
        return False
    if on.function.name == "and":
        return any(_has_key(part, alias, before) for part in on.args)
    if on.function.name == "or":
        return all(_has_key(part, alias, before) for part in on.args)
    if on.function.name != "equals":
        return False
    sides = [{alias for alias, _ in one.names.columns} for one in on.args]
    return any(
        here == {alias} and there and there <= set(before) for here, there in (sides, sides[::-1])
    )


def _columns(query: tree.Select) -> Mapping[str, tree.Column]:
    """By the alias of a relation: a column that it has."""
    known = {
        join.relation.alias: tree.Column(join.at, kind, join.relation.alias, name)
        for join in query.joins
        if isinstance(join.relation, tree.TableRelation)
        for name, kind in join.relation.table.columns[:1]
    }
    asked = {node.relation: node for node in query.walk() if isinstance(node, tree.Column)}
    return known | asked


def _zero(column: tree.Column) -> exp.Expr:
    """0 of each row, which the engine does not take for a constant."""
    return exp.func("ignore", exp.column(quoted(column.name), table=quoted(column.relation)))
