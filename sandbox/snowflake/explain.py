"""EXPLAIN USING JSON: the plan's operations, with the bytes of the tables they read."""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp, to_table

from sandbox.snowflake import results
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import unsupported
from sandbox.snowflake.names import TableName
from sandbox.snowflake.parse import QUERY
from sandbox.snowflake.results import Result
from sandbox.snowflake.statistics import measure
from sandbox.snowflake.translate import to_duckdb

# About what Snowflake keeps in one micro-partition.
_PARTITION_BYTES = 16 * 2**20
_EXPLAINED = (*QUERY, exp.Insert, exp.Update, exp.Delete)
_OPERATIONS = {
    "AGGREGATE": "Aggregate",
    "ANY_JOIN": "Join",
    "COMPARISON_JOIN": "Join",
    "CROSS_PRODUCT": "CartesianJoin",
    "DISTINCT": "Aggregate",
    "FILTER": "Filter",
    "INSERT": "Insert",
    "LIMIT": "Limit",
    "ORDER_BY": "Sort",
    "TOP_N": "SortWithLimit",
    "UNION": "UnionAll",
    "UPDATE": "Update",
    "DELETE": "Delete",
    "WINDOW": "WindowFunction",
}


def explain(context: Context, statement: exp.Expr) -> Result:
    """Return the plan of a statement without running it; the bytes are an upper bound."""
    if not isinstance(statement, _EXPLAINED):
        raise unsupported(f"EXPLAIN of {statement.key.upper()}")
    sql = to_duckdb(context, statement)
    plans = dict(context.run(f"EXPLAIN (FORMAT json) {sql}"))
    # duckdb's optimizer leaves out what it knows to be empty; this plan still has every table.
    plan = _Plan(context)
    for node in json.loads(plans["logical_plan"]):
        plan.add(node, plan.root)
    content = json.dumps({"GlobalStats": plan.totals, "Operations": [plan.operations]})
    return results.table_of([ResultColumn("content")], [[content]], results.UNKNOWN)


@dataclass
class _Plan:
    context: Context
    operations: list[dict[str, Any]] = field(default_factory=lambda: [_result()])
    totals: dict[str, int] = field(
        default_factory=lambda: {"partitionsTotal": 0, "partitionsAssigned": 0, "bytesAssigned": 0}
    )
    root: int = 0

    def add(self, node: dict[str, Any], parent: int) -> None:
        """Add an operation and those under it; what Snowflake has no word for is left out."""
        details = node.get("extra_info") or {}
        if "Table" in details and node["name"].startswith("SEQ_SCAN"):
            parent = self._append({"operation": "TableScan", **self._scan(details)}, parent)
        elif name := _OPERATIONS.get(node["name"]):
            expressions = details.get("Conditions") or details.get("Expressions") or []
            listed = expressions if isinstance(expressions, list) else [expressions]
            known = {"expressions": [one for one in listed if one]}
            parent = self._append({"operation": name, **known}, parent)
        for child in node.get("children", []):
            self.add(child, parent)

    def _append(self, operation: dict[str, Any], parent: int) -> int:
        number = len(self.operations)
        self.operations.append({"id": number, "parent": parent, **operation})
        return number

    def _scan(self, details: dict[str, Any]) -> dict[str, Any]:
        found = to_table(details["Table"], dialect="duckdb")
        table = TableName(found.catalog, found.db, found.name)
        if table.database == "temp":
            _, size = measure(self.context.duck, table)
            known_as = {kept: name for name, kept in self.context.session.temporary.items()}
            table = known_as.get(table, table)
        elif table.database in self.context.engine.databases():
            _, size = self.context.account.statistics.of(table)
        else:
            return {"objects": [table.table]}
        partitions = -(-size // _PARTITION_BYTES)
        scanned = {
            "partitionsTotal": partitions,
            "partitionsAssigned": partitions,
            "bytesAssigned": size,
        }
        for name, value in scanned.items():
            self.totals[name] += value
        return {"objects": [table.dotted], **scanned}


def _result() -> dict[str, Any]:
    return {"id": 0, "operation": "Result"}
