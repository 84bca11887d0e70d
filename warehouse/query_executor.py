"""The only door to a warehouse's data: price, run and explore on behalf of a team."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Self

import pyarrow as pa
import structlog

from connectors.base import Connector
from connectors.result import Result
from connectors.types import Estimate, Limits, Params, RunStats, Table
from warehouse import conf, connections
from warehouse.connections import ConnectionConfig
from warehouse.models import WarehouseConnection

MAX_RESULT_BYTES = 100 * 2**20
"""Rows that take more, in Arrow's form, are cut off, and the answer says so."""

log = structlog.get_logger(__name__)


def list_tables(connection: WarehouseConnection, schema: str | None = None) -> list[Table]:
    """The connection's tables, from metadata only."""
    with connections.opened(connection) as connector:
        return connector.fetch_tables(schema)


def estimate(connection: WarehouseConnection, sql: str) -> Estimate:
    """What a query would read and cost, without running it."""
    with connections.opened(connection) as connector:
        return connector.estimate(sql)


def run(
    connection: WarehouseConnection, sql: str, params: Params = (), max_rows: int | None = None
) -> "QueryRun":
    """One read-only query, to be started, iterated for its batches, and closed."""
    run_id = str(uuid.uuid4())
    limits = limits_for(connection, max_rows)
    with ExitStack() as stack:
        connector = stack.enter_context(connections.opened(connection))
        start = partial(connector.query, sql, params, limits, run_id)
        return QueryRun(run_id, str(connection.pk), connector, start, stack.pop_all())


def limits_for(connection: WarehouseConnection, max_rows: int | None) -> Limits:
    """The tightest of what the caller, the connection and the service allow."""
    config = ConnectionConfig.parse(connection.config)
    rows = [conf.query_max_rows(), config.max_rows, max_rows]
    return Limits(
        timeout_s=config.timeout_s or conf.query_timeout_s(),
        max_rows=min(bound for bound in rows if bound is not None),
        max_bytes_returned=MAX_RESULT_BYTES,
        max_bytes_scanned=config.max_bytes_scanned,
    )


class QueryRun:
    """A query: its schema once it has started, its rows by iterating, its totals at the end."""

    def __init__(
        self,
        run_id: str,
        connection: str,
        connector: Connector,
        start: Callable[[], Result],
        resources: ExitStack,
    ) -> None:
        self.run_id = run_id
        self._connection = connection
        self._connector = connector
        self._start = start
        self._resources = resources

    def start(self) -> None:
        """Send it, and return when its first rows can be read; raises ConnectorError."""
        log.info("query.started", run_id=self.run_id, connection=self._connection)
        self._result = self._resources.enter_context(self._start())

    @property
    def schema(self) -> pa.Schema:
        return self._result.schema

    @property
    def rows(self) -> int:
        return self._result.rows

    @property
    def truncated(self) -> bool:
        return self._result.truncated

    @property
    def stats(self) -> RunStats:
        return self._result.stats

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._result
        log.info("query.finished", run_id=self.run_id, rows=self.rows, truncated=self.truncated)

    def cancel(self) -> bool:
        """End the query in the warehouse, from another thread; its reader gets QueryCancelled.

        False while it has not been started yet.
        """
        reached = self._connector.cancel(self.run_id)
        log.info("query.cancelled", run_id=self.run_id, reached=reached)
        return reached

    def close(self) -> None:
        """End the query if it still runs, and free its session."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
