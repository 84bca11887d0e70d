"""SELECT: run by duckdb, streamed into chunks of Arrow."""

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from sandbox.snowflake import history
from sandbox.snowflake.columns import ResultColumn, column_of, declared_as
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import SqlError, unsupported
from sandbox.snowflake.facts import read_columns
from sandbox.snowflake.names import TableName
from sandbox.snowflake.parse import tables_of
from sandbox.snowflake.results import BATCH_ROWS, SELECT, Result, spool
from sandbox.snowflake.translate import to_duckdb

# duckdb has one type for several of Snowflake's.
_AMBIGUOUS = {"JSON", "TIMESTAMP WITH TIME ZONE"}
_NESTED = ("[]", "STRUCT(", "MAP(")


def select(context: Context, statement: exp.Expr) -> Result:
    """Run a query; its rows go to the result folder once they are more than a first part."""
    if (earlier := _result_scan(context, statement)) is not None:
        return earlier
    query = _query(context, statement)
    relation = _flattened(context, context.duck.sql(query.sql))
    columns = query.columns(context, relation)
    reader = relation.to_arrow_reader(BATCH_ROWS)
    limit = context.session.parameters.number("ROWS_PER_RESULTSET") or None
    return spool(reader, columns, context.result_folder, limit)


def describe(context: Context, statement: exp.Expr) -> Result:
    """Return a query's columns without running it."""
    query = _query(context, statement)
    relation = _flattened(context, context.duck.sql(query.sql))
    return Result(query.columns(context, relation), SELECT, rows=[])


@dataclass(frozen=True)
class _Query:
    """A query in duckdb's words, with what Snowflake knows of its columns."""

    sql: str
    names: dict[int, str]
    local: set[int]
    tables: list[TableName]

    def columns(self, context: Context, relation: Any) -> list[ResultColumn]:
        """Return the result's columns; a type declared in a table shows where names agree."""
        kinds = [str(kind) for kind in relation.types]
        declared = self._declared(context) if _AMBIGUOUS.intersection(kinds) else {}
        found = []
        for position, (name, kind) in enumerate(zip(relation.columns, kinds, strict=True)):
            type_ = "TIMESTAMP_LTZ" if position in self.local else declared.get(name)
            found.append(declared_as(column_of(self.names.get(position, name), kind), type_))
        return found

    def _declared(self, context: Context) -> dict[str, str | None]:
        types: dict[str, str | None] = {}
        for table in self.tables:
            for column in read_columns(context.duck, context.session.stored(table)):
                known = types.setdefault(column.name, column.facts.type)
                types[column.name] = known if known == column.facts.type else None
        return types


def _query(context: Context, statement: exp.Expr) -> _Query:
    history.provide(context, statement)
    tables = [
        context.name_of(table)
        for table in tables_of(statement)
        if table.args.get("db") or context.session.schema is not None
    ]
    names, local = _named_expressions(statement), _current_times(statement)
    return _Query(to_duckdb(context, statement), names, local, tables)


def _named_expressions(statement: exp.Expr) -> dict[int, str]:
    """Return the names of a query's bare expressions by position: their text, as in Snowflake."""
    projections = _outermost(statement).expressions
    # After a star nobody knows the positions, and duckdb's own names have to do.
    known = next((i for i, one in enumerate(projections) if one.is_star), len(projections))
    return {
        position: one.sql(dialect="snowflake", comments=False).upper()
        for position, one in enumerate(projections[:known])
        if not isinstance(one, exp.Alias | exp.Column)
    }


def _current_times(statement: exp.Expr) -> set[int]:
    """Return the positions that hold the current time, which is TIMESTAMP_LTZ."""
    return {
        position
        for position, one in enumerate(_outermost(statement).expressions)
        if isinstance(one.unalias(), exp.CurrentTimestamp)
    }


def _outermost(statement: exp.Expr) -> exp.Select:
    while not isinstance(statement, exp.Select):
        statement = statement.this
    return statement


def _flattened(context: Context, relation: Any) -> Any:
    """Return the relation with nested values as JSON, which is what they are in Snowflake."""
    nested = [
        name
        for name, kind in zip(relation.columns, map(str, relation.types), strict=True)
        if kind.endswith(_NESTED[0]) or kind.startswith(_NESTED[1:])
    ]
    if not nested:
        return relation
    replaced = ", ".join(f'to_json("{name}") AS "{name}"' for name in nested)
    return relation.project(f"* REPLACE ({replaced})")


def _result_scan(context: Context, statement: exp.Expr) -> Result | None:
    """Return an earlier result where the query is nothing but TABLE(RESULT_SCAN(...))."""
    scan = next(
        (node for node in statement.find_all(exp.Anonymous) if node.name.upper() == "RESULT_SCAN"),
        None,
    )
    if scan is None:
        return None
    plain = (
        isinstance(statement, exp.Select)
        and statement.is_star
        and not any(
            statement.args.get(part) for part in ("where", "joins", "group", "order", "limit")
        )
    )
    if not plain:
        raise unsupported("RESULT_SCAN other than SELECT * FROM TABLE(RESULT_SCAN(...))")
    argument = scan.expressions[0] if scan.expressions else None
    wanted = argument.name if isinstance(argument, exp.Literal) else context.session.last_query_id
    job = context.jobs.get(wanted or "")
    if job is None or not job.done or job.error is not None or job.future.result().discarded:
        raise SqlError("000709", "02000", f"Statement {wanted} not found")
    return job.future.result()
