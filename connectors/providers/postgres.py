"""Postgres 14 and later, through psycopg: live queries, and the source of pipelines."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, Literal

import psycopg
import pyarrow as pa
from psycopg import sql as pgsql
from pydantic import Field, SecretStr, field_validator

from connectors import certificates
from connectors import postgres_wire as wire
from connectors.abilities import Extract, Extraction
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import ConnectorError, ObjectNotFound
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Column,
    Estimate,
    Limits,
    Params,
    Table,
    TableFilter,
    Watermark,
)

PAGE_BYTES = 8192
# Transaction ids are compared modulo 2^32: past half of that, old and new look alike.
XID_HALF = 2**31


class PostgresCredentials(Credentials):
    """How to sign in to one Postgres database."""

    host: str = Field(title="Host", min_length=1, max_length=253, examples=["db.example.com"])
    port: int = Field(5432, title="Port", ge=1, le=65535)
    database: str = Field(title="Database", min_length=1, max_length=63)
    user: str = Field(title="User", min_length=1, max_length=63)
    password: SecretStr = Field(title="Password", min_length=1)
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", title="TLS", description="verify-full checks the certificate and the host name."
    )

    sslrootcert: str | None = Field(
        None, title="Certificate authority", max_length=1_000_000,
        description="PEM text, for verify-ca and verify-full. Without it, the public ones.",
    )  # fmt: skip

    @field_validator("sslrootcert")
    @classmethod
    def _is_pem(cls, value: str | None) -> str | None:
        return certificates.checked(value)

    def target(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


class Postgres(Connector, Extract):
    """A Postgres database, in a session that the server keeps read-only."""

    provider = "postgres"
    label = "Postgres"
    credentials_model = PostgresCredentials
    capabilities: ClassVar = Capabilities(
        dialect="postgres",
        folds_to="lower",
        cost_basis=Basis.UNKNOWN,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=True,
        refused_functions=frozenset(
            """aws_commons.* aws_lambda.* aws_s3.* binary_upgrade_* brin_*summarize* connectby*
            cron.* crosstab* currval *_to_xml* dblink* gin_clean_pending_list http http_* lastval
            lo_* loread lowrite net.* nextval pg_*advisory* pg_backup_* pg_cancel_backend
            pg_clear_* pg_copy_* pg_create_* pg_current_logfile pg_drop_* pg_export_snapshot
            pg_extension_config_dump pg_file_* pg_hba_file_rules pg_ident_file_mappings pg_import_*
            pg_log_* pg_logical_* pg_ls_* pg_nextoid pg_notify pg_promote pg_read_* pg_reload_conf
            pg_replication_* pg_restore_* pg_rotate_logfile pg_show_all_file_settings pg_start_*
            pg_stat_file pg_stat_reset* pg_stop_* pg_switch_* pg_sync_* pg_terminate_backend
            pg_wal_replay_* postgres_fdw_* set_config setseed setval ts_rewrite ts_stat
            xpath_table""".split()
        ),
    )
    credentials: PostgresCredentials
    _connection: psycopg.Connection[Any]
    _files: ExitStack

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return (Endpoint(self.credentials.host, self.credentials.port),)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        with ExitStack() as files:
            # Kept until the session ends: a cancel request checks the certificate again.
            self._connection = self._opened(addresses, files)
            self._files = files.pop_all()

    def _opened(self, addresses: tuple[str, ...], files: ExitStack) -> "psycopg.Connection[Any]":
        form = self.credentials
        connection = psycopg.connect(
            host=",".join([form.host] * len(addresses)),
            hostaddr=",".join(addresses),
            port=form.port,
            dbname=form.database,
            user=form.user,
            password=form.password.get_secret_value(),
            sslmode=form.sslmode,
            sslrootcert=certificates.authorities(form.sslmode, form.sslrootcert, files),
            # Otherwise certificates and passwords in the operator's home folder could be used.
            sslcertmode="disable",
            passfile=os.devnull,
            gssencmode="disable",
            connect_timeout=int(CONNECT_TIMEOUT_S),
            application_name=" ".join(self.context.tags().values())[:63],
            client_encoding="utf8",
            prepare_threshold=None,
            # A server that vanishes is noticed within about a minute.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
            options="-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO"
            " -c intervalstyle=postgres -c bytea_output=hex"
            " -c client_connection_check_interval=2s -c standard_conforming_strings=on",
        )
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        wire.read_everything_else_as_text(connection)
        return connection

    def _close(self) -> None:
        self._files.close()
        self._connection.close()

    def _bound(self, sql: str, params: Params) -> tuple[str, Params]:
        return wire.bound(sql, params)

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        self._bound_time(limits.timeout_s)
        return wire.CursorExecution(self._connection, sql, params)

    def _bound_time(self, timeout_s: float) -> None:
        milliseconds = str(max(1, int(timeout_s * 1000)))
        self._connection.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])

    def _tables(self, wanted: TableFilter) -> list[Table]:
        with self._connection.transaction():
            rows = self._connection.execute(_TABLES, {"schema": wanted.schema}).fetchall()
        return [_table(row) for row in rows]

    def _estimate(self, sql: str) -> Estimate:
        with self._connection.transaction():
            self._bound_time(30)
            # The guard has seen exactly one query; binary= keeps it to the one-statement protocol.
            statement = ("EXPLAIN (FORMAT JSON) " + sql).encode()
            row = self._connection.execute(statement, binary=True).fetchone()
        plan = row[0][0]["Plan"] if row else {}
        read = sum(node["Plan Rows"] * node["Plan Width"] for node in _scans(plan))
        return Estimate(
            bytes_scanned=read,
            rows=plan["Plan Rows"],
            cost_low=None,
            cost_high=None,
            currency="USD",
            basis=Basis.UNKNOWN,
            explanation="Rows × width of the planner's scans. Postgres bills by server, "
            "not by query, so there is no price.",
        )

    def _error(self, exc: Exception) -> ConnectorError | None:
        return wire.error_for(exc)

    def _said(self, exc: Exception) -> str:
        return wire.said(exc)

    def _give_up(self) -> None:
        wire.shut(self._connection)

    # Extract

    def extract(self, schema: str, table: str, since: Watermark | None) -> Extraction:
        with self._session():
            cursor = self._connection.cursor(name="extract")
            try:
                return self._start_extraction(cursor, schema, table, since)
            except BaseException:
                wire.end(cursor)
                raise

    def _start_extraction(
        self,
        cursor: "psycopg.ServerCursor[Any]",
        schema: str,
        table: str,
        since: Watermark | None,
    ) -> Extraction:
        # The session's isolation gives bound and rows one snapshot; no row falls between them.
        key, identity = self._key_and_identity(schema, table)
        now, age = self._watermark(since, identity)
        full = since is None or age is None or since.origin != now.origin
        name = pgsql.Identifier(schema, table)
        query = pgsql.SQL("SELECT * FROM {}").format(name)
        if not full:
            query += pgsql.SQL(" WHERE age(xmin) BETWEEN 0 AND {}").format(pgsql.Literal(age))
        cursor.execute(query)
        arrow = wire.arrow_schema(cursor.description or ())
        estimated = self._estimated_rows(schema, table) if full else None
        return Extraction(arrow, key, now, full, estimated, self._drain(cursor, arrow))

    def _drain(
        self, cursor: "psycopg.ServerCursor[Any]", schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        with self._mapped():
            try:
                yield from wire.batches(cursor, schema)
            finally:
                wire.end(cursor)

    def _key_and_identity(self, schema: str, table: str) -> tuple[tuple[str, ...], str]:
        """The primary key, and what makes this table this table: database, table, partitions."""
        row = self._connection.execute(_KEY_AND_IDENTITY, [schema, table]).fetchone()
        if row is None:
            raise ObjectNotFound(f"There is no table {schema}.{table}.")
        return tuple(json.loads(row[0])), str(row[1])

    def _watermark(self, since: Watermark | None, identity: str) -> tuple[Watermark, int | None]:
        """The snapshot of this transaction, and the greatest age of a row not yet read.

        A row was readable under the old snapshot only if its xmin is older than that
        snapshot's xmin: everything younger is read again, in flight then or not. The age is
        ``None`` when it would not be safe: transaction ids have gone half round since, or the
        server has been put back to a time before.
        """
        row = self._connection.execute(_SNAPSHOT, [since.snapshot if since else None]).fetchone()
        snapshot, cluster, age, distance = row or ("", "", None, None)
        safe = distance is not None and 0 <= int(distance) < XID_HALF
        return Watermark(str(snapshot), f"{cluster}/{identity}"), age if safe else None

    def _estimated_rows(self, schema: str, table: str) -> int | None:
        name = pgsql.Identifier(schema, table).as_string(self._connection)
        row = self._connection.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [name]
        ).fetchone()
        return int(row[0]) if row and row[0] >= 0 else None


def _scans(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "Relation Name" in plan:
        yield plan
    for child in plan.get("Plans", ()):
        yield from _scans(child)


def _table(row: tuple[Any, ...]) -> Table:
    schema, name, kind, rows, pages, columns, key = row
    return Table(
        catalog=None,
        schema=schema,
        name=name,
        kind=kind,
        columns=tuple(Column(*column) for column in json.loads(columns)),
        primary_key=tuple(json.loads(key)),
        row_count=rows,
        size_bytes=None if pages is None else pages * PAGE_BYTES,
    )


# An index can carry columns beside its key (INCLUDE): only the first indnkeyatts are the key.
_KEY_COLUMNS = """
    SELECT json_agg(attname ORDER BY part.position)
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
    WHERE i.indrelid = c.oid AND i.indisprimary AND part.position <= i.indnkeyatts
"""

_TABLES = f"""
SELECT n.nspname, c.relname,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                      WHEN 'f' THEN 'foreign table' ELSE 'table' END,
       CASE WHEN c.reltuples >= 0 AND c.relkind IN ('r', 'm') THEN c.reltuples::bigint END,
       CASE WHEN c.reltuples >= 0 AND c.relkind IN ('r', 'm') THEN c.relpages::bigint END,
       coalesce(a.columns, '[]'), coalesce(({_KEY_COLUMNS})::text, '[]')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod),
                                     NOT attnotnull, attnum) ORDER BY attnum)::text AS columns
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
) a ON true
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%%'
  AND n.nspname NOT LIKE 'pg_temp%%'
  AND has_table_privilege(c.oid, 'SELECT')
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
ORDER BY 1, 2
"""

_KEY_AND_IDENTITY = f"""
SELECT coalesce(({_KEY_COLUMNS}), '[]')::text,
       (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || c.oid || '/'
           || coalesce((SELECT md5(string_agg(relid::oid::text, ',' ORDER BY relid::oid))
                        FROM pg_partition_tree(c.oid)), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'm')
"""

_SNAPSHOT = """
SELECT pg_current_snapshot()::text,
       (SELECT system_identifier FROM pg_control_system()) || '/'
           || (SELECT timeline_id FROM pg_control_checkpoint()),
       age(pg_snapshot_xmin(previous.snapshot)::xid),
       pg_snapshot_xmin(pg_current_snapshot())::text::numeric
           - pg_snapshot_xmin(previous.snapshot)::text::numeric
FROM (SELECT %s::text::pg_snapshot AS snapshot) AS previous
"""

CONNECTOR = Postgres
