"""Redshift's system views that a client needs to find its way, told by Postgres' catalogs.

Names, order and meaning of the columns are those of the Redshift Database Developer Guide; what
Postgres does not know is NULL. They stand in pg_catalog, so that any search path finds them.
"""

from typing import Any

from psycopg import Connection

# As far as Postgres can be a Redshift: SUPER keeps numbers of any length and knows no PartiQL.
TYPES = """
DO $$ BEGIN
    IF to_regtype('pg_catalog.super') IS NULL THEN
        CREATE DOMAIN pg_catalog.super AS jsonb;
        CREATE DOMAIN pg_catalog.varbyte AS bytea;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION pg_catalog.json_parse(text) RETURNS super
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1::jsonb::super';
CREATE OR REPLACE FUNCTION pg_catalog.getdate() RETURNS timestamp
    LANGUAGE sql STABLE AS $$SELECT date_trunc('second', now() AT TIME ZONE 'UTC')$$;
"""

SVV_TABLES = """
CREATE OR REPLACE VIEW pg_catalog.svv_tables AS
SELECT current_database()::varchar(128) AS table_catalog,
       n.nspname::varchar(128) AS table_schema,
       c.relname::varchar(128) AS table_name,
       CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'VIEW'
                      WHEN 'f' THEN 'EXTERNAL TABLE' ELSE 'BASE TABLE' END::varchar(128)
           AS table_type,
       obj_description(c.oid, 'pg_class')::varchar(256) AS remarks
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (pg_has_role(c.relowner, 'USAGE')
       OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, REFERENCES')
       OR has_any_column_privilege(c.oid, 'SELECT'))
"""

SVV_COLUMNS = """
CREATE OR REPLACE VIEW pg_catalog.svv_columns AS
SELECT current_database()::varchar(128) AS table_catalog,
       n.nspname::varchar(128) AS table_schema,
       c.relname::varchar(128) AS table_name,
       a.attname::varchar(128) AS column_name,
       a.attnum::int AS ordinal_position,
       pg_get_expr(d.adbin, d.adrelid)::varchar(4000) AS column_default,
       CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END::varchar(3) AS is_nullable,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY'
                      WHEN t.typname = 'varbyte' THEN 'binary varying'
            ELSE format_type(a.atttypid, NULL) END::varchar(128) AS data_type,
       information_schema._pg_char_max_length(a.atttypid, a.atttypmod)::int
           AS character_maximum_length,
       information_schema._pg_numeric_precision(a.atttypid, a.atttypmod)::int AS numeric_precision,
       information_schema._pg_numeric_precision_radix(a.atttypid, a.atttypmod)::int
           AS numeric_precision_radix,
       information_schema._pg_numeric_scale(a.atttypid, a.atttypmod)::int AS numeric_scale,
       information_schema._pg_datetime_precision(a.atttypid, a.atttypmod)::int
           AS datetime_precision,
       NULL::varchar(128) AS interval_type,
       NULL::varchar(128) AS interval_precision,
       NULL::varchar(128) AS character_set_catalog,
       NULL::varchar(128) AS character_set_schema,
       NULL::varchar(128) AS character_set_name,
       NULL::varchar(128) AS collation_catalog,
       NULL::varchar(128) AS collation_schema,
       NULL::varchar(128) AS collation_name,
       NULL::varchar(128) AS domain_name,
       col_description(c.oid, a.attnum)::varchar(256) AS remarks
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (pg_has_role(c.relowner, 'USAGE')
       OR has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'))
"""

# A table that has never been analysed is left out, as Redshift leaves out an empty one.
SVV_TABLE_INFO = """
CREATE OR REPLACE VIEW pg_catalog.svv_table_info AS
SELECT current_database()::text AS database,
       n.nspname::text AS schema,
       c.oid AS table_id,
       c.relname::text AS "table",
       NULL::text AS encoded,
       'EVEN'::text AS diststyle,
       NULL::text AS sortkey1,
       NULL::int AS max_varchar,
       NULL::char(32) AS sortkey1_enc,
       NULL::int AS sortkey_num,
       ceil(pg_total_relation_size(c.oid) / 1048576.0)::bigint AS size,
       NULL::numeric(10, 4) AS pct_used,
       NULL::bigint AS empty,
       NULL::numeric(5, 2) AS unsorted,
       NULL::numeric(5, 2) AS stats_off,
       c.reltuples::numeric(38, 0) AS tbl_rows,
       NULL::numeric(19, 2) AS skew_sortkey1,
       NULL::numeric(19, 2) AS skew_rows,
       c.reltuples::numeric(38, 0) AS estimated_visible_rows,
       NULL::text AS risk_event,
       NULL::numeric(12, 2) AS vacuum_sort_benefit,
       NULL::timestamp AS create_time
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.reltuples > 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""

# The last statement of each session that is still open; Redshift keeps those of the last days.
STV_RECENTS = """
CREATE OR REPLACE VIEW pg_catalog.stv_recents AS
SELECT usesysid::int AS userid,
       CASE state WHEN 'active' THEN 'Running' ELSE 'Done' END::char(20) AS status,
       (query_start AT TIME ZONE 'UTC') AS starttime,
       (extract(epoch FROM CASE state WHEN 'active' THEN now() ELSE state_change END
                           - query_start) * 1000000)::bigint AS duration,
       usename::char(50) AS user_name,
       datname::char(50) AS db_name,
       query::char(600) AS query,
       pid
FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND query <> ''
"""

FOR_EVERYBODY = (TYPES, SVV_TABLES, SVV_COLUMNS, STV_RECENTS)


def make_views(connection: Connection[Any], table_info_reader: str) -> None:
    """Make or remake the views, as superuser; table sizes are for one more role only."""
    with connection.transaction():
        connection.execute("SET LOCAL allow_system_table_mods = on")
        for statement in (*FOR_EVERYBODY, SVV_TABLE_INFO):
            connection.execute(statement)
        for name in ("svv_tables", "svv_columns", "stv_recents"):
            connection.execute(f"GRANT SELECT ON pg_catalog.{name} TO PUBLIC")
        connection.execute(f"GRANT SELECT ON pg_catalog.svv_table_info TO {table_info_reader}")
