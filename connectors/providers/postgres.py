"""Postgres 14 and later, through psycopg: live queries, and the source of pipelines.

Types, as a result has them; what Arrow cannot hold exactly arrives as the server's own text:

| Postgres                        | Arrow               | exact?                               |
|---------------------------------|---------------------|--------------------------------------|
| smallint, integer, bigint       | int16, int32, int64 | yes                                  |
| oid                             | int64               | yes                                  |
| numeric(p, s), 38 digits at most| decimal128(p, s)    | yes; NaN raises DataError            |
| other numeric                   | string              | text, NaN and ±Infinity too          |
| real, double precision          | float, double       | yes, NaN and ±Infinity too           |
| boolean                         | bool                | yes                                  |
| char, varchar, text, name       | string              | yes; char(n) with its blanks         |
| bytea                           | binary              | yes                                  |
| date                            | date32              | years 1 to 9999, else DataError      |
| timestamp                       | timestamp[us]       | years 1 to 9999, else DataError      |
| timestamptz                     | timestamp[us, UTC]  | the instant; years 1 to 9999         |
| time, timetz, interval          | string              | text: 24:00:00, offsets and months   |
| json, jsonb                     | string              | text; field metadata native: json(b) |
| uuid, inet, bit, money, xml, …  | string              | text                                 |
| enum, domain                    | string; as the type below                                  |
| array, composite, range         | string              | text: {1,NULL}, (1,a), [1,5)         |
| geometry, geography (PostGIS)   | string              | EWKB, hexadecimal                    |

A DataError names the column, but for text of a SQL_ASCII database that is not UTF-8: the server
refuses that itself.
"""

import json
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import psycopg
import pyarrow as pa
from psycopg import sql as pgsql

from connectors.abilities import Changes, ChangeWindow, Extract, Extraction, FollowChanges
from connectors.base import GRACE_S, METADATA_TIMEOUT_S, STEP_TIMEOUT_S, Connector
from connectors.errors import (
    ConnectionLost,
    ConnectorError,
    ObjectNotFound,
    QueryTimeout,
    ResourceUnusable,
)
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.postgres import catalog, wire
from connectors.postgres import tls as postgres_tls
from connectors.postgres.changes import ChangeLog
from connectors.postgres.copy import CopyExecution
from connectors.postgres.credentials import PostgresCredentials
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Estimate,
    Limits,
    Params,
    Table,
    TableFilter,
    Watermark,
)

# Transaction ids are compared modulo 2^32: past half of that, old and new look alike.
XID_HALF = 2**31

GRANTS = """
CREATE ROLE <user> LOGIN PASSWORD '<password>';
ALTER ROLE <user> SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE <database> TO <user>;
-- In that database, for each schema to be read:
GRANT USAGE ON SCHEMA <schema> TO <user>;
GRANT SELECT ON ALL TABLES IN SCHEMA <schema> TO <user>;
-- And for the tables that <owner> will make there:
ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA <schema> GRANT SELECT ON TABLES TO <user>;
""".strip()


class Postgres(Connector, Extract, FollowChanges):
    """A Postgres database, in a session that the server keeps read-only."""

    provider = "postgres"
    label = "Postgres"
    credentials_model = PostgresCredentials
    grants = GRANTS
    capabilities: ClassVar = Capabilities(
        dialect="postgres",
        folds_to="lower",
        cost_basis=Basis.UNKNOWN,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=True,
        refused_functions=frozenset(
            """aws_commons.* aws_lambda.* aws_s3.* binary_upgrade_* brin_*summarize* connectby*
            cron.* crosstab* currval *_to_xml* dblink dblink_build_sql_* dblink_cancel_query
            dblink_close dblink_connect dblink_connect_u dblink_disconnect dblink_error_message
            dblink_exec dblink_fetch dblink_get_connections dblink_get_notify dblink_get_pkey
            dblink_get_result dblink_is_busy dblink_open dblink_send_query gin_clean_pending_list
            http http_delete http_get http_head http_list_curlopt http_patch http_post http_put
            http_reset_curlopt http_set_curlopt lastval lo_close lo_creat lo_create lo_export
            lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_manage lo_open lo_put lo_tell
            lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite net.* nextval
            pg_*advisory* pg_backup_* pg_cancel_backend pg_clear_* pg_copy_* pg_create_*
            pg_current_logfile pg_drop_* pg_export_snapshot pg_extension_config_dump pg_file_*
            pg_hba_file_rules pg_ident_file_mappings pg_import_* pg_log_* pg_logical_* pg_ls_*
            pg_nextoid pg_notify pg_promote pg_read_* pg_reload_conf pg_replication_* pg_restore_*
            pg_rotate_logfile pg_show_all_file_settings pg_start_* pg_stat_file pg_stat_reset*
            pg_stop_* pg_switch_* pg_sync_* pg_terminate_backend pg_wal_replay_* postgres_fdw_*
            set_config setseed setval ts_rewrite ts_stat xpath_table""".split()
        ),
        refused_tables=frozenset(
            """_pg_foreign_* _pg_user_mappings pg_authid pg_file_settings pg_hba_file_rules
            pg_ident_file_mappings pg_largeobject pg_shadow pg_stat_gssapi pg_stat_ssl
            pg_stat_wal_receiver pg_subscription pg_user_mapping pg_user_mappings
            user_mapping_options""".split()
        ),
    )
    silence_s: ClassVar = 900.0
    """How long a server may work before it has the next rows of an extraction."""
    extraction_s: ClassVar = 7 * 86_400.0
    """How long a whole extraction may take the server."""
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
            **form.for_libpq(files),
            gssencmode="disable",
            connect_timeout=int(CONNECT_TIMEOUT_S),
            application_name=self._name(),
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
        name = self._name(run_id)
        if params:
            return wire.CursorExecution(self._connection, sql, params, limits.timeout_s, name)
        return CopyExecution(self._connection, sql, limits.timeout_s, name, limits.max_rows)

    def _name(self, run_id: str = "") -> str:
        return wire.application_name(self.context.tags(run_id))

    @contextmanager
    def _transaction(self, timeout_s: float) -> Iterator["psycopg.Connection[Any]"]:
        with self._connection.transaction(force_rollback=True):
            wire.begin(self._connection, timeout_s, self._name())
            yield self._connection

    def _tables(self, wanted: TableFilter) -> list[Table]:
        with self._transaction(METADATA_TIMEOUT_S) as connection:
            rows = connection.execute(catalog.TABLES, catalog.filters(wanted)).fetchall()
        return catalog.tables(rows)

    def _estimate(self, sql: str) -> Estimate:
        with self._transaction(METADATA_TIMEOUT_S) as connection:
            # The guard has seen exactly one query; binary= keeps it to the one-statement protocol.
            statement = ("EXPLAIN (FORMAT JSON) " + sql).encode()
            row = connection.execute(statement, binary=True).fetchone()
        plan = row[0][0]["Plan"] if row else {}
        read = sum(node["Plan Rows"] * node["Plan Width"] for node in _scans(plan))
        return Estimate(
            bytes_scanned=read,
            rows=plan["Plan Rows"],
            cost_low=None,
            cost_high=None,
            currency=self.prices.currency,
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

    def _is_alive(self, idle_s: float) -> bool:
        return wire.is_alive(self._connection)

    def _tls(self, connection: socket.socket, endpoint: Endpoint) -> str:
        form = self.credentials
        return postgres_tls.encrypt(connection, form.host, form.sslmode, form.sslrootcert)

    def _usable(self) -> str:
        with self._transaction(STEP_TIMEOUT_S) as connection:
            row = connection.execute("SELECT current_user, current_database()").fetchone()
        user, database = row or ("", "")
        version = connection.info.parameter_status("server_version")
        return f"user {user}, database {database}, Postgres {version}"

    def _may_write(self) -> bool:
        self._try_to_write()
        with self._transaction(STEP_TIMEOUT_S) as connection:
            row = connection.execute(catalog.MAY_WRITE).fetchone()
        return bool(row and row[0])

    def _try_to_write(self) -> None:
        """Raises ResourceUnusable where this session is not read-only; leaves nothing."""
        refused = psycopg.errors.InsufficientPrivilege
        try:
            # The server asks first whether the transaction may write, and then whether the role.
            with suppress(refused), self._transaction(STEP_TIMEOUT_S) as connection:
                connection.execute("CREATE TEMPORARY TABLE written (nothing int)")
        except psycopg.errors.ReadOnlySqlTransaction:
            return
        raise ResourceUnusable(
            "The server lets this read-only session write.",
            hint="Connect to the server itself, not through a pooler that changes transactions.",
        )

    # Extract

    def extract(self, schema: str, table: str, since: Watermark | None) -> Extraction:
        with self._heard(), self._session():
            try:
                return self._start_extraction(schema, table, since)
            except BaseException:
                if not self._connection.closed:
                    self._connection.rollback()
                raise

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Bound a step of an extraction; ConnectionLost where the server falls silent."""
        try:
            with self._watched(self.silence_s + GRACE_S), self._mapped():
                yield
        except QueryTimeout as exc:
            if not self._given_up:
                # The server itself ended the statement.
                raise
            raise ConnectionLost("The server has said nothing for too long.") from exc

    def _start_extraction(self, schema: str, table: str, since: Watermark | None) -> Extraction:
        # The session's isolation gives bound and rows one snapshot; no row falls between them.
        wire.begin(self._connection, self.silence_s, self._name())
        key, identity = self._key_and_identity(schema, table)
        now, age = self._watermark(since, identity)
        full = since is None or age is None or since.origin != now.origin
        name = pgsql.Identifier(schema, table)
        query = pgsql.SQL("SELECT * FROM {}").format(name)
        if not full:
            query += pgsql.SQL(" WHERE age(xmin) BETWEEN 0 AND {}").format(pgsql.Literal(age))
        estimated = self._estimated_rows(schema, table) if full else None
        text = query.as_string(self._connection)
        copy = CopyExecution(self._connection, text, self.extraction_s, self._name())
        try:
            copy.start()
        except BaseException:
            copy.close()
            raise
        return Extraction(copy.schema, key, now, full, estimated, self._drain(copy))

    def _drain(self, copy: CopyExecution) -> Iterator[pa.RecordBatch]:
        batches = copy.batches()
        try:
            while True:
                with self._heard():
                    batch = next(batches, None)
                if batch is None:
                    break
                yield batch
        finally:
            with self._mapped():
                copy.close()

    def _key_and_identity(self, schema: str, table: str) -> tuple[tuple[str, ...], str]:
        """The primary key, and what makes this table this table: database, table, partitions."""
        row = self._connection.execute(catalog.KEY_AND_IDENTITY, [schema, table]).fetchone()
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
        row = self._connection.execute(
            catalog.SNAPSHOT, [since.snapshot if since else None]
        ).fetchone()
        snapshot, cluster, age, distance = row or ("", "", None, None)
        safe = distance is not None and 0 <= int(distance) < XID_HALF
        return Watermark(str(snapshot), f"{cluster}/{identity}"), age if safe else None

    def _estimated_rows(self, schema: str, table: str) -> int | None:
        name = pgsql.Identifier(schema, table).as_string(self._connection)
        row = self._connection.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [name]
        ).fetchone()
        return int(row[0]) if row and row[0] >= 0 else None

    # FollowChanges

    def follow(self, name: str, schema: str, table: str) -> Watermark:
        with self._change_log(name, schema, table) as log:
            return log.follow()

    def changes(self, name: str, schema: str, table: str, since: Watermark) -> Changes:
        with self._change_log(name, schema, table) as log:
            found = log.changes(since)
        return replace(found, windows=self._heard_windows(found.windows))

    def arrived(self, name: str, schema: str, table: str, upto: Watermark) -> None:
        with self._change_log(name, schema, table) as log:
            log.arrived(upto)

    def unfollow(self, name: str, schema: str, table: str) -> None:
        with self._change_log(name, schema, table) as log:
            log.unfollow()

    def retained_bytes(self, name: str, schema: str, table: str) -> int | None:
        with self._change_log(name, schema, table) as log:
            return log.retained_bytes()

    @contextmanager
    def _change_log(self, name: str, schema: str, table: str) -> Iterator[ChangeLog]:
        with self._heard(), self._session():
            yield ChangeLog(self._connection, name, schema, table, self._name())

    def _heard_windows(self, windows: Generator[ChangeWindow]) -> Generator[ChangeWindow]:
        with closing(windows):
            while True:
                with self._heard():
                    window = next(windows, None)
                if window is None:
                    break
                yield window


def _scans(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "Relation Name" in plan:
        yield plan
    for child in plan.get("Plans", ()):
        yield from _scans(child)


CONNECTOR = Postgres
