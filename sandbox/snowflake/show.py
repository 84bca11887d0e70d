"""SHOW and DESCRIBE: metadata only, answered as JSON like everything that is no query."""

from dataclasses import dataclass

from sqlglot import exp

from sandbox.snowflake import results
from sandbox.snowflake.catalog import ACCOUNT
from sandbox.snowflake.columns import ResultColumn
from sandbox.snowflake.context import Context
from sandbox.snowflake.duck import rows
from sandbox.snowflake.errors import missing, not_there, unsupported
from sandbox.snowflake.facts import read_columns, read_table
from sandbox.snowflake.names import TableName, fold, literal
from sandbox.snowflake.parse import written_name
from sandbox.snowflake.results import Result

_NUMBERS = {"rows", "bytes", "retention_time", "key_sequence"}


@dataclass(frozen=True)
class _Listing:
    """One SHOW: its columns as SQL, the view they come from, and how to narrow it down."""

    select: str
    source: str
    database: str | None = None
    schema: str | None = None
    table: str | None = None
    name: str = '"name"'
    order: str = "1"


_TABLE_PLACE = {"database": "TABLE_CATALOG", "schema": "TABLE_SCHEMA"}
_OBJECT_COLUMNS = """
    NULL::TIMESTAMPTZ AS "created_on", TABLE_NAME AS "name",
    {kind} AS "kind", TABLE_CATALOG AS "database_name", TABLE_SCHEMA AS "schema_name",
    coalesce(COMMENT, '') AS "comment", '' AS "cluster_by",
    ROW_COUNT AS "rows", BYTES AS "bytes", 'SYSADMIN' AS "owner", '1' AS "retention_time",
    'ROLE' AS "owner_role_type" """
_LISTINGS = {
    "DATABASES": _Listing(
        """NULL::TIMESTAMPTZ AS "created_on", DATABASE_NAME AS "name", 'N' AS "is_default",
        'N' AS "is_current", '' AS "origin", DATABASE_OWNER AS "owner",
        coalesce(COMMENT, '') AS "comment", '' AS "options", '1' AS "retention_time",
        TYPE AS "kind" """,
        "databases",
        name="DATABASE_NAME",
        order="DATABASE_NAME",
    ),
    "SCHEMAS": _Listing(
        """NULL::TIMESTAMPTZ AS "created_on", SCHEMA_NAME AS "name", 'N' AS "is_default",
        'N' AS "is_current", CATALOG_NAME AS "database_name", SCHEMA_OWNER AS "owner",
        coalesce(COMMENT, '') AS "comment", '' AS "options", '1' AS "retention_time" """,
        "schemata",
        database="CATALOG_NAME",
        schema="SCHEMA_NAME",
        name="SCHEMA_NAME",
        order="CATALOG_NAME, SCHEMA_NAME",
    ),
    "TABLES": _Listing(
        _OBJECT_COLUMNS.format(kind="'TABLE'"),
        "tables WHERE TABLE_TYPE = 'BASE TABLE'",
        **_TABLE_PLACE,
        name="TABLE_NAME",
        order="TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME",
    ),
    "OBJECTS": _Listing(
        _OBJECT_COLUMNS.format(kind="CASE TABLE_TYPE WHEN 'VIEW' THEN 'VIEW' ELSE 'TABLE' END"),
        "tables WHERE true",
        **_TABLE_PLACE,
        name="TABLE_NAME",
        order="TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME",
    ),
    "VIEWS": _Listing(
        """NULL::TIMESTAMPTZ AS "created_on", TABLE_NAME AS "name", '' AS "reserved",
        TABLE_CATALOG AS "database_name", TABLE_SCHEMA AS "schema_name", TABLE_OWNER AS "owner",
        coalesce(COMMENT, '') AS "comment", VIEW_DEFINITION AS "text", 'false' AS "is_secure",
        'false' AS "is_materialized" """,
        "views",
        **_TABLE_PLACE,
        name="TABLE_NAME",
        order="TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME",
    ),
    "COLUMNS": _Listing(
        """TABLE_NAME AS "table_name", TABLE_SCHEMA AS "schema_name",
        COLUMN_NAME AS "column_name",
        json_object('type', CASE DATA_TYPE WHEN 'NUMBER' THEN 'FIXED' WHEN 'FLOAT' THEN 'REAL'
            ELSE DATA_TYPE END, 'precision', NUMERIC_PRECISION, 'scale', NUMERIC_SCALE,
            'length', CHARACTER_MAXIMUM_LENGTH, 'byteLength', CHARACTER_OCTET_LENGTH,
            'nullable', IS_NULLABLE = 'YES')::VARCHAR AS "data_type",
        CASE IS_NULLABLE WHEN 'YES' THEN 'true' ELSE 'NOT_NULL' END AS "null?",
        coalesce(COLUMN_DEFAULT, '') AS "default", 'COLUMN' AS "kind", '' AS "expression",
        coalesce(COMMENT, '') AS "comment", TABLE_CATALOG AS "database_name",
        '' AS "autoincrement" """,
        "columns",
        **_TABLE_PLACE,
        table="TABLE_NAME",
        name="COLUMN_NAME",
        order="TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
    ),
    "PRIMARY KEYS": _Listing(
        """NULL::TIMESTAMPTZ AS "created_on", database_name AS "database_name",
        schema_name AS "schema_name", table_name AS "table_name", column_name AS "column_name",
        key_sequence AS "key_sequence", constraint_name AS "constraint_name", 'false' AS "rely",
        NULL::VARCHAR AS "comment" """,
        "primary_keys",
        database="database_name",
        schema="schema_name",
        table="table_name",
        name="table_name",
        order="database_name, schema_name, table_name, key_sequence",
    ),
    "STAGES": _Listing(
        """created_on AS "created_on", name AS "name", database_name AS "database_name",
        schema_name AS "schema_name", url AS "url", 'N' AS "has_credentials",
        'N' AS "has_encryption_key", 'SYSADMIN' AS "owner", '' AS "comment",
        'EXTERNAL' AS "type", 'AWS' AS "cloud" """,
        "stages",
        database="database_name",
        schema="schema_name",
        name="name",
        order="database_name, schema_name, name",
    ),
}


def show(context: Context, statement: exp.Show) -> Result:
    """Answer SHOW ... [LIKE] [IN ...] [STARTS WITH] [LIMIT]."""
    kind = statement.name.upper()
    if kind == "WAREHOUSES":
        return _warehouses(context, statement)
    listing = _LISTINGS.get(kind)
    if listing is None or statement.args.get("from_"):
        raise unsupported(f"SHOW {kind}")
    conditions = [*_scope(context, statement, listing), *_patterns(statement, listing)]
    if listing.source.startswith("tables"):
        context.account.statistics.refresh()
    joiner = " AND " if " WHERE " in listing.source else " WHERE "
    sql = f"SELECT {listing.select} FROM {ACCOUNT}.main.{listing.source}"
    if conditions:
        sql += joiner + " AND ".join(conditions)
    sql += f" ORDER BY {listing.order}"
    if (limit := statement.args.get("limit")) is not None:
        sql += f" LIMIT {int(limit.expression.name)}"
    relation = context.duck.sql(sql)
    columns = [_column(name) for name in relation.columns]
    return results.table_of(columns, relation.fetchall(), results.SHOW)


def describe(context: Context, statement: exp.Describe) -> Result:
    """Answer DESCRIBE TABLE or VIEW."""
    table = statement.this
    kind = str(statement.args.get("kind") or "TABLE").upper()
    if kind not in {"TABLE", "VIEW"} or not isinstance(table, exp.Table):
        raise unsupported(f"DESCRIBE {kind}")
    stored = context.session.stored(context.name_of(table))
    columns = read_columns(context.duck, stored)
    if not columns:
        raise missing("Object", written_name(table))
    facts = read_table(context.duck, stored)
    key = facts.primary_key if facts else ()
    names = ["name", "type", "kind", "null?", "default", "primary key", "unique key", "check",
             "expression", "comment", "policy name"]  # fmt: skip
    described = [
        [
            column.name,
            _declaration(column.type, column.facts.type, column.facts.length),
            "COLUMN",
            "Y" if column.nullable else "N",
            column.default,
            "Y" if column.name in key else "N",
            "N",
            None,
            None,
            column.facts.comment,
            None,
        ]
        for column in columns
    ]
    return results.table_of([ResultColumn(name) for name in names], described, results.DESCRIBE)


def parameters(context: Context, like: str | None) -> Result:
    """Answer SHOW PARAMETERS of the session."""
    listed = context.session.parameters.rows()
    if like is not None:
        matching = "SELECT name FROM unnest(?::VARCHAR[]) AS known(name) WHERE name ILIKE ?"
        found = rows(context.duck, matching, [[row[0] for row in listed], like])
        listed = [row for row in listed if (row[0],) in found]
    names = ["key", "value", "default", "level", "description", "type"]
    return results.table_of(
        [ResultColumn(name) for name in names],
        [[*row, "", "STRING"] for row in listed],
        results.SHOW,
    )


def _scope(context: Context, statement: exp.Show, listing: _Listing) -> list[str]:
    database, schema, table = _place(context, statement)
    if listing.database is None:
        return []
    if database is not None and database not in context.engine.databases():
        raise not_there()
    if (
        listing.schema is not None
        and schema is not None
        and database is not None
        and schema not in [*context.engine.schemas(database), "INFORMATION_SCHEMA"]
    ):
        raise not_there()
    if table is not None and database is not None and schema is not None:
        stored = context.session.stored(TableName(database, schema, table))
        if not read_columns(context.duck, stored):
            raise missing("Table", f"{database}.{schema}.{table}")
    pairs = [(listing.database, database), (listing.schema, schema), (listing.table, table)]
    if statement.name.upper() == "SCHEMAS":
        pairs = pairs[:1]
    return [f"{column} = {literal(value)}" for column, value in pairs if column and value]


def _place(context: Context, statement: exp.Show) -> tuple[str | None, str | None, str | None]:
    """Return the database, schema and table a SHOW is narrowed down to."""
    session, kind = context.session, statement.args.get("scope_kind")
    scope = statement.args.get("scope")
    if kind == "ACCOUNT":
        return None, None, None
    if not isinstance(scope, exp.Table):
        if kind == "DATABASE" or statement.name.upper() in {"SCHEMAS", "DATABASES"}:
            return session.database, None, None
        return session.database, session.schema, None
    name, outer = fold(scope.this), fold(scope.args.get("db"))
    if kind == "DATABASE" or statement.name.upper() == "SCHEMAS":
        return name, None, None
    if kind in {"TABLE", "VIEW"}:
        full = context.name_of(scope)
        return full.database, full.schema, full.table
    # `IN name` without a word means a schema, and a database where there is no such schema.
    if kind != "SCHEMA" and outer is None and name in context.engine.databases():
        return name, None, None
    return outer or session.database, name, None


def _patterns(statement: exp.Show, listing: _Listing) -> list[str]:
    conditions = []
    if isinstance(like := statement.args.get("like"), exp.Expr):
        conditions.append(f"{listing.name} ILIKE {literal(like.name)}")
    if isinstance(start := statement.args.get("starts_with"), exp.Expr):
        conditions.append(f"starts_with({listing.name}, {literal(start.name)})")
    return conditions


def _column(name: str) -> ResultColumn:
    if name in _NUMBERS:
        return ResultColumn(name, "FIXED", 38, 0)
    return ResultColumn(name, "TIMESTAMP_LTZ", 0, 9) if name == "created_on" else ResultColumn(name)


def _warehouses(context: Context, statement: exp.Show) -> Result:
    names = ["name", "state", "type", "size", "is_default", "is_current", "auto_resume"]
    config, like = context.account.config, statement.args.get("like")
    pattern = like.name if isinstance(like, exp.Expr) else "%"
    matching = "SELECT name FROM unnest(?::VARCHAR[]) AS known(name) WHERE name ILIKE ?"
    listed = [
        [
            warehouse,
            "SUSPENDED" if warehouse in config.suspended_warehouses else "STARTED",
            "STANDARD",
            "X-Small",
            "Y" if warehouse == context.session.user.warehouse else "N",
            "Y" if warehouse == context.session.warehouse else "N",
            "true" if config.suspended_warehouses.get(warehouse, True) else "false",
        ]
        for (warehouse,) in rows(context.duck, matching, [list(config.warehouses), pattern])
    ]
    return results.table_of([ResultColumn(name) for name in names], listed, results.SHOW)


def _declaration(stored: str, declared: str | None, length: int | None) -> str:
    if stored.startswith("DECIMAL"):
        return "NUMBER" + stored.removeprefix("DECIMAL")
    if stored == "VARCHAR":
        return f"VARCHAR({length or 16777216})"
    if stored == "BLOB":
        return f"BINARY({length or 8388608})"
    if stored.startswith("TIMESTAMP"):
        zone = "TIMESTAMP_TZ" if stored.endswith("ZONE") else "TIMESTAMP_NTZ"
        return f"{declared or zone}(9)"
    words = {"DOUBLE": "FLOAT", "TIME": "TIME(9)", "JSON": "VARIANT", "BIGINT": "NUMBER(18,0)"}
    return declared or words.get(stored, stored)
