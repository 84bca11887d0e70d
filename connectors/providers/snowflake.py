"""Snowflake, through snowflake-connector-python: live queries, and the target of pipelines."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from connectors.abilities import BulkLoad, Compare, Compared, StagedFiles
from connectors.drift import LoadPlan
from connectors.errors import (
    ConnectionLost,
    ConnectorError,
    CredentialsRejected,
    HostUnreachable,
    ObjectNotFound,
    ResourceUnusable,
)
from connectors.extract_query import QueryExtract
from connectors.loading import LOAD_TIMEOUT_S
from connectors.network import Endpoint
from connectors.prices import SnowflakePrices
from connectors.quarantine import Unfit
from connectors.result import Execution
from connectors.snowflake import access, auth, catalog, checksums
from connectors.snowflake import errors as snowflake_errors
from connectors.snowflake.columns import existing, existing_columns
from connectors.snowflake.credentials import DOMAINS, GRANTS, SnowflakeCredentials
from connectors.snowflake.fill import SnowflakeFill
from connectors.snowflake.load import Loader
from connectors.snowflake.query import SnowflakeExecution, bound_values, statement_settings
from connectors.snowflake.sql import ROOM, quoted
from connectors.types import (
    Basis,
    Capabilities,
    Cost,
    Estimate,
    Limits,
    LoadOutcome,
    LoadTarget,
    Manifest,
    Params,
    Table,
    TableFilter,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SIGN_IN_TIMEOUT_S = 10
GRACE_S = 3
SOCKET_TIMEOUT_S = 60
"""What a server may say nothing for: it keeps calls that wait for a result open for 45 s."""
REACH_S = 5
"""For so long it is tried to reach a server again that was there before."""
IDLE_S = 600.0
"""After so long without a query, a session is asked whether it still stands."""


class Snowflake(QueryExtract, SnowflakeFill, BulkLoad, Compare):
    """One Snowflake account; a call carries one statement (MULTI_STATEMENT_COUNT=1)."""

    provider = "snowflake"
    label = "Snowflake"
    domains = DOMAINS
    credentials_model = SnowflakeCredentials
    prices_model = SnowflakePrices
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
    grants = GRANTS
    time_types: ClassVar = {"instant": "TIMESTAMP_TZ", "time": "TIMESTAMP_NTZ", "day": "DATE"}
    tells_last_load = True
    compares_keys = True
    credentials: SnowflakeCredentials
    prices: SnowflakePrices
    _connection: "SnowflakeConnection"
    _role_refused: bool
    _is_silent: bool

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return (self.credentials.address(),)

    def _connect(self, addresses: tuple[str, ...]) -> None:
        from snowflake.connector.errors import DatabaseError

        self._is_silent, self._role_refused = False, False
        try:
            self._connection = self._sign_in(self.credentials.role)
        except DatabaseError as exc:
            if exc.errno not in snowflake_errors.ROLE_REFUSED:
                raise
            # The secret is right, which is for a check to say before it names the role.
            self._role_refused = True
            self._connection = self._sign_in(None)

    def _sign_in(self, role: str | None) -> "SnowflakeConnection":
        from snowflake import connector

        form, endpoint = self.credentials, self.credentials.address()
        way = form.way_in()
        return connector.connect(
            account=form.account,
            user=form.user,
            **auth.arguments(way, getattr(form, way), form.private_key_passphrase),
            host=endpoint.host,
            port=endpoint.port,
            protocol=form.protocol,
            warehouse=form.warehouse,
            database=form.database,
            schema=form.schema_,
            role=role,
            paramstyle="qmark",
            login_timeout=SIGN_IN_TIMEOUT_S,
            network_timeout=REACH_S,
            socket_timeout=SOCKET_TIMEOUT_S,
            backoff_policy=self._pauses,
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

    def _pauses(self) -> Iterator[float]:
        """Between the client's attempts to reach a server, in seconds; none once it is given up.

        Its own grow to 16 s: of ten attempts to have a part of a result, whoever waits for it
        would hear after two minutes that the connection is lost.
        """
        for pause in chain((0.1, 0.3, 0.6), repeat(1.0)):
            if self._is_silent:
                raise ConnectionLost
            yield pause

    def _refuse_a_half_session(self) -> None:
        """Snowflake lets people in without the places they asked for, to fail at a later time."""
        missing = ["role"] if self._role_refused else []
        places = ("database", "schema", "warehouse")
        missing += [name for name in places if getattr(self._connection, name) is None]
        for name in missing:
            raise ResourceUnusable(
                f"The {name} of this connection does not exist, or may not be used.",
                hint="Check its name, and that USAGE on it is granted to the role.",
                fields={name: "Does not exist, or is not granted to the role of this user."},
            )

    def _close(self) -> None:
        # Without: it would knock on for a minute where nobody answers any more.
        self._connection.close(retry=False)

    def _is_alive(self, idle_s: float) -> bool:
        return not self._is_silent and (idle_s < IDLE_S or self._connection.is_valid())

    def _usable(self) -> str:
        self._refuse_a_half_session()
        session = self._connection
        if error := access.asleep_for_good(str(session.warehouse), self._show):
            raise error
        return (
            f"role {session.role}, warehouse {session.warehouse}, "
            f"database {session.database}, schema {session.schema}"
        )

    def _may_write(self) -> bool | None:
        return access.may_write(str(self._connection.role), self._show)

    def _run(self, sql: str, params: Params = (), timeout_s: float = 60) -> "SnowflakeCursor":
        """Run one statement of our own to its end."""
        self._refuse_a_half_session()
        cursor = self._connection.cursor()
        settings = statement_settings(timeout_s, self.context.tags())
        # The client's own limit is for a server that does not keep to its: a call it ends looks
        # like one that somebody cancelled.
        limit = round(timeout_s) + GRACE_S
        cursor.execute(sql, bound_values(params) or None, timeout=limit, _statement_params=settings)
        return cursor

    def _show(self, sql: str) -> Sequence[Mapping[str, Any]]:
        cursor = self._run(sql)
        names = [column.name.lower() for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        self._refuse_a_half_session()
        return SnowflakeExecution(
            self._connection,
            sql,
            bound_values(params),
            limits,
            self.context.tags(run_id),
            self._fall_silent,
        )

    def _fall_silent(self) -> None:
        self._is_silent = True

    def _tables(self, wanted: TableFilter) -> list[Table]:
        """Bills the warehouse's seconds, and a minute where it was asleep: see the catalog."""
        found = self._run(*catalog.tables_read(wanted)).fetchall()
        if not found:
            return []
        schema, name = found[-1][:2]
        columns = self._run(*catalog.columns_read(wanted, (schema, name))).fetchall()
        database = str(self._connection.database)
        return catalog.tables(
            database, found, columns, self._show(catalog.keys_read(wanted, database))
        )

    def _estimate(self, sql: str, params: Params) -> Estimate:
        row = self._run("EXPLAIN USING JSON " + sql, params).fetchone()
        plan = json.loads(row[0] if isinstance(row, tuple) else "{}")
        scanned = plan.get("GlobalStats", {}).get("bytesAssigned")
        money, said = self.prices, f"{_BYTES} {self.prices}"
        if scanned is None:
            return Estimate(None, None, None, None, money.currency, Basis.UNKNOWN, said)
        price = money.of(int(scanned))
        return Estimate(
            int(scanned), None, price.low, price.high, money.currency, Basis.ROUGH, said
        )

    def _error(self, exc: Exception) -> ConnectorError | None:
        error = snowflake_errors.error_for(exc)
        if isinstance(error, CredentialsRejected):
            return auth.rejected(self.credentials.way_in())
        # The client has one number for a server that it cannot reach, whenever that is.
        return ConnectionLost() if self._open and isinstance(error, HostUnreachable) else error

    def _said(self, exc: Exception) -> str:
        return snowflake_errors.said(exc)

    # Extract

    def _path(self, *names: str) -> str:
        return quoted(*names)

    # BulkLoad

    @classmethod
    def stage_fault(cls, stage: str) -> str | None:
        return None if stage else "Name the external stage that the files are read from."

    def load(
        self, manifest: Manifest, target: LoadTarget, files: StagedFiles | None = None
    ) -> LoadOutcome:
        """The stage in Snowflake has the files, so nobody need hand them over."""
        with self._session():
            return Loader(self._run).load(manifest, target)

    def load_cost(self, seconds: float) -> Cost:
        spent = self.prices.of_time(Decimal(seconds))
        return Cost(spent.low, spent.high, self.prices.currency, Basis.ROUGH)

    def plan_load(
        self, schema: pa.Schema, primary_key: Sequence[str], target: LoadTarget
    ) -> LoadPlan:
        with self._session():
            return Loader(self._run).plan(schema, primary_key, target)

    @classmethod
    def unfit(cls, batch: pa.RecordBatch) -> list[Unfit]:
        return ROOM.unfit(batch)

    def has_loaded(self, target: LoadTarget) -> bool:
        with self._session():
            return Loader(self._run).has_loaded(target)

    def last_load(self, target: LoadTarget) -> str | None:
        with self._session():
            return Loader(self._run).last_load(target)

    # Compare

    def digests(self, schema: str, table: str, columns: pa.Schema) -> Mapping[str, bool]:
        target = LoadTarget(schema, table, stage="", fence=0)
        with self._session():
            there = existing(self._run(*existing_columns(target)).fetchall())
        if not there:
            raise ObjectNotFound(f"There is no table {schema}.{table} in the target.")
        return checksums.digestible(columns, there)

    def checksums(self, rows: Compared) -> Generator[pa.RecordBatch]:
        yield from self._all_rows(checksums.checksums(rows))

    def digested(
        self, rows: Compared, buckets: Sequence[int] | None = None
    ) -> Generator[pa.RecordBatch]:
        yield from self._all_rows(checksums.digested(rows, buckets))

    def _all_rows(self, sql: str) -> Generator[pa.RecordBatch]:
        with self.query(sql, limits=Limits(LOAD_TIMEOUT_S)) as result:
            yield from result


_BYTES = "Upper bound of bytes from EXPLAIN."

CONNECTOR = Snowflake
