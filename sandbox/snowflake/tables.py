"""CREATE, DROP, ALTER and TRUNCATE TABLE."""

from dataclasses import replace

from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.alteration import alter
from sandbox.snowflake.catalog import INFORMATION
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import already_there, missing, unsupported
from sandbox.snowflake.facts import (
    exists,
    read_columns,
    read_table,
    write_column,
    write_table,
)
from sandbox.snowflake.names import fold, literal, quote
from sandbox.snowflake.results import Result
from sandbox.snowflake.table_definition import define

_ALREADY_DROPPED = "Drop statement executed successfully (object already dropped)."


def create_table(context: Context, statement: exp.Create) -> Result:
    """Make a table: from columns, AS a query, LIKE or CLONE of another."""
    definition = define(context, statement)
    name, stored = definition.name, definition.stored
    if exists(context.duck, stored):
        if statement.args.get("exists"):
            return results.status(f"{name.table} already exists, statement succeeded.")
        if not statement.args.get("replace"):
            raise already_there(name.dotted)

    with context.session.atomic():
        for sql in definition.sql:
            context.run(sql)
        write_table(context.duck, stored, definition.facts)
        for column, facts in definition.columns.items():
            if facts.json():
                write_column(context.duck, stored, column, facts)
    if stored != name:
        context.session.temporary[name] = stored
    return results.status(f"Table {name.table} successfully created.")


def drop_table(context: Context, statement: exp.Drop) -> Result:
    """Remove a table, the temporary one first where there are two of a name."""
    (table,) = statement.args["tables"]
    name = context.name_of(table)
    stored = context.session.stored(name)
    if read_table(context.duck, stored) is None:
        if statement.args.get("exists"):
            return results.status(_ALREADY_DROPPED)
        raise missing("Table", name.dotted)
    context.run(f"DROP TABLE {stored.sql}")
    context.session.temporary.pop(name, None)
    return results.status(f"{name.table} successfully dropped.")


def alter_table(context: Context, statement: exp.Alter) -> Result:
    """Add, drop or rename columns, rename or swap the table, change NOT NULL, key or comment."""
    name = context.name_of(statement.this)
    stored = context.session.stored(name)
    if read_table(context.duck, stored) is None:
        if statement.args.get("exists"):
            return results.done(results.DDL)
        raise missing("Table", name.dotted)

    with context.session.atomic():
        for action in statement.args.get("actions") or []:
            alter(context, stored, action)
    return results.done(results.DDL)


def truncate(context: Context, statement: exp.TruncateTable) -> Result:
    """Empty a table and forget what was loaded into it."""
    (table,) = statement.expressions
    name = context.name_of(table)
    stored = context.session.stored(name)
    facts = read_table(context.duck, stored)
    if facts is None:
        if statement.args.get("exists"):
            return results.done(results.DDL)
        raise missing("Table", name.dotted)

    with context.session.atomic():
        context.run(f"DELETE FROM {stored.sql}")
        context.run(
            f"DELETE FROM {quote(name.database)}.{INFORMATION}.loads "
            f"WHERE table_id = {literal(facts.id)}"
        )
    return results.done(results.DDL)


def comment_on(context: Context, statement: exp.Comment) -> Result:
    """Keep a comment on a table or a column."""
    text, kind = statement.expression.name, str(statement.args.get("kind")).upper()
    target = statement.this
    if kind not in {"TABLE", "COLUMN"}:
        raise unsupported(f"COMMENT ON {kind}")
    table = (
        exp.Table(
            this=target.args["table"], db=target.args.get("db"), catalog=target.args.get("catalog")
        )
        if kind == "COLUMN"
        else target
    )
    stored = context.session.stored(context.name_of(table))
    facts = read_table(context.duck, stored)
    if facts is None:
        raise missing("Table", stored.dotted)
    if kind == "TABLE":
        write_table(context.duck, stored, replace(facts, comment=text))
        return results.done(results.DDL)
    for column in read_columns(context.duck, stored):
        if column.name == fold(target.this):
            write_column(context.duck, stored, column.name, replace(column.facts, comment=text))
            return results.done(results.DDL)
    raise missing("Column", target.name.upper())
