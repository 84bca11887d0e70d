"""The actions of ALTER TABLE, one at a time."""

from dataclasses import replace

from sqlglot import exp

from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import already_there, missing, unsupported
from sandbox.snowflake.facts import (
    TableFacts,
    read_columns,
    read_table,
    write_column,
    write_table,
)
from sandbox.snowflake.names import TableName, fold, quote
from sandbox.snowflake.parse import written_name
from sandbox.snowflake.table_definition import column_facts, column_sql, not_null, stored_type


def alter(context: Context, table: TableName, action: exp.Expr) -> None:
    """Do one action; raises SqlError for one not done here."""
    if isinstance(action, exp.ColumnDef):
        _add(context, table, action)
    elif isinstance(action, exp.Drop) and action.args.get("kind") == "COLUMN":
        _drop(context, table, action)
    elif isinstance(action, exp.RenameColumn):
        _rename_column(context, table, fold(action.this.this), fold(action.args["to"].this))
    elif isinstance(action, exp.AlterRename):
        _rename(context, table, action.this)
    elif isinstance(action, exp.SwapTable):
        _swap(context, table, action.this)
    elif isinstance(action, exp.AlterColumn):
        _change(context, table, action)
    elif isinstance(action, exp.AlterSet | exp.AddConstraint):
        _set(context, table, action)
    else:
        raise unsupported(f"ALTER TABLE ... {action.sql(dialect='snowflake')}")


def _add(context: Context, table: TableName, column: exp.ColumnDef) -> None:
    name = fold(column.this) or ""
    present = {one.name for one in read_columns(context.duck, table)}
    if name in present:
        if column.args.get("exists"):
            return
        raise already_there(name)
    context.run(f"ALTER TABLE {table.sql} ADD COLUMN {column_sql(context, column)}")
    if not_null(column):
        context.run(f"ALTER TABLE {table.sql} ALTER COLUMN {quote(name)} SET NOT NULL")
    write_column(context.duck, table, name, column_facts(column))


def _drop(context: Context, table: TableName, action: exp.Drop) -> None:
    exists = "IF EXISTS " if action.args.get("exists") else ""
    for column in action.args["tables"]:
        context.run(f"ALTER TABLE {table.sql} DROP COLUMN {exists}{quote(fold(column.this) or '')}")


def _rename_column(context: Context, table: TableName, old: str | None, new: str | None) -> None:
    context.run(f"ALTER TABLE {table.sql} RENAME COLUMN {quote(old or '')} TO {quote(new or '')}")
    facts = _facts(context, table)
    key = tuple(str(new) if column == old else column for column in facts.primary_key)
    write_table(context.duck, table, replace(facts, primary_key=key))


def _rename(context: Context, table: TableName, target: exp.Table) -> None:
    new = context.name_of(target)
    if table.database == "temp":
        raise unsupported("renaming a temporary table")
    if (new.database, new.schema) != (table.database, table.schema):
        raise unsupported("renaming a table into another schema")
    if read_columns(context.duck, new):
        raise already_there(new.dotted)
    context.run(f"ALTER TABLE {table.sql} RENAME TO {quote(new.table)}")
    context.session.transaction.touch([new])


def _swap(context: Context, table: TableName, other: exp.Table) -> None:
    second = context.name_of(other)
    if (second.database, second.schema) != (table.database, table.schema):
        raise unsupported("swapping tables of two schemas")
    if read_table(context.duck, second) is None:
        raise missing("Table", written_name(other))
    aside = TableName(table.database, table.schema, f"_swap_{_facts(context, table).id}")
    for old, new in ((table, aside), (second, table), (aside, second)):
        context.run(f"ALTER TABLE {old.sql} RENAME TO {quote(new.table)}")
    context.session.transaction.touch([second])


def _change(context: Context, table: TableName, action: exp.AlterColumn) -> None:
    name = fold(action.this) or ""
    column = next((one for one in read_columns(context.duck, table) if one.name == name), None)
    if column is None:
        raise missing("Column", name)
    head = f"ALTER TABLE {table.sql} ALTER COLUMN {quote(name)}"
    if (declared := action.args.get("dtype")) is not None:
        if stored_type(declared) != column.type:
            context.run(f"{head} TYPE {stored_type(declared)}")
        facts = column_facts(exp.ColumnDef(this=action.this.copy(), kind=declared.copy()))
        write_column(context.duck, table, name, replace(facts, comment=column.facts.comment))
    elif action.args.get("allow_null") is not None:
        nullable = bool(action.args.get("drop"))
        context.run(f"{head} {'DROP' if nullable else 'SET'} NOT NULL")
    elif (comment := action.args.get("comment")) is not None:
        write_column(context.duck, table, name, replace(column.facts, comment=comment.name))
    else:
        raise unsupported(f"ALTER TABLE ... {action.sql(dialect='snowflake')}")


def _set(context: Context, table: TableName, action: exp.Expr) -> None:
    facts = _facts(context, table)
    if comment := action.find(exp.SchemaCommentProperty):
        write_table(context.duck, table, replace(facts, comment=comment.this.name))
    elif key := action.find(exp.PrimaryKey):
        named = tuple(fold(column) or "" for column in key.expressions)
        for column in named:
            context.run(f"ALTER TABLE {table.sql} ALTER COLUMN {quote(column)} SET NOT NULL")
        write_table(context.duck, table, replace(facts, primary_key=named))
    else:
        raise unsupported(f"ALTER TABLE ... {action.sql(dialect='snowflake')}")


def _facts(context: Context, table: TableName) -> TableFacts:
    facts = read_table(context.duck, table)
    if facts is None:
        raise missing("Table", table.dotted)
    return facts
