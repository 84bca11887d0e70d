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
from typing import Any, ClassVar

import pyarrow as pa

from connectors import errors
from connectors.databricks import access as databricks_access
from connectors.databricks import auth as databricks_auth
from connectors.databricks import catalog as databricks_catalog
from connectors.databricks import errors as databricks_errors
from connectors.databricks import guard as databricks_guard
from connectors.databricks import plan as databricks_plan
from connectors.databricks.auth import CredentialsProvider
from connectors.databricks.credentials import GRANTS, DatabricksCredentials
from connectors.databricks.statement import FETCH_BYTES, FETCH_ROWS, DatabricksExecution
from connectors.errors import (
    ConnectorError,
    CredentialsRejected,
    InvalidParameters,
    ResourceUnusable,
)
from connectors.extract_query import QueryExtract
from connectors.network import Endpoint
from connectors.prices import DatabricksPrices
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

DOMAINS = (
    ".databricks.com",
    ".databricks.us",
    ".azuredatabricks.net",
    ".databricks.azure.us",
    ".databricks.azure.cn",
)
PYFORMAT = re.compile(r"%\(\w+\)s")
SOCKET_TIMEOUT_S = 10
METADATA_TIMEOUT_S = 30.0
IDLE_S = 60.0
"""A session that has rested this long may have been ended, so it is asked first."""
SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 1, 172_800


class Databricks(QueryExtract):
    """One SQL warehouse. Writes are refused by the role: there is no read-only session."""

    provider = "databricks"
    label = "Databricks"
    domains = DOMAINS
    credentials_model = DatabricksCredentials
    prices_model = DatabricksPrices
    capabilities: ClassVar = Capabilities(
        dialect=databricks_guard.DIALECT,
        folds_to="lower",
        cost_basis=Basis.ROUGH,
        limits_time=True,
        limits_bytes_scanned=False,
        read_only_session=False,
        refused_functions=databricks_guard.REFUSED_FUNCTIONS,
    )
    grants = GRANTS
    time_types: ClassVar = {"instant": "TIMESTAMP", "time": "TIMESTAMP_NTZ", "day": "DATE"}
    credentials: DatabricksCredentials
    prices: DatabricksPrices
    # The client's own annotations are partial.
    _connection: Any
    _unusable: ResourceUnusable | None
    """Why there is no connection, although the secret is right."""
    _statement_timeout_s: int

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
        return (self.credentials.address(),)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        from databricks.sql.exc import Error

        provider = CredentialsProvider(self.credentials, self.credentials.url())
        # Now, so that a refused secret is a failed sign-in and not a failed request.
        provider.headers()
        self._connection = self._unusable = None
        try:
            self._connection = self._opened(provider)
        except Error as exc:
            has_token = self.credentials.client_id is not None
            self._unusable = databricks_access.refused(exc, has_token=has_token)
            if self._unusable is None:
                raise
            # The secret is right, which is for a check to say before it names the place.
            self._log(exc, self._unusable)

    def _opened(self, provider: CredentialsProvider) -> Any:
        from databricks import sql
        from databricks.sql.backend.thrift_backend import unsafe_logger

        # It would log every request, statements and values included.
        unsafe_logger.setLevel(logging.CRITICAL)
        form = self.credentials
        self._statement_timeout_s = _whole_seconds(Limits().timeout_s)
        return sql.connect(
            server_hostname=form.host,
            http_path=form.http_path,
            catalog=form.catalog,
            schema=form.schema_,
            credentials_provider=provider,
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
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        finally:
            # The client leaves its sockets open for as long as anybody has a cursor of it.
            _sockets(connection).close()

    def _give_up(self) -> None:
        if self._connection is not None:
            # The request under way ends by its own timeout, and is not sent again.
            _sockets(self._connection).close()

    def _is_alive(self, idle_s: float) -> bool:
        return idle_s < IDLE_S or self._answers()

    def _answers(self) -> bool:
        from databricks.sql.exc import Error
        from urllib3.exceptions import HTTPError

        try:
            self._names("schemas", "TABLE_SCHEM", schema_name=self.credentials.schema_)
        except (Error, HTTPError, ConnectorError):
            return False
        return True

    def _usable(self) -> str:
        """Two metadata calls; a warehouse that sleeps is woken, and bills from then on."""
        form = self.credentials
        if not _has(self._names("catalogs", "TABLE_CAT"), form.catalog):
            raise databricks_access.unusable("catalog")
        if not _has(self._names("schemas", "TABLE_SCHEM", catalog_name=form.catalog), form.schema_):
            raise databricks_access.unusable("schema")
        warehouse = form.http_path.partition("?")[0].rstrip("/").rpartition("/")[2]
        return f"warehouse {warehouse}, catalog {form.catalog}, schema {form.schema_}"

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        self._limit_time(limits.timeout_s)
        # One more than wanted, so that a cut is seen.
        most = None if limits.max_rows is None else limits.max_rows + 1
        tags = self.context.tags(run_id)
        return DatabricksExecution(self._cursor(most), sql, params, limits.timeout_s, tags)

    def _cursor(self, row_limit: int | None = None) -> Any:
        if self._unusable is not None:
            # The next verb tries again: it may be made or granted meanwhile.
            self._drop()
            raise self._unusable
        cursor = self._connection.cursor(FETCH_ROWS, FETCH_BYTES, row_limit)
        # It would keep every cursor for as long as it lives; ours are closed by who opened them.
        self._connection._cursors.clear()
        return cursor

    def _read(self, sql: str, params: Params = ()) -> pa.Table:
        """All rows of a short statement of our own."""
        tags = self.context.tags()
        execution = DatabricksExecution(self._cursor(), sql, params, METADATA_TIMEOUT_S, tags)
        try:
            execution.start()
            return pa.Table.from_batches(execution.batches(), schema=execution.schema)
        finally:
            execution.close()

    def _limit_time(self, timeout_s: float) -> None:
        seconds = _whole_seconds(timeout_s)
        if seconds != self._statement_timeout_s:
            self._read(f"SET STATEMENT_TIMEOUT = {seconds}")
            self._statement_timeout_s = seconds

    def _tables(self, wanted: TableFilter) -> list[Table]:
        """Two metadata calls; a warehouse that sleeps is woken, and bills from then on.

        They tell neither keys, nor rows, nor sizes.
        """
        catalog = self.credentials.catalog
        asked = databricks_catalog.patterns(wanted)
        answer = self._metadata("tables", catalog_name=catalog, **asked._asdict())
        found = databricks_catalog.listed(answer, catalog, wanted)
        if not found:
            return []
        asked = databricks_catalog.columns_of(found, asked)
        answer = self._metadata("columns", catalog_name=catalog, **asked._asdict())
        return databricks_catalog.tables(catalog, found, answer)

    def _metadata(self, what: str, **patterns: str | None) -> pa.Table:
        """The answer of one metadata call of the client's."""
        with self._cursor() as cursor:
            getattr(cursor, what)(**patterns)
            return cursor.fetchall_arrow()

    def _names(self, what: str, column: str, **patterns: str) -> list[str]:
        """One column of the answer of a metadata call."""
        names: list[str] = self._metadata(what, **patterns).column(column).to_pylist()
        return names

    def _estimate(self, sql: str, params: Params) -> Estimate:
        text = "\n".join(self._read("EXPLAIN COST " + sql, params).column(0).to_pylist())
        if (message := databricks_plan.error_in(text)) is not None:
            kind = databricks_errors.by_text(message) or errors.SqlInvalid
            raise kind() from RuntimeError(message)
        scanned = databricks_plan.bytes_scanned(text)
        money, said = self.prices, f"{_BYTES} {self.prices}"
        if scanned is None:
            return Estimate(None, None, None, None, money.currency, Basis.UNKNOWN, said)
        price = money.of(scanned)
        return Estimate(scanned, None, price.low, price.high, money.currency, Basis.ROUGH, said)

    def _error(self, exc: Exception) -> ConnectorError | None:
        error = databricks_errors.error_for(exc, is_open=self._open)
        return (
            databricks_auth.rejected(self.credentials)
            if isinstance(error, CredentialsRejected)
            else error
        )

    def _said(self, exc: Exception) -> str:
        return databricks_errors.said(exc)

    # Extract

    def _path(self, *names: str) -> str:
        return databricks_catalog.quoted(*names)


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

_BYTES = "Size of the tables read, from EXPLAIN COST."


def _has(names: list[str], name: str) -> bool:
    """Among them, in any case: names of catalogs and schemas are kept in lower case."""
    return name.lower() in {one.lower() for one in names}


def _whole_seconds(timeout_s: float) -> int:
    """Seconds as STATEMENT_TIMEOUT takes them."""
    return min(max(SHORTEST_TIMEOUT_S, ceil(timeout_s)), LONGEST_TIMEOUT_S)


def _sockets(connection: Any) -> Any:
    """The pool of the client's HTTP connections, which it offers no way to."""
    return connection.session.backend._transport._THttpClient__pool


CONNECTOR = Databricks
