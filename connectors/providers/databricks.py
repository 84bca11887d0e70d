"""Databricks SQL warehouses, through databricks-sql-connector over Thrift and Arrow.

Types, as a result has them; what Arrow cannot hold exactly arrives as the server's own text:

| Databricks                      | Arrow                | exact                            |
|---------------------------------|----------------------|----------------------------------|
| BOOLEAN                         | bool                 | yes                              |
| TINYINT, SMALLINT, INT, BIGINT  | int8 … int64         | yes                              |
| FLOAT, DOUBLE                   | float, double        | yes, NaN and ±Infinity as well   |
| DECIMAL(p, s)                   | decimal128(p, s)     | yes                              |
| DATE                            | date32               | yes                              |
| TIMESTAMP                       | timestamp[us], UTC   | yes, as the instant              |
| TIMESTAMP_NTZ                   | timestamp[us]        | yes                              |
| STRING, CHAR, VARCHAR           | string               | yes                              |
| BINARY                          | binary               | yes                              |
| ARRAY, MAP, STRUCT, VARIANT     | string               | JSON text                        |
| INTERVAL                        | string               | text                             |
| GEOMETRY, GEOGRAPHY             | string               | EWKT                             |
| VOID                            | string               | NULL                             |
"""

import logging
import re
from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors import databricks_errors, databricks_guard, databricks_plan, errors, prices
from connectors.base import Connector
from connectors.credentials import Credentials
from connectors.databricks_auth import SignIn
from connectors.databricks_statement import FETCH_BYTES, FETCH_ROWS, DatabricksExecution
from connectors.errors import ConnectorError, HostRefused, InvalidParameters
from connectors.network import Endpoint
from connectors.result import Execution
from connectors.types import (
    Basis,
    Capabilities,
    Column,
    Estimate,
    Limits,
    Params,
    Table,
)

DOMAINS = (
    ".databricks.com",
    ".databricks.us",
    ".azuredatabricks.net",
    ".databricks.azure.us",
    ".databricks.azure.cn",
)
PATH = r"/?sql/[A-Za-z0-9._-]+(/[A-Za-z0-9_-]+)+/?(\?o=\d+)?"
PYFORMAT = re.compile(r"%\(\w+\)s")
PRINTABLE = re.compile(r"[\x21-\x7e]+")
SOCKET_TIMEOUT_S = 10
METADATA_TIMEOUT_S = 30.0
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 1, 172_800


class DatabricksCredentials(Credentials):
    """A SQL warehouse, with a personal access token or a service principal's id and secret."""

    host: str = Field(
        title="Server hostname", pattern=r"^[A-Za-z0-9.-]{1,253}$",
        description="Without https://, such as dbc-a1b2c3d4-e5f6.cloud.databricks.com.",
    )  # fmt: skip
    http_path: str = Field(
        title="HTTP path", pattern=rf"^{PATH}$", examples=["/sql/1.0/warehouses/a1b2c3d4e5f6a7b8"]
    )
    token: SecretStr | None = Field(None, title="Personal access token")
    client_id: str | None = Field(
        None, title="Client id", min_length=1, max_length=255,
        description="Of a service principal, for OAuth.",
    )  # fmt: skip
    client_secret: SecretStr | None = Field(None, title="Client secret")
    catalog: str = Field(title="Catalog", min_length=1, max_length=255)
    schema_: str = Field("default", alias="schema", title="Schema", min_length=1, max_length=255)
    port: int = Field(443, title="Port", ge=1, le=65535)
    protocol: Literal["https", "http"] = Field("https", title="Protocol")

    @field_validator("token", "client_secret")
    @classmethod
    def _fits_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not PRINTABLE.fullmatch(value.get_secret_value()):
            raise ValueError("This secret has no blanks, line breaks or special letters in it.")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> "DatabricksCredentials":
        principal = (self.client_id is None, self.client_secret is None)
        if principal not in ((True, True), (False, False)):
            raise ValueError("Give both client_id and client_secret.")
        if (self.token is None) == (self.client_id is None):
            raise ValueError("Give either a token or a client_id with its client_secret.")
        return self

    def address(self) -> Endpoint:
        """The host that serves the warehouse, and hands out tokens for it."""
        return Endpoint(self.host, self.port)

    def url(self) -> str:
        """The host as the beginning of an address."""
        return f"{self.protocol}://{self.host}:{self.port}"

    def target(self) -> str:
        return f"{self.host}/{self.catalog}.{self.schema_}"


class Databricks(Connector):
    """One SQL warehouse. Writes are refused by the role: there is no read-only session."""

    provider = "databricks"
    label = "Databricks"
    credentials_model = DatabricksCredentials
    capabilities: ClassVar = Capabilities(
        dialect=databricks_guard.DIALECT,
        folds_to="lower",
        cost_basis=Basis.ROUGH,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=False,
        refused_functions=databricks_guard.REFUSED_FUNCTIONS,
    )
    credentials: DatabricksCredentials
    # The client's own annotations are partial.
    _connection: Any
    _statement_timeout_s: int

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._starting: dict[str, DatabricksExecution] = {}

    def cancel(self, run_id: str) -> bool:
        """End a running query in the warehouse, before its first row as well."""
        starting = self._starting.get(run_id)
        if starting is None:
            return super().cancel(run_id)
        with self._mapped():
            starting.cancel()
        return True

    def _guard(self, sql: str) -> None:
        super()._guard(sql)
        databricks_guard.check(sql)

    def _bound(self, sql: str, params: Params) -> tuple[str, Params]:
        # The client would rewrite these, even within a literal, after the text has been judged.
        if isinstance(params, Mapping) and PYFORMAT.search(sql):
            raise InvalidParameters(hint="Write :name for a named value.")
        # The client would send them as an array of numbers.
        values = params.values() if isinstance(params, Mapping) else params
        if any(isinstance(value, bytes | bytearray | memoryview) for value in values):
            raise InvalidParameters(hint="Send bytes as text and use unhex() or unbase64().")
        return sql, params

    def _endpoints(self) -> tuple[Endpoint, ...]:
        form, endpoint = self.credentials, self.credentials.address()
        vendor = endpoint.host.lower().endswith(DOMAINS) and form.protocol == "https"
        if not vendor and not self.network.allows(endpoint):
            raise HostRefused("That host is not Databricks'.")
        return (endpoint,)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        from databricks import sql
        from databricks.sql.backend.thrift_backend import unsafe_logger

        # It would log every request, statements and values included.
        unsafe_logger.setLevel(logging.CRITICAL)
        form = self.credentials
        sign_in = SignIn(form, form.url())
        # Now, so that a refused secret is a failed sign-in and not a failed request.
        sign_in.headers()
        self._statement_timeout_s = _whole_seconds(Limits().timeout_s)
        self._connection = sql.connect(
            server_hostname=form.host,
            http_path=form.http_path,
            catalog=form.catalog,
            schema=form.schema_,
            credentials_provider=sign_in,
            session_configuration={
                "ANSI_MODE": "true",
                "STATEMENT_TIMEOUT": str(self._statement_timeout_s),
                "TIMEZONE": "UTC",
            },
            user_agent_entry=self.context.service,
            # It would report to a control plane, and wait for it.
            enable_telemetry=False,
            # Results would come from addresses that no network guard has seen.
            use_cloud_fetch=False,
            use_inline_params=False,
            _use_arrow_native_complex_types=False,
            _connection_uri=f"{form.url()}/{form.http_path.lstrip('/')}",
            _socket_timeout=SOCKET_TIMEOUT_S,
            **_RETRIES,
        )

    def _close(self) -> None:
        connection = self._connection
        # Its socket stays open for as long as there is a reference to it.
        del self._connection
        connection.close()

    def _execute(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        self._limit_time(limits.timeout_s)
        # One more than wanted, so that a cut is seen.
        most = None if limits.max_rows is None else limits.max_rows + 1
        execution = DatabricksExecution(self._cursor(row_limit=most))
        tags = self.context.tags()
        if run_id:
            tags["run"] = run_id
            self._starting[run_id] = execution
        try:
            execution.run(sql, params, limits.timeout_s, tags)
        finally:
            self._starting.pop(run_id, None)
        return execution

    def _cursor(self, row_limit: int | None = None) -> Any:
        cursor = self._connection.cursor(FETCH_ROWS, FETCH_BYTES, row_limit)
        # It would keep every cursor for as long as it lives; ours are closed by who opened them.
        self._connection._cursors.clear()
        return cursor

    def _read(self, sql: str) -> pa.Table:
        """All rows of a short statement of our own."""
        execution = DatabricksExecution(self._cursor())
        try:
            execution.run(sql, (), METADATA_TIMEOUT_S, self.context.tags())
            return pa.Table.from_batches(execution.batches(), schema=execution.schema)
        finally:
            execution.close()

    def _limit_time(self, timeout_s: float) -> None:
        seconds = _whole_seconds(timeout_s)
        if seconds != self._statement_timeout_s:
            self._read(f"SET STATEMENT_TIMEOUT = {seconds}")
            self._statement_timeout_s = seconds

    def _tables(self, schema: str | None) -> list[Table]:
        catalog = self.credentials.catalog
        columns: dict[tuple[str, str], list[Column]] = {}
        for row in self._metadata("columns", schema):
            of_table = columns.setdefault((row["TABLE_SCHEM"], row["TABLE_NAME"]), [])
            nullable = {0: False, 1: True}.get(row["NULLABLE"])
            position = len(of_table) + 1
            of_table.append(Column(row["COLUMN_NAME"], row["TYPE_NAME"], nullable, position))
        return [
            Table(
                catalog=catalog,
                schema=row["TABLE_SCHEM"],
                name=row["TABLE_NAME"],
                kind=(row["TABLE_TYPE"] or "table").lower().replace("_", " "),
                columns=tuple(columns.get((row["TABLE_SCHEM"], row["TABLE_NAME"]), ())),
            )
            for row in self._metadata("tables", schema)
        ]

    def _metadata(self, what: str, schema: str | None) -> list[dict[str, Any]]:
        """The answer of one metadata call about this catalog, in order."""
        catalog = self.credentials.catalog
        with self._cursor() as cursor:
            getattr(cursor, what)(catalog_name=catalog, schema_name=schema)
            answer = cursor.fetchall_arrow()
        found = [
            row
            for row in answer.select(_METADATA[what]).to_pylist()
            # The names of the call are patterns: an underscore fits any letter.
            if (row["TABLE_CAT"] or catalog).lower() == catalog.lower()
            and row["TABLE_SCHEM"] != "information_schema"
            and schema in (None, row["TABLE_SCHEM"])
        ]
        return sorted(found, key=_place)

    def _estimate(self, sql: str) -> Estimate:
        text = "\n".join(self._read("EXPLAIN COST " + sql).column(0).to_pylist())
        if (message := databricks_plan.error_in(text)) is not None:
            raise (databricks_errors.by_text(message) or errors.SqlInvalid)()
        scanned = databricks_plan.bytes_scanned(text)
        if scanned is None:
            return Estimate(None, None, None, None, prices.CURRENCY, Basis.UNKNOWN, _PRICE)
        price = prices.databricks(scanned)
        return Estimate(scanned, None, price.low, price.high, prices.CURRENCY, Basis.ROUGH, _PRICE)

    def _error(self, exc: Exception) -> ConnectorError | None:
        return databricks_errors.error_for(exc, is_open=self._open)

    def _said(self, exc: Exception) -> str:
        return databricks_errors.said(exc)


_METADATA = {
    "tables": ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE"],
    "columns": [
        "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "ORDINAL_POSITION",
        "COLUMN_NAME", "TYPE_NAME", "NULLABLE",
    ],
}  # fmt: skip
"""The columns that we read of each metadata call."""

_RETRIES = {
    # A request that fails is sent twice more, within a second; and answers of 429 or 503, for
    # which the client would sleep five seconds at least, are the caller's to try again.
    "_retry_stop_after_attempts_count": 2,
    "_retry_stop_after_attempts_duration": 1,
    "_retry_delay_min": 0.1,
    "_retry_delay_max": 5,
    "_retry_delay_default": 1,
    "_respect_server_retry_after_header": True,
}

_PRICE = (
    "Size of the tables read, from EXPLAIN COST; low and high price are the seconds that a "
    "2X-Small warehouse scans them at an assumed speed, at list prices a DBU of classic and "
    f"serverless compute ({prices.AS_OF})."
)


def _place(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["TABLE_SCHEM"], row["TABLE_NAME"], row.get("ORDINAL_POSITION") or 0


def _whole_seconds(timeout_s: float) -> int:
    """Seconds as STATEMENT_TIMEOUT takes them."""
    return min(max(SHORTEST_TIMEOUT_S, ceil(timeout_s)), LONGEST_TIMEOUT_S)


CONNECTOR = Databricks
