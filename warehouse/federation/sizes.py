"""How many rows a leg has, as well as that is known before it runs."""

from connectors.types import Estimate
from warehouse.federation.conditions import EQUAL_SHARE, conjuncts, share
from warehouse.hogql import tree

GROUP_SHARE = EQUAL_SHARE
"""Groups of a row."""
COLUMN_BYTES = 8
"""Of one value, where all that is known of a table is how much of it would be scanned."""


def rows_of(query: tree.Query) -> float | None:
    """By what the catalog knows of its tables; ``None`` where that is nothing."""
    if not isinstance(query, tree.Select) or not query.joins:
        return None
    # Of joins by a key the first has as many rows as all of them.
    relation = query.joins[0].relation
    if _is_one(relation, query.where):
        return 1.0
    found = rows_in(relation)
    if found is None:
        return None
    found *= share(query.where) * share(query.having)
    if query.group_by:
        found *= GROUP_SHARE
    return found if query.limit is None else min(found, query.limit)


def spared(query: tree.Query, rows: float) -> float:
    """The rows that it is made of, where it answers so many: whoever asks for fewer groups spares
    its warehouse all of theirs."""
    grouped = any(isinstance(one, tree.Select) and one.group_by for one in (query, *_inner(query)))
    return rows / GROUP_SHARE if grouped else rows


def _inner(query: tree.Query) -> list[tree.Query]:
    joins = query.joins if isinstance(query, tree.Select) else ()
    return [one.relation.query for one in joins if isinstance(one.relation, tree.QueryRelation)]


def of_estimate(estimate: Estimate, query: tree.Select) -> float | None:
    """By what a connection has said of the query."""
    if estimate.rows is not None:
        return estimate.rows
    if estimate.bytes_scanned is None:
        return None
    return estimate.bytes_scanned / (COLUMN_BYTES * len(query.columns)) * share(query.where)


def rows_in(relation: tree.Relation) -> float | None:
    """Those that it has, likewise."""
    match relation:
        case tree.TableRelation():
            return relation.table.rows
        case tree.QueryRelation():
            return rows_of(relation.query)
    return None


def _is_one(relation: tree.Relation, condition: tree.Expr | None) -> bool:
    """The condition has a value for each column of the key."""
    if not isinstance(relation, tree.TableRelation) or not relation.table.key:
        return False
    given = set[str]()
    for part in conjuncts(condition):
        if isinstance(part, tree.Call) and part.function.name == "equals":
            columns = [arg for arg in part.args if isinstance(arg, tree.Column)]
            if len(columns) == 1:
                given.add(columns[0].name)
    return given >= {*relation.table.key}
