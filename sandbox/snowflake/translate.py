"""Snowflake's SQL to duckdb's: our corrections first, then fakesnow's transformations."""

import shutil

import snowflake.connector.errors
import sqlglot
from fakesnow import transforms
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms.stage import LOCAL_BUCKET_PATH
from sqlglot import exp

from sandbox.snowflake import functions
from sandbox.snowflake.catalog import VIEWS
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import SqlError, missing, no_current, unsupported
from sandbox.snowflake.names import fold
from sandbox.snowflake.parse import tables_of, written_name

_NUMBER = exp.DataType.build("DECIMAL(38, 0)")
_INTEGERS = {
    exp.DataType.Type.BIGINT,
    exp.DataType.Type.INT,
    exp.DataType.Type.SMALLINT,
    exp.DataType.Type.TINYINT,
}


def mend_fakesnow() -> None:
    """Replace what loses digits in fakesnow, and tidy up after its import; call once at start."""
    transforms.integer_precision = _exact_numbers
    transforms.numeric_agg_implicit_cast = _as_it_is
    # It makes a folder for uploads when it is imported; nothing is uploaded here.
    shutil.rmtree(LOCAL_BUCKET_PATH, ignore_errors=True)


def to_duckdb(context: Context, statement: exp.Expr) -> str:
    """Return duckdb's SQL for a query or DML statement; the statement is used up.

    Raises SqlError for what neither knows.
    """
    statement = resolve(context, statement)
    statement = functions.rewrite(context, statement)
    try:
        return transformed(context, statement).sql(
            dialect="duckdb",
            # Every name is folded by now, and the two languages reserve different words.
            identify=True,
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
    except sqlglot.UnsupportedError as error:
        raise unsupported(str(error)) from error


def resolve(context: Context, statement: exp.Expr) -> exp.Expr:
    """Point names at where duckdb keeps things; raises SqlError without a current place."""
    statement = statement.transform(lambda node: transforms.identifier(node, None), copy=False)
    for table in list(tables_of(statement)):
        if fold(table.args.get("db")) == "INFORMATION_SCHEMA":
            _check_view(context, table)
        elif table.parent is not None or table.args.get("db"):
            _place(context, table)
    return statement


def transformed(context: Context, statement: exp.Expr) -> exp.Expr:
    """Return the statement after fakesnow's own transformations."""
    cursor = FakeSnowflakeCursor(context.session.fake, context.duck)
    try:
        result: exp.Expr = cursor._transform(statement, None)
    except snowflake.connector.errors.Error as error:
        raise SqlError(
            f"{error.errno:06d}", error.sqlstate or "42000", error.raw_msg or str(error)
        ) from error
    except NotImplementedError as error:
        raise unsupported(str(error)) from error
    return result


def _place(context: Context, table: exp.Table) -> None:
    if fold(table.args.get("db")) is None and context.session.schema == "INFORMATION_SCHEMA":
        table.set("db", exp.to_identifier("INFORMATION_SCHEMA"))
        _check_view(context, table)
        return
    name = context.name_of(table)
    stored = context.session.stored(name)
    if stored == name:
        return
    # A column may be qualified with the table's name, so the name stays the last part.
    table.set("catalog", exp.to_identifier(stored.database, quoted=True))
    table.set("db", exp.to_identifier(stored.schema, quoted=True))
    table.set("this", exp.to_identifier(stored.table, quoted=True))


def _check_view(context: Context, table: exp.Table) -> None:
    database = fold(table.args.get("catalog")) or context.session.database
    if database is None:
        raise no_current("database", "SELECT")
    view = fold(table.this) or ""
    if view not in VIEWS or database not in context.engine.databases():
        raise missing("Object", written_name(table))
    if view == "TABLES":
        context.account.statistics.refresh(database)
    table.set("this", exp.to_identifier(view))


def _exact_numbers(expression: exp.Expr) -> exp.Expr:
    """Hold integers and NUMBER as 38 digits, where fakesnow takes 64 bits."""
    if isinstance(expression, exp.DataType):
        plain = expression.this == exp.DataType.Type.DECIMAL and not expression.expressions
        if plain or expression.this in _INTEGERS:
            return _NUMBER.copy()
    return expression


def _as_it_is(expression: exp.Expr) -> exp.Expr:
    """Leave aggregates alone, where fakesnow makes their arguments floating-point."""
    return expression
