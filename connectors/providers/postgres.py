"""Postgres 14 and later, through psycopg: live queries, and the source of pipelines.

Types, as a result has them; what Arrow cannot hold exactly arrives as the server's own text:

| Postgres                        | Arrow               | exact?                               |
|---------------------------------|---------------------|--------------------------------------|
| smallint, integer, bigint       | int16, int32, int64 | yes                                  |
| oid                             | int64               | yes                                  |
| numeric(p, s), p ≤ 38, s ≤ 37   | decimal128(p, s)    | yes; NaN raises DataError            |
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

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar

import psycopg

from connectors.base import METADATA_TIMEOUT_S, STEP_TIMEOUT_S
from connectors.errors import ConnectorError, ResourceUnusable
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.postgres import catalog, text_rows, wire
from connectors.postgres import plan as postgres_plan
from connectors.postgres import tls as postgres_tls
from connectors.postgres.checksums import PostgresCompare
from connectors.postgres.copy import CopyExecution
from connectors.postgres.credentials import PostgresCredentials
from connectors.postgres.fill import PostgresFill
from connectors.postgres.follow import PostgresFollow
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Estimate,
    Limits,
    Params,
    Table,
    TableFilter,
)

GRANTS = """
CREATE ROLE <user> LOGIN PASSWORD '<password>';
ALTER ROLE <user> SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE <database> TO <user>;
-- In that database, for each schema to be read:
GRANT USAGE ON SCHEMA <schema> TO <user>;
GRANT SELECT ON ALL TABLES IN SCHEMA <schema> TO <user>;
-- And for the tables that <owner> will make there:
ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA <schema> GRANT SELECT ON TABLES TO <user>;
-- Only where a pipeline reads in mode cursor: to see when others' transactions began.
-- GRANT pg_read_all_stats TO <user>;
""".strip()


class Postgres(PostgresFollow, PostgresCompare, PostgresFill):
    """A Postgres database, in a session that the server keeps read-only."""

    provider = "postgres"
    label = "Postgres"
    credentials_model = PostgresCredentials
    placeholder = wire.PLACED
    grants = GRANTS
    capabilities: ClassVar = Capabilities(
        dialect="postgres",
        folds_to="lower",
        cost_basis=Basis.UNKNOWN,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=True,
        refused_functions=frozenset(
            """*_to_xml* ai.* autoprewarm_* aws_bedrock.* aws_commons.* aws_comprehend.*
            aws_lambda.* aws_ml.* aws_s3.* aws_sagemaker.* azure_*.* binary_upgrade_*
            brin_*summarize* connectby* cron.* crosstab* currval dblink dblink_build_sql_*
            dblink_cancel_query dblink_close dblink_connect dblink_connect_u dblink_disconnect
            dblink_error_message dblink_exec dblink_fetch dblink_get_connections
            dblink_get_notify dblink_get_pkey dblink_get_result dblink_is_busy dblink_open
            dblink_send_query delta_scan duckdb.* gin_clean_pending_list google_ml.* heap_force_*
            http http_delete http_get http_head http_list_curlopt http_patch http_post http_put
            http_reset_curlopt http_set_curlopt iceberg_scan lastval lo_close lo_creat lo_create
            lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_manage lo_open lo_put
            lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite
            master_run_on_worker net.* nextval oracle_execute pg_*advisory* pg_background_*
            pg_backup_* pg_cancel_backend pg_clear_* pg_copy_* pg_create_* pg_current_logfile
            pg_drop_* pg_export_snapshot pg_extension_config_dump pg_file_* pg_hba_file_rules
            pg_ident_file_mappings pg_import_* pg_log_* pg_logdir_ls pg_logical_* pg_ls_*
            pg_nextoid pg_notify pg_promote pg_read_* pg_reload_conf pg_replication_* pg_*reset*
            pg_restore_* pg_rotate_logfile pg_show_all_file_settings pg_start_* pg_stat_file
            pg_stat_get_activity pg_stat_get_wal_receiver pg_stop_* pg_switch_* pg_sync_*
            pg_terminate_backend pg_truncate_visibility_map pg_wal_replay_* pgml.* postgres_fdw_*
            read_csv read_json read_parquet run_command_on_* set_config setseed setval ts_rewrite
            ts_stat utl_file.* xpath_table""".split()
        ),
        refused_tables=frozenset(
            """_pg_foreign_* _pg_user_mappings decrypted_secrets pg_authid pg_file_settings
            pg_hba_file_rules pg_ident_file_mappings pg_largeobject pg_shadow pg_stat_gssapi
            pg_stat_ssl pg_stat_wal_receiver pg_subscription pg_user_mapping pg_user_mappings
            user_mapping_options""".split()
        ),
    )
    credentials: PostgresCredentials
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
            # With extra_float_digits below 1 the text of a point, or of an array, is rounded.
            options="-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO"
            " -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
            " -c client_connection_check_interval=2s -c standard_conforming_strings=on",
        )
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        text_rows.read_everything_else_as_text(connection)
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

    def _estimate(self, sql: str, params: Params) -> Estimate:
        with self._transaction(METADATA_TIMEOUT_S) as connection:
            # The guard has seen exactly one query; binary= keeps it to the one-statement protocol.
            statement = ("EXPLAIN (FORMAT JSON) " + sql).encode()
            cursor = psycopg.RawCursor(connection)
            row = cursor.execute(statement, params or None, binary=True).fetchone()
        plan = row[0][0]["Plan"] if row else {}
        scanned = postgres_plan.bytes_of(list(postgres_plan.scans(plan)))
        read_as = postgres_plan.UNTOLD if scanned is None else postgres_plan.READ_AS
        return Estimate(
            bytes_scanned=scanned,
            rows=plan["Plan Rows"],
            cost_low=None,
            cost_high=None,
            currency=self.prices.currency,
            basis=Basis.UNKNOWN,
            explanation=f"{read_as} Postgres bills by server, not by query, so there is no price.",
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


CONNECTOR = Postgres
