"""One leg of a run: what its connection is asked, and its rows on their way into the store."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pyarrow as pa
import structlog

from connectors.base import Connector
from connectors.errors import ConnectorError, DataError, QueryCancelled
from connectors.result import Result
from connectors.types import Limits, RunStats
from warehouse import connections
from warehouse.connection_config import ConnectionConfig
from warehouse.errors import LegTooLarge
from warehouse.federation.conditions import EQUAL_SHARE, share
from warehouse.federation.keys import KeyFilter, narrowed
from warehouse.federation.split import Leg
from warehouse.hogql import tree
from warehouse.hogql.printing.printer import Printed, print_query
from warehouse.models import WarehouseConnection
from warehouse.store import client, ddl
from warehouse.store.load import types
from warehouse.store.names import quote

log = structlog.get_logger(__name__)

MAX_ROWS = 10_000_000
MAX_BYTES = 2 * 2**30
"""The most, in Arrow's form, that one leg may bring into the store."""
MAX_KEYS = 2_000
"""Of more, a list is no help: warehouses bound the length of a statement."""
FEW_ROWS = 10_000
"""A leg with more of them, by its estimate, is not waited for."""
TIMES_MORE = 4
COLUMN_BYTES = 8
"""Of one value, where all that is known of a table is how much of it would be scanned."""


class LegRun:
    """``stats`` and ``rows`` are known once ``bring`` has returned."""

    def __init__(
        self, leg: Leg, connection: WarehouseConnection, dialect: str, text: str, run_id: str
    ) -> None:
        self.leg = leg
        self.connection = connection
        self.rows = 0
        self.stats = RunStats()
        self._dialect = dialect
        self._text = text
        self._run_id = run_id
        self._after: list[tuple[KeyFilter, LegRun]] = []
        self._connector: Connector | None = None
        self._brought = threading.Event()
        self._cancelled = threading.Event()

    def estimated_rows(self) -> float | None:
        """As its connection's planner has it, or by what it would scan; ``None`` where that does
        not tell either."""
        printed = self._printed(self.leg.query)
        with connections.leased(self.connection) as lease:
            estimate = lease.connector.estimate(printed.sql, printed.params)
        if estimate.rows is not None:
            return estimate.rows
        if estimate.bytes_scanned is None or not isinstance(self.leg.query, tree.Select):
            return None
        rows = estimate.bytes_scanned / (COLUMN_BYTES * len(self.leg.query.columns))
        return rows * share(self.leg.query.where)

    def follow(self, one: KeyFilter, other: "LegRun") -> None:
        """Wait for that leg, and ask only for the rows that its keys let count."""
        self._after.append((one, other))

    def bring(self, database: str, limits: Limits) -> None:
        """Its rows into their table. Raises ConnectorError, which names the connection."""
        try:
            query = self._narrowed(database)
            with connections.leased(self.connection) as lease:
                self._connector = lease.connector
                self._refuse_cancelled()
                printed = self._printed(query)
                bounds = self._within(limits)
                with lease.connector.query(
                    printed.sql, printed.params, bounds, self._run_id
                ) as result:
                    self._write(database, result)
                    self.rows, self.stats = result.rows, result.stats
        except ConnectorError as exc:
            self.cancel()
            exc.fields = {**exc.fields, "connection": self.connection.name}
            raise
        finally:
            self._brought.set()
        log.info("leg.brought", run_id=self._run_id, rows=self.rows)

    def cancel(self) -> None:
        """End it, in its warehouse too; from another thread."""
        self._cancelled.set()
        if self._connector is not None:
            self._connector.cancel(self._run_id)

    def _refuse_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise QueryCancelled()

    def _within(self, limits: Limits) -> Limits:
        """What the connection allows counts here as in any query."""
        config = ConnectionConfig.parse(self.connection.config)
        timeout_s = min(config.timeout_s or limits.timeout_s, limits.timeout_s)
        return replace(limits, timeout_s=timeout_s, max_bytes_scanned=config.max_bytes_scanned)

    def _narrowed(self, database: str) -> tree.Query:
        query = self.leg.query
        for one, other in self._after:
            other._brought.wait()
            if other._cancelled.is_set():
                raise QueryCancelled()
            keys = _keys(database, one)
            if len(keys) <= MAX_KEYS and isinstance(query, tree.Select):
                query = narrowed(query, one.column, keys)
        return query

    def _printed(self, query: tree.Query) -> Printed:
        return print_query(query, self._dialect, self._text)

    def _write(self, database: str, result: Result) -> None:
        """The table is made of what has come, so that no value is changed."""
        table, owner = self.leg.table.name, client.owner()
        # By place: some warehouses change the case of a column's name.
        names = [name for name, _ in self.leg.query.columns]
        kinds = [field.type for field in result.schema]
        schema = pa.schema(list(zip(names, kinds, strict=True)))
        owner.command(ddl.create_scratch(database, table, types.columns(schema, ())))
        owner.insert(database, table, schema, _fitting(result, schema))
        if result.truncated:
            raise LegTooLarge(
                f"The part of the query that {self.connection.name} answers has more than "
                f"{MAX_ROWS:,} rows or {MAX_BYTES // 2**30} GB."
            )


def arranged(
    legs: list[LegRun], filters: tuple[KeyFilter, ...], estimates: list[float | None]
) -> list[LegRun]:
    """The legs, those with few rows first; others follow them where keys spare them most rows."""
    left = {leg: inf if rows is None else rows for leg, rows in zip(legs, estimates, strict=True)}
    found: list[LegRun] = []
    while left:
        first = min(left, key=lambda leg: left[leg])
        few = left.pop(first)
        found.append(first)
        for one in filters:
            leg = next((other for other in left if other.leg.table.name == one.table), None)
            is_spared = leg is not None and few <= FEW_ROWS and left[leg] >= few * TIMES_MORE
            if leg is not None and is_spared and one.from_table == first.leg.table.name:
                leg.follow(one, first)
                left[leg] *= EQUAL_SHARE
    return found


def _keys(database: str, one: KeyFilter) -> list[Any]:
    """The values that another leg has brought, or MAX_KEYS and one more."""
    column = quote(one.from_column)
    sql = (
        f"SELECT DISTINCT {column} FROM {quote(database)}.{quote(one.from_table)} "
        f"WHERE {column} IS NOT NULL LIMIT {MAX_KEYS + 1}"
    )
    with client.owner().query(sql) as rows:
        return list(rows.read_all().column(0).to_pylist())


def _fitting(result: Result, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Raises DataError for a value that the store cannot hold exactly."""
    for batch in result:
        made = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        for one in types.unfit(made):
            raise DataError(
                f"The store cannot hold {one.text} exactly.", fields={"column": one.column}
            )
        yield made
