"""What Snowflake's catalog shows, as views over duckdb's own.

Facts that duckdb has no place for stand as JSON in its comments: in a table's the id of this
incarnation, the primary key and the user's comment; in a column's the declared type, length and
comment. So they live and die with what they describe, in transactions as well.
"""

from typing import Any

from sandbox.snowflake.duck import rows
from sandbox.snowflake.names import literal, quote

ACCOUNT = "_fs_account"
STATISTICS = "_fs_statistics"
# fakesnow sends every use of INFORMATION_SCHEMA to this schema of the same database.
INFORMATION = "_fs_information_schema"
VIEWS = ("COLUMNS", "TABLES", "VIEWS", "SCHEMATA", "LOAD_HISTORY", "DATABASES")

_HIDDEN = f"('memory', 'system', 'temp', '{ACCOUNT}', '{STATISTICS}')"

_STATISTICS_TABLE = f"""
CREATE TABLE {STATISTICS}.main.tables (
    database_name VARCHAR, schema_name VARCHAR, table_name VARCHAR,
    row_count BIGINT, bytes BIGINT,
    PRIMARY KEY (database_name, schema_name, table_name)
)"""

_STAGES_TABLE = f"""
CREATE TABLE IF NOT EXISTS {ACCOUNT}.main.stages (
    database_name VARCHAR, schema_name VARCHAR, name VARCHAR, url VARCHAR, file_format VARCHAR,
    created_on TIMESTAMPTZ DEFAULT now(), PRIMARY KEY (database_name, schema_name, name)
)"""

_COLUMNS = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.columns AS
WITH declared AS (
    SELECT *, comment::JSON ->> 'type' AS declared_type,
        (comment::JSON ->> 'length')::BIGINT AS declared_length,
        CASE
            WHEN data_type SIMILAR TO 'DECIMAL.*|.*INT.*' THEN 'NUMBER'
            WHEN data_type = 'VARCHAR' THEN 'TEXT'
            WHEN data_type IN ('DOUBLE', 'FLOAT') THEN 'FLOAT'
            WHEN data_type = 'BLOB' THEN 'BINARY'
            WHEN data_type SIMILAR TO 'TIMESTAMP(_NS|_MS|_S)?' THEN 'TIMESTAMP_NTZ'
            WHEN data_type = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ'
            WHEN data_type = 'JSON' THEN 'VARIANT'
            ELSE data_type
        END AS stored_type
    FROM duckdb_columns()
    WHERE database_name NOT IN {_HIDDEN} AND schema_name NOT IN ('main', '{INFORMATION}')
)
SELECT
    database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, table_name AS TABLE_NAME,
    column_name AS COLUMN_NAME, column_index AS ORDINAL_POSITION,
    column_default AS COLUMN_DEFAULT,
    CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE,
    coalesce(declared_type, stored_type) AS DATA_TYPE,
    CASE stored_type WHEN 'TEXT' THEN coalesce(declared_length, 16777216)
        WHEN 'BINARY' THEN coalesce(declared_length, 8388608)
    END AS CHARACTER_MAXIMUM_LENGTH,
    CASE stored_type WHEN 'TEXT' THEN least(coalesce(declared_length, 16777216) * 4, 16777216)
        WHEN 'BINARY' THEN coalesce(declared_length, 8388608)
    END AS CHARACTER_OCTET_LENGTH,
    CASE WHEN starts_with(data_type, 'DECIMAL') THEN numeric_precision
        WHEN data_type LIKE '%HUGEINT' THEN 38
        WHEN stored_type = 'NUMBER' THEN 18 END AS NUMERIC_PRECISION,
    CASE WHEN stored_type = 'NUMBER' THEN 10 END AS NUMERIC_PRECISION_RADIX,
    CASE WHEN starts_with(data_type, 'DECIMAL') THEN numeric_scale
        WHEN stored_type = 'NUMBER' THEN 0 END AS NUMERIC_SCALE,
    CASE WHEN stored_type SIMILAR TO 'TIME.*' THEN 9 END AS DATETIME_PRECISION,
    NULL::VARCHAR AS COLLATION_NAME, 'NO' AS IS_IDENTITY,
    comment::JSON ->> 'comment' AS COMMENT
FROM declared"""

_TABLES = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.tables AS
SELECT
    found.database_name AS TABLE_CATALOG, found.schema_name AS TABLE_SCHEMA,
    found.table_name AS TABLE_NAME, 'SYSADMIN' AS TABLE_OWNER, found.kind AS TABLE_TYPE,
    'NO' AS IS_TRANSIENT, NULL::VARCHAR AS CLUSTERING_KEY,
    known.row_count AS ROW_COUNT, known.bytes AS BYTES, 1 AS RETENTION_TIME,
    NULL::TIMESTAMPTZ AS CREATED, NULL::TIMESTAMPTZ AS LAST_ALTERED,
    found.comment AS COMMENT
FROM (
    SELECT database_name, schema_name, table_name, 'BASE TABLE' AS kind,
        comment::JSON ->> 'comment' AS comment
    FROM duckdb_tables() WHERE NOT temporary
    UNION ALL
    SELECT database_name, schema_name, view_name, 'VIEW', NULL
    FROM duckdb_views() WHERE NOT internal
) AS found
LEFT JOIN {STATISTICS}.main.tables AS known USING (database_name, schema_name, table_name)
WHERE found.database_name NOT IN {_HIDDEN}
    AND found.schema_name NOT IN ('main', '{INFORMATION}')"""

_VIEWS = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.views AS
SELECT database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, view_name AS TABLE_NAME,
    'SYSADMIN' AS TABLE_OWNER, sql AS VIEW_DEFINITION, 'NO' AS IS_SECURE,
    NULL::TIMESTAMPTZ AS CREATED, NULL::VARCHAR AS COMMENT
FROM duckdb_views()
WHERE NOT internal AND database_name NOT IN {_HIDDEN}
    AND schema_name NOT IN ('main', '{INFORMATION}')"""

_SCHEMATA = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.schemata AS
SELECT database_name AS CATALOG_NAME,
    CASE schema_name WHEN '{INFORMATION}' THEN 'INFORMATION_SCHEMA' ELSE schema_name END
        AS SCHEMA_NAME,
    'SYSADMIN' AS SCHEMA_OWNER, 'NO' AS IS_TRANSIENT, 1 AS RETENTION_TIME,
    NULL::TIMESTAMPTZ AS CREATED, NULL::VARCHAR AS COMMENT
FROM duckdb_schemas()
WHERE NOT internal AND database_name NOT IN {_HIDDEN} AND schema_name <> 'main'"""

_DATABASES = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.databases AS
SELECT database_name AS DATABASE_NAME, 'SYSADMIN' AS DATABASE_OWNER, 'NO' AS IS_TRANSIENT,
    NULL::VARCHAR AS COMMENT, NULL::TIMESTAMPTZ AS CREATED, 1 AS RETENTION_TIME,
    'STANDARD' AS TYPE
FROM duckdb_databases() WHERE database_name NOT IN {_HIDDEN}"""

_PRIMARY_KEYS = f"""
CREATE OR REPLACE VIEW {ACCOUNT}.main.primary_keys AS
SELECT database_name, schema_name, table_name,
    unnest((comment::JSON -> 'primary_key')::VARCHAR[]) AS column_name,
    generate_subscripts((comment::JSON -> 'primary_key')::VARCHAR[], 1) AS key_sequence,
    coalesce(comment::JSON ->> 'primary_key_name', 'SYS_CONSTRAINT_' || (comment::JSON ->> 'id'))
        AS constraint_name
FROM duckdb_tables()
WHERE NOT temporary AND database_name NOT IN {_HIDDEN}
    AND json_array_length(comment::JSON, 'primary_key') > 0"""

_LOADS_TABLE = """
CREATE TABLE IF NOT EXISTS {information}.loads (
    table_id VARCHAR, schema_name VARCHAR, table_name VARCHAR, file_name VARCHAR, etag VARCHAR,
    row_count BIGINT, loaded_at TIMESTAMPTZ DEFAULT now()
)"""

_LOAD_HISTORY = """
CREATE OR REPLACE VIEW {information}._fs_load_history AS
SELECT schema_name AS SCHEMA_NAME, file_name AS FILE_NAME, table_name AS TABLE_NAME,
    loaded_at AS LAST_LOAD_TIME, 'LOADED' AS STATUS, row_count AS ROW_COUNT,
    row_count AS ROW_PARSED, NULL::VARCHAR AS FIRST_ERROR_MESSAGE, 0 AS ERROR_COUNT
FROM {information}.loads"""


def account_sql() -> str:
    """Return what makes the catalogs that span databases."""
    views = (_COLUMNS, _TABLES, _VIEWS, _SCHEMATA, _DATABASES, _PRIMARY_KEYS)
    return ";\n".join((_STATISTICS_TABLE, _STAGES_TABLE, *views))


def database_sql(name: str) -> str:
    """Return what makes one database's INFORMATION_SCHEMA."""
    information = f"{quote(name)}.{INFORMATION}"
    only = literal(name)
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {information}",
        _LOADS_TABLE.format(information=information),
        _LOAD_HISTORY.format(information=information),
        f"CREATE OR REPLACE VIEW {information}.databases AS SELECT * FROM {ACCOUNT}.main.databases",
        f"CREATE OR REPLACE VIEW {information}._fs_schemata AS "
        f"SELECT * FROM {ACCOUNT}.main.schemata WHERE CATALOG_NAME = {only}",
        *(
            f"CREATE OR REPLACE VIEW {information}._fs_{view} AS "
            f"SELECT * FROM {ACCOUNT}.main.{view} WHERE TABLE_CATALOG = {only}"
            for view in ("columns", "tables", "views")
        ),
    ]
    return ";\n".join(statements)


def forget_database(connection: Any, name: str) -> None:
    """Drop what the account knows about a database."""
    for table in (f"{ACCOUNT}.main.stages", f"{STATISTICS}.main.tables"):
        rows(connection, f"DELETE FROM {table} WHERE database_name = ?", [name])
