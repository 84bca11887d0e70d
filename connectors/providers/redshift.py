"""Amazon Redshift, provisioned or serverless, through psycopg: live queries, and loads.

Types, as a result has them; what Arrow cannot hold exactly arrives as the server's own text. So
does the whole result if such a column is in it: rows come in binary form or as text, all alike.

| Redshift                   | Arrow              | exact?                                    |
|----------------------------|--------------------|-------------------------------------------|
| SMALLINT, INTEGER, BIGINT  | int16, int32, int64| yes                                       |
| DECIMAL(p, s)              | decimal128(p, s)   | yes; string without p and s               |
| DOUBLE PRECISION           | double             | yes, NaN and infinity too                 |
| REAL                       | float              | yes; as text 8 of 9 digits: see INEXACT   |
| BOOLEAN                    | bool               | yes                                       |
| CHAR, VARCHAR              | string             | yes                                       |
| DATE                       | date32             | years 1 to 9999; DataError beyond         |
| TIMESTAMP                  | timestamp[us]      | likewise                                  |
| TIMESTAMPTZ                | timestamp[us, UTC] | the instant; Redshift keeps no offset     |
| TIME, TIMETZ               | string             | yes, as text                              |
| INTERVAL                   | string             | yes, as text                              |
| VARBYTE                    | string             | yes, hexadecimal                          |
| GEOMETRY, GEOGRAPHY        | string             | yes, EWKB, hexadecimal                    |
| SUPER (arrays, structs)    | string             | yes, JSON text                            |
| HLLSKETCH                  | string             | JSON text; dense sketches: Base64         |

DataError names the column.
"""

import math
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any, ClassVar

import psycopg
import pyarrow as pa

from connectors import certificates
from connectors.abilities import BulkLoad, StagedFiles
from connectors.drift import LoadPlan
from connectors.errors import (
    ConnectorError,
    CredentialsRejected,
    HostRefused,
    InvalidCredentials,
)
from connectors.extract_query import QueryExtract
from connectors.loading import LOAD_TIMEOUT_S
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.postgres import text_rows, wire
from connectors.postgres import tls as postgres_tls
from connectors.postgres.fill import PostgresFill
from connectors.postgres.stream import AWAKE_S, StreamExecution, command
from connectors.prices import RedshiftPrices
from connectors.quarantine import Unfit
from connectors.redshift import catalog
from connectors.redshift import errors as redshift_errors
from connectors.redshift import iam as redshift_iam
from connectors.redshift import plan as redshift_plan
from connectors.redshift import sql as redshift_sql
from connectors.redshift.credentials import GRANTS, RedshiftCredentials
from connectors.redshift.iam import TemporaryUser
from connectors.redshift.load import Loader
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Estimate,
    Limits,
    LoadOutcome,
    LoadTarget,
    Manifest,
    Params,
    Table,
    TableFilter,
)

METADATA_TIMEOUT_S = 30.0
KEEPALIVE_S = 60
INEXACT = {"native": "real", "inexact": "Redshift sends 8 of 9 significant digits."}
"""Metadata of a column that may differ in its last digit from what the warehouse holds."""
NEEDS_QUOTING = re.compile(r"[^\w .:/@-]")
# By statements, because Redshift Serverless takes no notice of settings at startup. Two digits
# more make a double exact; Redshift's own default rounds it to 15.
SESSION = "SET timezone TO 'UTC'; SET datestyle TO 'ISO, MDY'; SET extra_float_digits TO 2"


def _quoted(name: str) -> str:
    """A label as a literal, without what could end or bend it."""
    return f"'{NEEDS_QUOTING.sub('_', name)}'"


class RedshiftExecution(StreamExecution):
    """A statement whose columns of REAL are flagged as INEXACT says, where they come as text."""

    def start(self) -> None:
        super().start()
        if not self.is_binary:
            self.schema = pa.schema(
                field.with_metadata(INEXACT) if field.type == pa.float32() else field
                for field in self.schema
            )


class Redshift(QueryExtract, BulkLoad, PostgresFill):
    """A Redshift database; every query runs in a read-only transaction of its own."""

    provider = "redshift"
    label = "Redshift"
    credentials_model = RedshiftCredentials
    prices_model = RedshiftPrices
    placeholder = wire.PLACED
    grants = GRANTS
    time_types: ClassVar = {"instant": "TIMESTAMPTZ", "time": "TIMESTAMP", "day": "DATE"}
    folds_targets = True
    folds_names = True
    locks_tables = False
    capabilities: ClassVar = Capabilities(
        dialect="redshift",
        folds_to="lower",
        cost_basis=Basis.ROUGH,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=True,
        refused_functions=frozenset(
            """aws_commons.* aws_lambda.* aws_s3.* currval dblink dblink_build_sql_*
            dblink_cancel_query dblink_close dblink_connect dblink_connect_u dblink_disconnect
            dblink_error_message dblink_exec dblink_fetch dblink_get_connections dblink_get_notify
            dblink_get_pkey dblink_get_result dblink_is_busy dblink_open dblink_send_query
            explain_model http http_delete http_get http_head http_list_curlopt http_patch
            http_post http_put http_reset_curlopt http_set_curlopt lastval lo_close lo_creat
            lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_manage
            lo_open lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite
            net.* nextval pg_*advisory* pg_backup_* pg_cancel_backend pg_create_* pg_drop_*
            pg_export_snapshot pg_file_* pg_log_* pg_logdir_ls pg_logical_* pg_ls_* pg_notify
            pg_promote pg_read_* pg_reload_conf pg_replication_* pg_rotate_logfile pg_start_*
            pg_stat_file pg_stat_reset* pg_stop_* pg_switch_* pg_terminate_backend *_to_xml*
            set_config setseed setval""".split()
        ),
        refused_tables=frozenset(
            """pg_authid pg_largeobject pg_shadow pg_user_mapping pg_user_mappings
            user_mapping_options""".split()
        ),
    )
    credentials: RedshiftCredentials
    prices: RedshiftPrices
    _connection: psycopg.Connection[Any]
    _files: ExitStack

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form = self.credentials
        if form.password is not None:
            return (self._warehouse,)
        if form.access_key_id is None and f"{self.provider}:{form.host}" not in self.own_identity:
            # Otherwise a team could sign in to whatever this service's own identity may reach.
            sentence = "Give an AWS key: this service's own is for hosts its operator has listed."
            raise InvalidCredentials(sentence, fields={"access_key_id": sentence})
        return (self._warehouse, Endpoint.of_url(form.api_url()))

    @property
    def _warehouse(self) -> Endpoint:
        return Endpoint(self.credentials.host, self.credentials.port)

    def _judge(self, endpoint: Endpoint) -> None:
        """The warehouse may have any name; the API that is sent AWS keys is Amazon's."""
        if endpoint == self._warehouse:
            return
        amazon = endpoint.tls and redshift_iam.AWS_API_HOST.fullmatch(endpoint.host.lower())
        if not amazon and not self.network.allows(endpoint):
            raise HostRefused("That AWS endpoint is not Amazon's.")

    def _connect(self, addresses: tuple[str, ...]) -> None:
        with ExitStack() as files:
            # Kept until the session ends: a cancel request checks the certificate again.
            self._connection = self._opened(addresses, files)
            self._files = files.pop_all()

    def _opened(self, addresses: tuple[str, ...], files: ExitStack) -> psycopg.Connection[Any]:
        form, user = self.credentials, self._user()
        connection = psycopg.connect(
            host=",".join([form.host] * len(addresses)),
            hostaddr=",".join(addresses),
            port=form.port,
            dbname=form.database,
            user=user.name,
            password=user.password,
            sslmode=form.sslmode,
            sslrootcert=certificates.authorities(form.sslmode, form.sslrootcert, files),
            # Otherwise certificates and passwords in the operator's home folder could be used.
            sslcertmode="disable",
            passfile=os.devnull,
            gssencmode="disable",
            connect_timeout=int(CONNECT_TIMEOUT_S),
            # A long query says nothing for minutes, and gateways forget such connections.
            keepalives_idle=KEEPALIVE_S,
            keepalives_interval=KEEPALIVE_S,
            application_name=wire.application_name(self.context.tags()),
            client_encoding="utf8",
            prepare_threshold=None,
            autocommit=True,
        )
        try:
            command(connection, SESSION, AWAKE_S)
        except BaseException:
            connection.close()
            raise
        text_rows.read_everything_else_as_text(connection)
        return connection

    def _user(self) -> TemporaryUser:
        form, key = self.credentials, self.credentials.aws_key()
        url, region, database = form.api_url(), form.aws_region(), form.database
        if form.workgroup:
            return redshift_iam.for_workgroup(url, region, key, form.workgroup, database)
        user, cluster = form.user or "", form.cluster_identifier
        if cluster:
            return redshift_iam.for_cluster(url, region, key, cluster, database, user)
        return TemporaryUser(user, form.password.get_secret_value() if form.password else "")

    def _close(self) -> None:
        self._files.close()
        self._connection.close()

    def _bound(self, sql: str, params: Params) -> tuple[str, Params]:
        return wire.bound(sql, params)

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        return self._statement(sql, params, limits.timeout_s, run_id)

    def _statement(
        self, sql: str, params: Params, timeout_s: float, run_id: str = ""
    ) -> "RedshiftExecution":
        """In a transaction that cannot write, with its own time limit and label.

        The label has the run first: some of Redshift's histories keep 30 characters of it.
        """
        tags, limit_ms = self.context.tags(run_id), math.ceil(timeout_s * 1000)
        begin = (
            f"BEGIN READ ONLY; SET LOCAL statement_timeout TO {limit_ms}; "
            f"SET LOCAL application_name TO {_quoted(wire.application_name(tags))}; "
            f"SET LOCAL query_group TO {_quoted(' '.join(reversed(tags.values())))}"
        )
        return RedshiftExecution(self._connection, begin, sql, params, timeout_s)

    def _read(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        with closing(self._statement(sql, params, METADATA_TIMEOUT_S)) as run:
            run.start()
            return [
                row
                for batch in run.batches()
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]

    def _tables(self, wanted: TableFilter) -> list[Table]:
        """Three reads; the third is left out where it would wake a serverless workgroup up.

        The catalog is the leader node's and free; sizes are the compute nodes', which serverless
        bills by their time.
        """
        found = self._read(*catalog.tables_read(wanted))
        if not found:
            return []
        last = found[-1][:2]
        described = self._read(*catalog.columns_read(wanted, last))
        return catalog.tables(found, described, self._sizes(wanted, last))

    def _sizes(self, wanted: TableFilter, last: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self.credentials.is_serverless():
            return []
        try:
            return self._read(*catalog.sizes_read(wanted, last))
        except psycopg.errors.InsufficientPrivilege:
            return []

    def _tls(self, connection: socket.socket, endpoint: Endpoint) -> str:
        if endpoint != self._warehouse:
            return super()._tls(connection, endpoint)
        form = self.credentials
        return postgres_tls.encrypt(connection, form.host, form.sslmode, form.sslrootcert)

    def _usable(self) -> str:
        ((user, database),) = self._read(catalog.WHO)
        return f"user {user}, database {database}"

    def _may_write(self) -> bool | None:
        ((may,),) = self._read(catalog.MAY_WRITE)
        return bool(may)

    def _is_alive(self, idle_s: float) -> bool:
        return wire.is_alive(self._connection)

    def _estimate(self, sql: str, params: Params) -> Estimate:
        lines = [line for (line,) in self._read(f"EXPLAIN {sql}", params)]
        return redshift_plan.estimate(lines, self.credentials.is_serverless(), self.prices)

    def _error(self, exc: Exception) -> ConnectorError | None:
        error, form = redshift_errors.error_for(exc), self.credentials
        if error and "password" in error.fields and form.password is None:
            sentence = "The database has no such user, or does not take AWS's password for it."
            field = "user" if form.cluster_identifier else "workgroup"
            return CredentialsRejected(sentence, fields={field: sentence})
        return error

    def _said(self, exc: Exception) -> str:
        return wire.said(exc)

    def _give_up(self) -> None:
        wire.shut(self._connection)

    # Extract

    def _path(self, *names: str) -> str:
        return redshift_sql.quoted(*names)

    # BulkLoad

    @classmethod
    def stage_fault(cls, stage: str) -> str | None:
        if redshift_sql.ROLES.fullmatch(stage):
            return None
        return "Give the ARN of the IAM role with which the warehouse reads the bucket."

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        with self._loader() as loader:
            return loader.load(manifest, target, files)

    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        with self._loader() as loader:
            return loader.plan(schema, primary_key, target)

    @classmethod
    def unfit(cls, batch: pa.RecordBatch) -> list[Unfit]:
        return redshift_sql.ROOM.unfit(batch)

    def has_loaded(self, target: LoadTarget) -> bool:
        with self._loader() as loader:
            return loader.has_loaded(target)

    @contextmanager
    def _loader(self) -> Iterator[Loader]:
        """For statements that write, each committed by itself unless they say otherwise."""
        with self._watched(LOAD_TIMEOUT_S), self._session():
            command(self._connection, f"SET statement_timeout TO {LOAD_TIMEOUT_S * 1000}", AWAKE_S)
            try:
                yield Loader(self._run)
            finally:
                with suppress(psycopg.Error):
                    command(self._connection, "RESET statement_timeout", AWAKE_S)

    def _run(self, sql: str, params: Params = ()) -> psycopg.Cursor[Any]:
        """Run one statement of our own to its end."""
        return self._connection.execute(sql, params or None)


CONNECTOR = Redshift
