"""What Postgres' own catalog says: tables with their columns, rights, and what a table is."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from connectors.postgres import text_rows
from connectors.types import Column, Table, TableFilter

NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
PRECISION = re.compile(r"\(\d+\)")


def arrow_type(native: str) -> pa.DataType:
    """How a result has a column of this type, named as ``format_type`` names it."""
    import psycopg

    if numeric := NUMERIC.fullmatch(native):
        return text_rows.decimal_type(int(numeric[1]), int(numeric[2]))
    try:
        oid = psycopg.postgres.types.get_oid(PRECISION.sub("", native))
    except KeyError:
        return pa.string()
    return text_rows.ARROW_TYPES.get(oid, pa.string())


def filters(wanted: TableFilter) -> dict[str, object]:
    """The values that TABLES is run with."""
    after = wanted.after or (None, None)
    return {
        "schema": wanted.schema,
        "search": wanted.search,
        "after_schema": after[0],
        "after_name": after[1],
        "limit": wanted.limit,
    }


def tables(rows: Iterable[tuple[Any, ...]]) -> list[Table]:
    """The rows of TABLES as ours."""
    return [_table(*row) for row in rows]


def _table(
    schema: str,
    name: str,
    kind: str,
    rows: int | None,
    size_bytes: int | None,
    comment: str | None,
    columns: str,
    key: str,
) -> Table:
    return Table(
        catalog=None,
        schema=schema,
        name=name,
        kind=kind,
        columns=tuple(_column(*column) for column in json.loads(columns)),
        primary_key=tuple(json.loads(key)),
        row_count=rows,
        size_bytes=size_bytes,
        comment=comment,
    )


def _column(
    name: str, native: str, below: str | None, nullable: bool, position: int, comment: str | None
) -> Column:
    return Column(name, native, nullable, position, arrow_type(below or native), comment)


# An index can carry columns beside its key (INCLUDE): only the first indnkeyatts are the key.
_KEY_COLUMNS = """
    SELECT json_agg(attname ORDER BY part.position)
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
    WHERE i.indrelid = c.oid AND i.indisprimary AND part.position <= i.indnkeyatts
"""

TABLES = f"""
WITH RECURSIVE
-- A domain's values travel as those of the type below it, however many domains are in between.
domains AS (
    SELECT oid AS domain, typbasetype AS base, typtypmod AS modifier
    FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT d.domain, t.typbasetype, t.typtypmod
    FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
),
below AS (
    SELECT domain, format_type(base, modifier) AS type
    FROM domains JOIN pg_type t ON t.oid = base WHERE t.typtype <> 'd'
),
c AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
           CASE WHEN c.reltuples >= 0 THEN c.relpages + coalesce(toast.relpages, 0) END AS pages,
           has_table_privilege(c.oid, 'SELECT') AS whole
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
      AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
      AND (%(search)s::text IS NULL
           OR strpos(lower(c.relname::text COLLATE "default"), lower(%(search)s)) > 0)
      AND (%(after_schema)s::text IS NULL
           OR (n.nspname, c.relname::text COLLATE "C") > (%(after_schema)s, %(after_name)s::text))
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
    LIMIT %(limit)s
),
-- Joined and grouped at once: once a table, a plan made before the catalog grew takes ages.
a AS MATERIALIZED (
    SELECT a.attrelid, json_agg(json_build_array(
               a.attname, format_type(a.atttypid, a.atttypmod), below.type,
               NOT (a.attnotnull OR t.typnotnull), a.attnum, said.description
           ) ORDER BY a.attnum)::text AS columns
    FROM c
    JOIN pg_attribute a ON a.attrelid = c.oid
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN below ON below.domain = a.atttypid
    LEFT JOIN pg_description said ON said.objoid = a.attrelid
        AND said.classoid = 'pg_class'::regclass AND said.objsubid = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
      AND (c.whole OR has_column_privilege(c.oid, a.attnum, 'SELECT'))
    GROUP BY a.attrelid
)
SELECT c.nspname, c.relname,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                      WHEN 'f' THEN 'foreign table' ELSE 'table' END,
       CASE WHEN c.relkind IN ('r', 'm') THEN c.rows ELSE parts.rows END,
       CASE WHEN c.relkind IN ('r', 'm') THEN c.pages ELSE parts.pages END
           * current_setting('block_size')::bigint,
       said.description, coalesce(a.columns, '[]'), coalesce(({_KEY_COLUMNS})::text, '[]')
FROM c
LEFT JOIN pg_description said
    ON said.objoid = c.oid AND said.classoid = 'pg_class'::regclass AND said.objsubid = 0
LEFT JOIN LATERAL (
    SELECT CASE WHEN bool_and(p.reltuples >= 0) THEN sum(p.reltuples)::bigint END AS rows,
           CASE WHEN bool_and(p.reltuples >= 0) THEN sum(p.relpages)::bigint END AS pages
    FROM pg_partition_tree(c.oid) AS part JOIN pg_class p ON p.oid = part.relid
    WHERE c.relkind = 'p' AND part.isleaf
) parts ON true
LEFT JOIN a ON a.attrelid = c.oid
ORDER BY c.nspname COLLATE "C", c.relname COLLATE "C"
"""
"""What may be read, of every kind; in any case means what the database's own locale says."""

LAYOUT = f"""
WITH c AS (
    SELECT c.oid, c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
),
leaves AS (
    SELECT p.oid, pg_relation_filenode(p.oid) AS file, p.reltuples,
           coalesce(pg_relation_size(p.oid), 0) / current_setting('block_size')::bigint AS pages,
           coalesce(pg_table_size(p.oid), 0) AS bytes, coalesce(am.amname = 'heap', false) AS heap,
           has_schema_privilege(p.relnamespace, 'USAGE') AND has_table_privilege(p.oid, 'SELECT')
               AND NOT row_security_active(p.oid) AS free
    FROM c
    CROSS JOIN LATERAL (
        SELECT c.oid AS relid WHERE c.relkind <> 'p'
        UNION ALL
        SELECT relid::oid FROM pg_partition_tree(c.oid) WHERE c.relkind = 'p' AND isleaf
    ) AS part
    JOIN pg_class p ON p.oid = part.relid
    LEFT JOIN pg_am am ON am.oid = p.relam
)
SELECT coalesce(({_KEY_COLUMNS}), '[]')::text,
       (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || c.oid || '/'
           || coalesce((SELECT md5(string_agg(relid::oid::text, ',' ORDER BY relid::oid))
                        FROM pg_partition_tree(c.oid)), ''),
       c.oid::bigint,
       (SELECT coalesce(bool_and(heap), true) FROM leaves),
       c.relkind <> 'p'
           OR NOT row_security_active(c.oid)
               AND (SELECT coalesce(bool_and(free), true) FROM leaves),
       (SELECT coalesce(json_agg(json_build_array(oid::bigint, pages, bytes, heap) ORDER BY oid),
                        '[]') FROM leaves)::text,
       (SELECT md5(coalesce(string_agg(oid || ':' || coalesce(file, 0), ',' ORDER BY oid), ''))
        FROM leaves),
       (SELECT CASE WHEN bool_and(reltuples >= 0) THEN sum(reltuples)::bigint END FROM leaves)
FROM c
"""
"""Of one table: its primary key; what makes it this table (database, table, partitions); its oid;
whether it keeps rows with their transaction's id; whether its leaves may be read one by one, which
shows the same rows; the leaves (oid, pages, bytes, whether they are of pages that can be read by
their numbers); what changes when rows are moved without being written; how many rows there are."""

PAGES = """
SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint
FROM pg_class c JOIN pg_am am ON am.oid = c.relam
WHERE c.oid = %s AND am.amname = 'heap'
"""
"""How many pages a table has that can be read by their numbers; no row for one that cannot."""

SNAPSHOT = """
SELECT pg_current_snapshot()::text,
       (SELECT system_identifier FROM pg_control_system()) || '/'
           || (SELECT timeline_id FROM pg_control_checkpoint()),
       age(pg_snapshot_xmin(previous.snapshot)::xid),
       pg_snapshot_xmin(pg_current_snapshot())::text::numeric
           - pg_snapshot_xmin(previous.snapshot)::text::numeric
FROM (SELECT %s::text::pg_snapshot AS snapshot) AS previous
"""

MAY_WRITE = """
SELECT NOT pg_is_in_recovery() AND (
    EXISTS (SELECT FROM pg_roles WHERE rolname = current_user
            AND (rolsuper OR rolcreatedb OR rolcreaterole))
    OR EXISTS (SELECT FROM pg_roles
               WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files')
               AND pg_has_role(oid, 'USAGE'))
    OR has_database_privilege(current_database(), 'CREATE')
    OR EXISTS (SELECT FROM pg_namespace
               WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
               AND has_schema_privilege(oid, 'CREATE'))
    OR EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'v', 'f')
               AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                    OR has_any_column_privilege(c.oid, 'INSERT, UPDATE'))))
"""
"""The role may change data or objects, somewhere in this database; nobody may on a standby."""
