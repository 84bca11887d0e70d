"""One leg of a run: what its connection is asked, and its rows on their way into the store."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from math import inf
from typing import Any

import pyarrow as pa
import structlog
from django.db import connection as database_connection

from connectors.base import Connector
from connectors.errors import ConnectorError, QueryCancelled, WarehouseBusy
from connectors.result import Result
from connectors.types import Estimate, Limits, RunStats
from warehouse import arriving, connections, modes
from warehouse.direct import DirectRun
from warehouse.errors import LegTooLarge
from warehouse.federation import sizes
from warehouse.federation.conditions import EQUAL_SHARE
from warehouse.federation.keys import MAX_KEYS, KeyFilter, narrowed
from warehouse.federation.split import Leg
from warehouse.hogql import tree
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.tables import tables
from warehouse.hybrid.run import HybridRun, label_of, wish_for
from warehouse.limits import limits_of_part
from warehouse.models import WarehouseConnection
from warehouse.pool import Lease
from warehouse.runs import Origin, Run
from warehouse.statements import Statement
from warehouse.store import client, ddl
from warehouse.store.load import types
from warehouse.store.names import quote

log = structlog.get_logger(__name__)

MAX_ROWS = 10_000_000
MAX_BYTES = 2 * 2**30
"""The most, in Arrow's form, that one leg may bring into the store."""
MAX_TOGETHER = 4 * 2**30
"""The most that all legs of a run may, likewise."""
FEW_ROWS = 10_000
"""A leg with more of them, by its estimate, is not waited for."""
TIMES_MORE = 50
"""A key in a statement costs its reader more than a row costs that comes."""


@contextmanager
def told_of(connection: WarehouseConnection) -> Iterator[None]:
    """What goes wrong over a connection names it."""
    try:
        yield
    except ConnectorError as exc:
        exc.fields = {**exc.fields, "connection": connection.name}
        raise


class Room:
    """What the legs of a run may bring together; they share it."""

    def __init__(self) -> None:
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Whether there is so much room left."""
        with self._lock:
            self._taken += size_bytes
            return self._taken <= MAX_TOGETHER


class LegRun:
    """``stats``, ``rows``, ``size_bytes`` in Arrow's form, and ``origin`` are known once ``bring``
    has returned, ``estimate`` once ``estimated_rows`` has asked for it: of the whole leg, whatever
    keys narrow it to."""

    def __init__(
        self,
        leg: Leg,
        connection: WarehouseConnection,
        dialect: str,
        text: str,
        run_id: str,
        room: Room,
    ) -> None:
        self.leg = leg
        self.connection = connection
        self.rows = 0
        self.size_bytes = 0
        self.stats = RunStats()
        self.origin: Origin | None = None
        self.estimate: Estimate | None = None
        self._dialect = dialect
        self._text = text
        self._run_id = run_id
        self._room = room
        self._query = leg.query
        self._after: list[tuple[KeyFilter, LegRun]] = []
        self._run: Run | None = None
        self._brought = threading.Event()
        self._cancelled = threading.Event()

    @property
    def is_brought(self) -> bool:
        """Its rows are in their table, unless it was given up."""
        return self._brought.is_set()

    def estimated_rows(self) -> float | None:
        """By what its warehouse's catalog says, else by the connection's own estimate; ``None``
        where that does not tell either, or cannot be asked. Once they have come, as many as they
        are."""
        if self.is_brought:
            return self.rows
        if not isinstance(self._query, tree.Select):
            return None
        if (known := sizes.rows_of(self._query)) is not None:
            return known
        try:
            estimate = self._estimated()
        except ConnectorError as exc:
            log.info("leg.not_estimated", run_id=self._run_id, code=exc.code)
            return None
        return sizes.of_estimate(estimate, self._query)

    def _estimated(self) -> Estimate:
        is_whole = self._query is self.leg.query
        if is_whole and self.estimate is not None:
            return self.estimate
        printed = self._narrowed()
        with connections.leased(self.connection) as lease:
            estimate = lease.connector.estimate(printed.sql, printed.params)
        if is_whole:
            self.estimate = estimate
        return estimate

    def narrow(self, column: str, keys: list[Any]) -> None:
        """Ask only for rows that have one of the keys there, where those are few."""
        if len(keys) <= MAX_KEYS and isinstance(self._query, tree.Select):
            self._query = narrowed(self._query, column, keys)

    def follow(self, one: KeyFilter, other: "LegRun") -> None:
        """Wait for that leg, and ask only for the rows that its keys let count."""
        # What has fewer rows came first, and says the most of a column.
        if all(one.column != before.column for before, _ in self._after):
            self._after.append((one, other))

    def may_keep(self) -> bool:
        """Whether its answer may be kept, and one that is kept may serve."""
        return modes.all_hybrid(self.connection, modes.tables_of(self.leg.query))

    def bring(self, database: str, deadline: float, *, may_keep: bool) -> None:
        """Its rows into their table, by then (of the monotonic clock). Raises ConnectorError."""
        try:
            self._follow(database)
            with ExitStack() as stack:
                with told_of(self.connection):
                    run = self._asked(deadline, stack, may_keep=may_keep)
                self._write(database, run)
                self.rows, self.stats, self.origin = run.rows, run.stats, run.origin
        except BaseException:
            self.give_up()
            raise
        finally:
            self._brought.set()
            # Of this thread, which looked for an answer that is kept.
            database_connection.close()
        log.info("leg.brought", run_id=self._run_id, rows=self.rows, size_bytes=self.size_bytes)

    def give_up(self) -> None:
        """It shall not begin any more, nor shall those that follow it."""
        self._cancelled.set()

    def cancel(self) -> None:
        """End it, in its warehouse too; from another thread."""
        self.give_up()
        if self._run is not None:
            self._run.cancel()

    def _asked(self, deadline: float, stack: ExitStack, *, may_keep: bool) -> Run:
        """The query, begun, to be closed with its session by ``stack``; or what is kept of it."""
        printed = self._narrowed()
        most = Limits(max_rows=MAX_ROWS, max_bytes_returned=MAX_BYTES)
        limits = limits_of_part(self.connection, most, deadline)
        statement = Statement(printed.sql, printed.params, tables=modes.tables_of(self._query))

        def ask(connector: Connector) -> Result:
            if self._cancelled.is_set():
                raise QueryCancelled()
            return connector.query(printed.sql, printed.params, limits, self._run_id)

        direct = partial(DirectRun, self._run_id, partial(self._leased, deadline), ask)
        wish = wish_for(self.connection, statement, limits) if may_keep else None
        if wish is None:
            self._run = direct()
        else:
            # Nobody could fetch a leg anew by itself: what it asks for is a part of a query.
            wish = replace(wish, stale_s=0)
            label = label_of(self.connection, statement, limits.max_rows)
            self._run = HybridRun(wish, label, direct)
        run = stack.enter_context(self._run)
        if self._cancelled.is_set():
            raise QueryCancelled()
        run.start()
        return run

    @contextmanager
    def _leased(self, deadline: float) -> Iterator[Lease]:
        """A session, however long other legs have them all."""
        with ExitStack() as stack:
            while True:
                try:
                    lease = stack.enter_context(connections.leased(self.connection))
                except WarehouseBusy:
                    if self._cancelled.is_set():
                        raise QueryCancelled() from None
                    if time.monotonic() > deadline:
                        raise
                else:
                    break
            yield lease

    def _follow(self, database: str) -> None:
        for one, other in self._after:
            other._brought.wait()
            if other._cancelled.is_set():
                raise QueryCancelled()
            self.narrow(one.column, _keys(database, one))

    @cached_property
    def printed(self) -> Printed:
        """The whole leg, whatever keys narrow it to. Raises HogQLError."""
        return print_query(self.leg.query, self._dialect, self._text)

    def _narrowed(self) -> Printed:
        """As it is asked."""
        if self._query is self.leg.query:
            return self.printed
        return print_query(self._query, self._dialect, self._text)

    def _write(self, database: str, result: Run) -> None:
        """The table is made of what has come, so that no value is changed."""
        table, owner = self.leg.table.name, client.owner()
        with told_of(self.connection):
            schema = arriving.schema_of(self.leg.query.columns, result.schema)
        owner.command(ddl.create_scratch(database, table, types.columns(schema, ())))
        owner.insert(database, table, schema, self._fitting(result, schema))
        if result.truncated:
            raise self._too_large(f"has more than {MAX_ROWS:,} rows or {MAX_BYTES // 2**30} GB")

    def _fitting(self, result: Run, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with told_of(self.connection):
            yield from arriving.fitting(self._counted(result), schema)

    def _counted(self, result: Run) -> Iterator[pa.RecordBatch]:
        for batch in result:
            self.size_bytes += batch.nbytes
            if not self._room.take(batch.nbytes):
                raise self._too_large(f"makes {MAX_TOGETHER / 2**30:g} GB with the other parts")
            yield batch

    def _too_large(self, how: str) -> LegTooLarge:
        asked = ", ".join(sorted({str(one.table) for one in tables(self.leg.query)}))
        return LegTooLarge(
            f"What {self.connection.name} sends of {asked} {how}.",
            fields={"connection": self.connection.name, "tables": asked},
        )


def arranged(
    legs: list[LegRun], filters: tuple[KeyFilter, ...], estimates: list[float | None]
) -> list[LegRun]:
    """The legs, those with few rows first; others follow them where keys spare them most rows."""
    rows = {leg: inf if one is None else one for leg, one in zip(legs, estimates, strict=True)}
    left = dict(rows)
    found: list[LegRun] = []
    while left:
        first = min(left, key=lambda leg: left[leg])
        few = left.pop(first)
        found.append(first)
        for one in filters:
            leg = next((other for other in left if other.leg.table.name == one.table), None)
            if leg is None or one.from_table != first.leg.table.name:
                continue
            if few <= FEW_ROWS and sizes.spared(leg.leg.query, rows[leg]) >= few * TIMES_MORE:
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
