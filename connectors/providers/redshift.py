"""Amazon Redshift, provisioned or serverless, through psycopg: live queries.

Types, as a result has them; what Arrow cannot hold exactly arrives as the server's own text:

| Redshift                   | Arrow              |                                   |
|----------------------------|--------------------|-----------------------------------|
| SMALLINT, INTEGER, BIGINT  | int16, int32, int64| exact                             |
| DECIMAL(p, s)              | decimal128(p, s)   | exact; string without p and s     |
| DOUBLE PRECISION           | double             | exact, NaN and infinity too       |
| REAL                       | float              | Redshift sends 8 digits of 9      |
| BOOLEAN                    | bool               | exact                             |
| CHAR, VARCHAR              | string             | exact                             |
| DATE, TIMESTAMP            | date32, timestamp  | BC and infinity raise DataError   |
| TIMESTAMPTZ                | timestamp, UTC     | the instant; likewise             |
| TIME, TIMETZ, INTERVAL     | string             | text                              |
| VARBYTE                    | string             | hexadecimal                       |
| GEOMETRY, GEOGRAPHY        | string             | EWKB, hexadecimal                 |
| SUPER, HLLSKETCH           | string             | JSON text; dense sketches: Base64 |
"""

import os
from contextlib import ExitStack, closing
from typing import Any, ClassVar, Literal

import psycopg
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import certificates, redshift_errors, redshift_iam, redshift_plan
from connectors import postgres_wire as wire
from connectors import redshift_catalog as catalog
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import ConnectorError, HostRefused, InvalidCredentials
from connectors.network import CONNECT_TIMEOUT_S, Endpoint
from connectors.postgres_stream import StreamExecution, command
from connectors.redshift_iam import AwsKey, TemporaryUser
from connectors.result import Execution
from connectors.types import Basis, Capabilities, Estimate, Limits, Params, Table, TableFilter

METADATA_TIMEOUT_S = 30.0
# What a server may take for a word that needs no work; an idle serverless one wakes up first.
AWAKE_S = 10.0
KEEPALIVE_S = 60
# By statements, because Redshift Serverless takes no notice of settings at startup. Two digits
# more make a double exact; Redshift's own default rounds it to 15.
SESSION = "SET timezone TO 'UTC'; SET datestyle TO 'ISO, MDY'; SET extra_float_digits TO 2"


class RedshiftCredentials(Credentials):
    """A database user and password, or an AWS identity that may act as a database user."""

    host: str = Field(
        title="Host", min_length=1, max_length=253,
        examples=["my-cluster.abc123.us-east-1.redshift.amazonaws.com"],
        description="The endpoint of the cluster or workgroup, without port and database.",
    )  # fmt: skip
    port: int = Field(5439, title="Port", ge=1, le=65535)
    database: str = Field(title="Database", min_length=1, max_length=127)
    user: str | None = Field(
        None, title="User", min_length=1, max_length=127,
        description="The database user. With a workgroup, AWS derives it from the key.",
    )  # fmt: skip
    password: SecretStr | None = Field(None, title="Password")
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        "require", title="TLS", description="verify-full checks the certificate and the host name."
    )
    sslrootcert: str | None = Field(
        None, title="Certificate authority", max_length=1_000_000,
        description="PEM text. Without it, the public authorities, which have signed Amazon's.",
    )  # fmt: skip
    cluster_identifier: str | None = Field(
        None, title="Cluster identifier", pattern=r"^[a-z][a-z0-9-]{0,62}$",
        description="Instead of a password: sign in to this cluster through IAM.",
    )  # fmt: skip
    workgroup: str | None = Field(
        None, title="Workgroup", pattern=r"^[a-z0-9-]{3,64}$",
        description="Instead of a password: sign in to this serverless workgroup through IAM.",
    )  # fmt: skip
    region: str | None = Field(
        None, title="Region", examples=["us-east-1"],
        description="For IAM, where the host does not name it.",
    )  # fmt: skip
    access_key_id: str | None = Field(None, title="AWS access key", pattern=r"^\w{16,128}$")
    secret_access_key: SecretStr | None = Field(None, title="AWS secret key")
    session_token: SecretStr | None = Field(None, title="AWS session token")
    iam_endpoint: str | None = Field(
        None, title="AWS endpoint", description="Only for a private endpoint of Redshift's API."
    )

    @field_validator("sslrootcert")
    @classmethod
    def _is_pem(cls, value: str | None) -> str | None:
        return certificates.checked(value)

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> "RedshiftCredentials":
        ways = (self.password, self.cluster_identifier, self.workgroup)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("Give one of password, cluster_identifier and workgroup.")
        if self.user is None and self.workgroup is None:
            raise ValueError("Give the database user.")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("An AWS key has two halves: access_key_id and secret_access_key.")
        if self.password is None and not redshift_iam.REGION.fullmatch(self.aws_region()):
            raise ValueError("Give the AWS region, such as us-east-1.")
        return self

    def aws_region(self) -> str:
        """The region given, or the one in the host; empty when neither says."""
        vendor = redshift_iam.VENDOR_HOST.fullmatch(self.host.lower())
        return self.region or (vendor["region"] if vendor else "")

    def is_serverless(self) -> bool | None:
        """A serverless workgroup; ``None`` when the host is an alias that does not tell."""
        if self.workgroup or self.cluster_identifier:
            return self.workgroup is not None
        vendor = redshift_iam.VENDOR_HOST.fullmatch(self.host.lower())
        return vendor["serverless"] is not None if vendor else None

    def api_url(self) -> str:
        """Where a temporary password is asked for."""
        region, serverless = self.aws_region(), self.workgroup is not None
        return self.iam_endpoint or redshift_iam.api_url(region, serverless=serverless)

    def aws_key(self) -> AwsKey:
        return AwsKey(
            self.access_key_id,
            self.secret_access_key.get_secret_value() if self.secret_access_key else None,
            self.session_token.get_secret_value() if self.session_token else None,
        )

    def target(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


class Redshift(Connector):
    """A Redshift database; every statement runs in a read-only transaction of its own."""

    provider = "redshift"
    label = "Redshift"
    credentials_model = RedshiftCredentials
    capabilities: ClassVar = Capabilities(
        dialect="redshift",
        folds_to="lower",
        cost_basis=Basis.ROUGH,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=True,
        refused_functions=frozenset(
            """aws_* currval dblink* explain_model http http_* lastval lo_* loread lowrite net.*
            nextval pg_*advisory* pg_backup_* pg_cancel_backend pg_create_* pg_drop_*
            pg_export_snapshot pg_file_* pg_log_* pg_logdir_ls pg_logical_* pg_ls_* pg_notify
            pg_promote pg_read_* pg_reload_conf pg_replication_* pg_rotate_logfile pg_start_*
            pg_stat_file pg_stat_reset* pg_stop_* pg_switch_* pg_terminate_backend *_to_xml*
            set_config setseed setval""".split()
        ),
    )
    credentials: RedshiftCredentials
    _connection: psycopg.Connection[Any]
    _addresses: tuple[str, ...]
    _authorities: str | None
    _files: ExitStack

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form = self.credentials
        warehouse = Endpoint(form.host, form.port)
        if form.password is not None:
            return (warehouse,)
        if form.access_key_id is None and not self.network.names(warehouse):
            # Otherwise a team could sign in to whatever this service's own identity may reach.
            sentence = "Give an AWS key: this service's own is for hosts its operator has listed."
            raise InvalidCredentials(sentence, fields={"access_key_id": sentence})
        return (warehouse, Endpoint.of_url(form.api_url()))

    def _judge(self, endpoint: Endpoint) -> None:
        """The warehouse may have any name; the API that is sent AWS keys is Amazon's."""
        if endpoint == Endpoint(self.credentials.host, self.credentials.port):
            return
        amazon = endpoint.tls and redshift_iam.AWS_API_HOST.fullmatch(endpoint.host.lower())
        if not amazon and not self.network.allows(endpoint):
            raise HostRefused("That AWS endpoint is not Amazon's.")

    def _connect(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses
        with ExitStack() as files:
            # Kept until the session ends: a cancel request checks the certificate again.
            form = self.credentials
            self._authorities = certificates.authorities(form.sslmode, form.sslrootcert, files)
            self._connection = self._opened()
            self._files = files.pop_all()

    def _opened(self) -> psycopg.Connection[Any]:
        form, user = self.credentials, self._user()
        connection = psycopg.connect(
            host=",".join([form.host] * len(self._addresses)),
            hostaddr=",".join(self._addresses),
            port=form.port,
            dbname=form.database,
            user=user.name,
            password=user.password,
            sslmode=form.sslmode,
            sslrootcert=self._authorities,
            # Otherwise certificates and passwords in the operator's home folder could be used.
            sslcertmode="disable",
            passfile=os.devnull,
            gssencmode="disable",
            connect_timeout=int(CONNECT_TIMEOUT_S),
            # A long query says nothing for minutes, and gateways forget such connections.
            keepalives_idle=KEEPALIVE_S,
            keepalives_interval=KEEPALIVE_S,
            application_name=" ".join(self.context.tags().values())[:63],
            client_encoding="utf8",
            prepare_threshold=None,
            autocommit=True,
        )
        try:
            command(connection, SESSION, AWAKE_S)
        except BaseException:
            connection.close()
            raise
        wire.read_everything_else_as_text(connection)
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
        self._begin(limits.timeout_s)
        return StreamExecution(self._connection, sql, params, limits.timeout_s)

    def _begin(self, timeout_s: float) -> None:
        """Start a transaction that cannot write; the statement in it ends it."""
        if self._connection.closed:
            self._connection = self._opened()
        limit_ms = max(1, int(timeout_s * 1000))
        begin = f"BEGIN READ ONLY; SET LOCAL statement_timeout TO {limit_ms}"
        try:
            command(self._connection, begin, min(timeout_s, AWAKE_S))
        except BaseException:
            # Half begun is not begun: the next statement takes a new session.
            self._connection.close()
            raise

    def _read(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        self._begin(METADATA_TIMEOUT_S)
        with closing(StreamExecution(self._connection, sql, params, METADATA_TIMEOUT_S)) as run:
            run.start()
            return [
                row
                for batch in run.batches()
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]

    def _tables(self, wanted: TableFilter) -> list[Table]:
        schema = wanted.schema
        params = () if schema is None else (schema,)
        tables, columns, sizes = catalog.statements(schema)
        found, described = self._read(tables, params), self._read(columns, params)
        try:
            sized = self._read(sizes, params)
        except psycopg.errors.InsufficientPrivilege:
            sized = []
        return catalog.tables(found, described, sized)

    def _estimate(self, sql: str) -> Estimate:
        lines = [line for (line,) in self._read(f"EXPLAIN {sql}")]
        return redshift_plan.estimate(lines, self.credentials.is_serverless())

    def _error(self, exc: Exception) -> ConnectorError | None:
        return redshift_errors.error_for(exc)

    def _said(self, exc: Exception) -> str:
        return wire.said(exc)


CONNECTOR = Redshift
