"""Snowflake, through snowflake-connector-python: live queries, and the target of pipelines."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import errors, prices, snowflake_errors
from connectors import snowflake_sql as statements
from connectors.abilities import BulkLoad
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.errors import (
    ConnectorError,
    InvalidParameters,
    LoadMismatch,
    LoadSuperseded,
    ResourceUnusable,
    SchemaChanged,
)
from connectors.network import Endpoint
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Column,
    Estimate,
    Limits,
    LoadOutcome,
    LoadTarget,
    Manifest,
    Params,
    RunStats,
    Table,
    TableFilter,
)

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import ResultMetadata, SnowflakeCursor

DOMAINS = (".snowflakecomputing.com", ".snowflakecomputing.cn")
SIGN_IN_TIMEOUT_S = 10
GRACE_S = 3
LOAD_TIMEOUT_S = 4 * 3600


class SnowflakeCredentials(Credentials):
    """A user of one Snowflake account, with a password or a key pair."""

    receiver_fields: ClassVar = frozenset({"account", "host", "port", "protocol"})

    account: str = Field(
        title="Account", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,2}$",
        description="The account identifier, such as myorg-account1.",
    )  # fmt: skip
    user: str = Field(title="User", min_length=1, max_length=255)
    password: SecretStr | None = Field(None, title="Password")
    private_key: SecretStr | None = Field(
        None, title="Private key", description="PEM, PKCS#8, for key-pair sign-in."
    )
    private_key_passphrase: SecretStr | None = Field(None, title="Passphrase of the key")
    warehouse: str | None = Field(None, title="Warehouse", max_length=255)
    database: str = Field(title="Database", min_length=1, max_length=255)
    schema_: str = Field("PUBLIC", alias="schema", title="Schema", min_length=1, max_length=255)
    role: str | None = Field(None, title="Role", max_length=255)
    host: str | None = Field(None, title="Host", description="Only for private endpoints.")
    port: int = Field(443, title="Port", ge=1, le=65535)
    protocol: Literal["https", "http"] = Field("https", title="Protocol")

    @field_validator("private_key")
    @classmethod
    def _is_pem(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.search(
            r"-----BEGIN .*PRIVATE KEY", value.get_secret_value()
        ):
            raise ValueError("This is not a PEM private key.")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> "SnowflakeCredentials":
        if (self.password is None) == (self.private_key is None):
            raise ValueError("Give either a password or a private_key.")
        return self

    def address(self) -> Endpoint:
        """The host that serves the account."""
        host = self.host or f"{self.account}{DOMAINS[0]}"
        return Endpoint(host, self.port, tls=self.protocol == "https")

    def target(self) -> str:
        return f"{self.account}/{self.database}.{self.schema_}"


class Snowflake(Connector, BulkLoad):
    """One Snowflake account; a call carries one statement (MULTI_STATEMENT_COUNT=1)."""

    provider = "snowflake"
    label = "Snowflake"
    domains = DOMAINS
    credentials_model = SnowflakeCredentials
    capabilities: ClassVar = Capabilities(
        dialect="snowflake",
        folds_to="upper",
        cost_basis=Basis.ROUGH,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=False,
        refused_functions=frozenset(
            """nextval getnextval system$* identifier to_query infer_schema directory to_file
            try_to_file fl_* get_presigned_url get_stage_location get_absolute_path
            get_relative_path build_scoped_file_url build_stage_file_url ai_* *cortex.*""".split()
        ),
    )
    credentials: SnowflakeCredentials
    _connection: "SnowflakeConnection"

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return (self.credentials.address(),)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        from snowflake import connector

        form, endpoint = self.credentials, self.credentials.address()
        self._connection = connector.connect(
            account=form.account,
            user=form.user,
            **_sign_in(form),
            host=endpoint.host,
            port=endpoint.port,
            protocol=form.protocol,
            warehouse=form.warehouse,
            database=form.database,
            schema=form.schema_,
            role=form.role,
            paramstyle="qmark",
            login_timeout=SIGN_IN_TIMEOUT_S,
            network_timeout=SIGN_IN_TIMEOUT_S,
            # Otherwise the client asks cloud metadata addresses which cloud it runs in.
            platform_detection_timeout_seconds=0,
            # Otherwise NUMBER(p, s) comes as a double, and digits are lost.
            arrow_number_to_decimal=True,
            client_session_keep_alive=False,
            session_parameters={
                "CLIENT_TELEMETRY_ENABLED": False,
                "MULTI_STATEMENT_COUNT": 1,
                "QUERY_TAG": json.dumps(self.context.tags()),
                "TIMEZONE": "UTC",
            },
        )
        self._refuse_a_half_session()

    def _refuse_a_half_session(self) -> None:
        """Snowflake lets people in without the database and warehouse they asked for."""
        for name in ("database", "warehouse"):
            if getattr(self.credentials, name) and getattr(self._connection, name) is None:
                self._close()
                raise ResourceUnusable(
                    f"The {name} of this connection does not exist, or this role may not use it.",
                    fields={name: "Does not exist, or is not granted to the role."},
                )

    def _close(self) -> None:
        # Without: it would knock on for a minute where nobody answers any more.
        self._connection.close(retry=False)

    def _run(self, sql: str, params: Params = (), timeout_s: float = 60) -> "SnowflakeCursor":
        if isinstance(params, Mapping):
            raise InvalidParameters("Snowflake takes a list of values for the ? placeholders.")
        if any(isinstance(value, dict | list) for value in params):
            raise InvalidParameters("A parameter must be text, a number or a truth value.")
        cursor = self._connection.cursor()
        seconds = max(1, round(timeout_s))
        cursor.execute(
            sql,
            list(params) or None,
            # The client's own limit is for a server that does not keep to its: a call it ends
            # looks like one that somebody cancelled.
            timeout=seconds + GRACE_S,
            _statement_params={"STATEMENT_TIMEOUT_IN_SECONDS": str(seconds)},
        )
        return cursor

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        return SnowflakeExecution(lambda: self._run(sql, params, limits.timeout_s))

    def _tables(self, wanted: TableFilter) -> list[Table]:
        schema = wanted.schema
        columns: dict[tuple[str, str], list[Column]] = {}
        for row in self._run(_COLUMNS, (schema, schema)).fetchall():
            column = Column(row[2], row[3], row[4] == "YES", int(row[5]))
            columns.setdefault((row[0], row[1]), []).append(column)
        return [
            Table(
                catalog=self.credentials.database,
                schema=name,
                name=table,
                kind="view" if "VIEW" in kind else "table",
                columns=tuple(columns.get((name, table), ())),
                row_count=rows,
                size_bytes=size,
            )
            for name, table, kind, rows, size in self._run(_TABLES, (schema, schema)).fetchall()
        ]

    def _estimate(self, sql: str) -> Estimate:
        row = self._run("EXPLAIN USING JSON " + sql).fetchone()
        plan = json.loads(row[0] if isinstance(row, tuple) else "{}")
        scanned = plan.get("GlobalStats", {}).get("bytesAssigned")
        if scanned is None:
            return Estimate(None, None, None, None, prices.CURRENCY, Basis.UNKNOWN, _PRICE)
        price = prices.snowflake(int(scanned))
        return Estimate(
            int(scanned), None, price.low, price.high, prices.CURRENCY, Basis.ROUGH, _PRICE
        )

    def _error(self, exc: Exception) -> ConnectorError | None:
        return snowflake_errors.error_for(exc)

    def _said(self, exc: Exception) -> str:
        return snowflake_errors.said(exc)

    # BulkLoad

    def load(self, manifest: Manifest, target: LoadTarget) -> LoadOutcome:
        with self._session():
            self._run(statements.create_ledger(target.schema))
            self._run(statements.create_target(target, manifest))
            self._compare(manifest, target)
            known = self._run(*statements.known_load(target, manifest.load_id)).fetchone()
            if known is None:
                self._load(manifest, target)
            return LoadOutcome(self._count(target), already_loaded=known is not None)

    def _load(self, manifest: Manifest, target: LoadTarget) -> None:
        staging = f"WAREHOUSE_STAGING_{manifest.load_id.replace('-', '_')}"
        # Data definition commits an open transaction, so all of it comes before BEGIN.
        self._run(statements.create_staging(target, staging, manifest))
        staged = sum(
            _rows_loaded(self._run(sql, timeout_s=LOAD_TIMEOUT_S))
            for sql in statements.copies(target, staging, manifest)
        )
        _agree(staged, manifest, "COPY read")
        with self._transaction():
            merged = self._run(
                statements.merge(target, staging, manifest), timeout_s=LOAD_TIMEOUT_S
            ).fetchone()
            _agree(sum(merged) if isinstance(merged, tuple) else 0, manifest, "MERGE wrote")
            if self._run(*statements.remember(target, manifest)).rowcount != 1:
                raise LoadSuperseded()
        self._run(f"DROP TABLE IF EXISTS {statements.quoted(target.schema, staging)}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def has_loaded(self, target: LoadTarget) -> bool:
        with self._session():
            self._run(statements.create_ledger(target.schema))
            there = self._run(*statements.existing_columns(target)).fetchone()
            known = self._run(*statements.loads_into(target)).fetchone()
        return there is not None and known is not None

    def _compare(self, manifest: Manifest, target: LoadTarget) -> None:
        existing = self._run(*statements.existing_columns(target)).fetchall()
        rows = [row for row in existing if isinstance(row, tuple)]
        if found := statements.differences(manifest, rows):
            raise SchemaChanged(fields=found)

    def _count(self, target: LoadTarget) -> int:
        row = self._run(statements.count(target.schema, target.table)).fetchone()
        return int(row[0]) if isinstance(row, tuple) else 0


class SnowflakeExecution(Execution):
    """A finished query; its chunks are downloaded and decoded as they are asked for."""

    def __init__(self, run: Callable[[], "SnowflakeCursor"]) -> None:
        self._run = run
        self._cursor: Any = None

    def start(self) -> None:
        self._cursor = self._run()
        self.schema = arrow_schema(self._cursor.description or [])

    def batches(self) -> Iterator[pa.RecordBatch]:
        if not self._cursor.rowcount:
            # The client cannot make a table of no batch.
            return
        for table in self._cursor.fetch_arrow_batches(force_microsecond_precision=True):
            columns = [table.column(i).cast(f.type) for i, f in enumerate(self.schema)]
            yield from pa.Table.from_arrays(columns, schema=self.schema).to_batches()

    def stats(self) -> RunStats:
        return RunStats(vendor_query_id=self._cursor.sfqid)

    def cancel(self) -> None:
        if self._cursor is not None:
            self._cursor.abort_query(self._cursor.sfqid)

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()


_TABLES = """
SELECT table_schema, table_name, table_type, row_count, bytes
FROM information_schema.tables
WHERE table_schema <> 'INFORMATION_SCHEMA' AND (? IS NULL OR table_schema = ?)
ORDER BY 1, 2
"""

_COLUMNS = """
SELECT table_schema, table_name, column_name, data_type, is_nullable, ordinal_position
FROM information_schema.columns
WHERE table_schema <> 'INFORMATION_SCHEMA' AND (? IS NULL OR table_schema = ?)
ORDER BY 1, 2, 6
"""

_PRICE = (
    "Upper bound of bytes from EXPLAIN; low and high price are seconds at an assumed scan speed, "
    f"and a minute of a warehouse resumed for it, by list prices of {prices.AS_OF}."
)

SCALARS: dict[str, pa.DataType] = {
    "BINARY": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "REAL": pa.float64(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", tz="UTC"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_TZ": pa.timestamp("us", tz="UTC"),
}
"""Types that Arrow holds; VARIANT, OBJECT, ARRAY, GEOGRAPHY and text arrive as text."""


def arrow_schema(description: "Sequence[ResultMetadata]") -> pa.Schema:
    """The Arrow schema of a result, the same whatever widths its chunks were packed to."""
    return pa.schema([pa.field(column.name, _arrow_type(column)) for column in description])


def _arrow_type(column: "ResultMetadata") -> pa.DataType:
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    name = FIELD_ID_TO_NAME[column.type_code]
    if name == "FIXED":
        precision, scale = column.precision or 38, column.scale or 0
        small = scale == 0 and precision <= 18
        return pa.int64() if small else pa.decimal128(precision, scale)
    return SCALARS.get(name, pa.string())


def _sign_in(form: SnowflakeCredentials) -> dict[str, Any]:
    if form.private_key is None:
        return {"password": form.password.get_secret_value() if form.password else ""}
    return {"authenticator": "SNOWFLAKE_JWT", "private_key": _private_key(form)}


def _private_key(form: SnowflakeCredentials) -> bytes:
    """The key in the form the client wants: DER, PKCS#8, unencrypted, in memory only."""
    from cryptography.hazmat.primitives import serialization

    pem = form.private_key.get_secret_value().encode() if form.private_key else b""
    phrase = form.private_key_passphrase
    try:
        key = serialization.load_pem_private_key(
            pem, password=phrase.get_secret_value().encode() if phrase else None
        )
    except (ValueError, TypeError) as exc:
        raise errors.CredentialsRejected("The private key or its passphrase is wrong.") from exc
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _rows_loaded(cursor: "SnowflakeCursor") -> int:
    names = [column.name.lower() for column in cursor.description or ()]
    if "rows_loaded" not in names:
        # COPY that finds nothing to do answers with one sentence instead of a row per file.
        return 0
    position = names.index("rows_loaded")
    return sum(int(row[position]) for row in cursor.fetchall() if isinstance(row, tuple))


def _agree(rows: int, manifest: Manifest, what: str) -> None:
    if rows != manifest.rows:
        raise LoadMismatch(f"{what} {rows:,} rows where the manifest has {manifest.rows:,}.")


CONNECTOR = Snowflake
