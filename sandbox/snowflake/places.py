"""CREATE and DROP of databases, schemas and views, and USE."""

from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.context import Context
from sandbox.snowflake.errors import already_there, missing, no_current, unsupported
from sandbox.snowflake.facts import exists, read_columns, read_table
from sandbox.snowflake.names import fold, quote
from sandbox.snowflake.parse import target_of
from sandbox.snowflake.results import Result
from sandbox.snowflake.translate import to_duckdb

_ALREADY_DROPPED = "Drop statement executed successfully (object already dropped)."


def use(context: Context, statement: exp.Use) -> Result:
    """Change the current database, schema, role or warehouse."""
    kind = str(statement.args.get("kind") or "").upper()
    target = statement.this
    name = fold(target.this) or ""
    if kind == "ROLE":
        context.session.use_role(name)
    elif kind == "WAREHOUSE":
        context.session.use_warehouse(name)
    elif kind == "DATABASE" or (kind == "" and not target.args.get("db")):
        context.session.use(name, None)
    elif kind in {"SCHEMA", ""}:
        context.session.use(fold(target.args.get("db")), name)
    else:
        raise unsupported(f"USE {kind}")
    return results.done()


def create_database(context: Context, statement: exp.Create) -> Result:
    """Make a database with its PUBLIC schema and go there."""
    name = fold(statement.this.this) or ""
    if name in context.engine.databases():
        if statement.args.get("exists"):
            return results.status(f"{name} already exists, statement succeeded.")
        if not statement.args.get("replace"):
            raise already_there(name)
        _leave(context, name)
        context.engine.drop_database(name)
    context.engine.create_database(name)
    context.session.use(name, "PUBLIC")
    return results.status(f"Database {name} successfully created.")


def drop_database(context: Context, statement: exp.Drop) -> Result:
    """Remove a database with all that is in it."""
    name = fold(statement.args["tables"][0].this) or ""
    if name not in context.engine.databases():
        if statement.args.get("exists"):
            return results.status(_ALREADY_DROPPED)
        raise missing("Database", name)
    _leave(context, name)
    context.engine.drop_database(name)
    return results.status(f"{name} successfully dropped.")


def create_schema(context: Context, statement: exp.Create) -> Result:
    """Make a schema and go there."""
    database, schema = _schema_name(context, statement.this)
    if schema in context.engine.schemas(database):
        if statement.args.get("exists"):
            return results.status(f"{schema} already exists, statement succeeded.")
        if not statement.args.get("replace"):
            raise already_there(f"{database}.{schema}")
        context.run(f"DROP SCHEMA {quote(database)}.{quote(schema)} CASCADE")
    context.run(f"CREATE SCHEMA {quote(database)}.{quote(schema)}")
    context.session.use(database, schema)
    return results.status(f"Schema {schema} successfully created.")


def drop_schema(context: Context, statement: exp.Drop) -> Result:
    """Remove a schema with all that is in it."""
    database, schema = _schema_name(context, statement.args["tables"][0])
    if schema not in context.engine.schemas(database):
        if statement.args.get("exists"):
            return results.status(_ALREADY_DROPPED)
        raise missing("Schema", f"{database}.{schema}")
    if (context.session.database, context.session.schema) == (database, schema):
        context.session.enter_without_schema(database)
    context.run(f"DROP SCHEMA {quote(database)}.{quote(schema)} CASCADE")
    return results.status(f"{schema} successfully dropped.")


def create_view(context: Context, statement: exp.Create) -> Result:
    """Make a view."""
    target = target_of(statement)
    if target is None or statement.args.get("properties"):
        raise unsupported("this form of CREATE VIEW")
    name = context.name_of(target)
    if exists(context.duck, name):
        if statement.args.get("exists"):
            return results.status(f"{name.table} already exists, statement succeeded.")
        if not statement.args.get("replace"):
            raise already_there(name.dotted)
    context.run(to_duckdb(context, statement))
    return results.status(f"View {name.table} successfully created.")


def drop_view(context: Context, statement: exp.Drop) -> Result:
    """Remove a view."""
    name = context.name_of(statement.args["tables"][0])
    is_view = bool(read_columns(context.duck, name)) and read_table(context.duck, name) is None
    if not is_view:
        if statement.args.get("exists"):
            return results.status(_ALREADY_DROPPED)
        raise missing("View", name.dotted)
    context.run(f"DROP VIEW {name.sql}")
    return results.status(f"{name.table} successfully dropped.")


def _schema_name(context: Context, table: exp.Table) -> tuple[str, str]:
    database = fold(table.args.get("catalog")) or context.session.database
    if database is None:
        raise no_current("database", "this operation")
    if database not in context.engine.databases():
        raise missing("Database", database)
    return database, fold(table.args.get("db")) or ""


def _leave(context: Context, database: str) -> None:
    if context.session.database == database:
        context.session.leave()
