"""A query over several systems that the one with the most rows joins, of few rows of all others."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa
import structlog

from connectors.base import Connector
from connectors.errors import QueryCancelled
from connectors.result import Result
from connectors.types import Limits, RunStats
from warehouse import connections
from warehouse.accounts import PlannedLeg
from warehouse.direct import DirectRun
from warehouse.federation import homes
from warehouse.federation.given import DoesNotFit, text_of
from warehouse.federation.homes import Move
from warehouse.federation.leg import told_of
from warehouse.federation.legs import Legs, together
from warehouse.federation.plan import planned_legs
from warehouse.federation.planner import STORE_DIALECT
from warehouse.federation.run import FederatedRun
from warehouse.federation.split import Leg
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import print_query
from warehouse.limits import limits_of_part, limits_until
from warehouse.local import StoreRun
from warehouse.models import WarehouseConnection
from warehouse.runs import ChosenRun, Origin

log = structlog.get_logger(__name__)


class MovedRun(ChosenRun):
    """Where there is more to be moved than was thought, the store joins it all, and ``replan`` is
    told what is sent then. Closes its legs."""

    def __init__(
        self, legs: Legs, move: Move, limits: Limits, replan: Callable[[list[PlannedLeg]], None]
    ) -> None:
        self.run_id = legs.run_id
        self.legs = legs
        self._move = move
        self._limits = limits
        self._replan = replan
        self._cancelled = threading.Event()

    def start(self) -> None:
        """Return when the first rows can be read; raises ConnectorError."""
        deadline = time.monotonic() + self._limits.timeout_s
        self.legs.bring(deadline, without=self._move.home)
        try:
            given = self._given(deadline)
        except DoesNotFit:
            log.info("rows.not_moved", run_id=self.run_id)
            self._replan(planned_legs(self.legs, None))
            self._run = FederatedRun(self.legs, limits_until(self._limits, deadline))
        else:
            self._run = self._there(self._move.printed(given), deadline)
        if self._cancelled.is_set():
            raise QueryCancelled()
        self._run.start()

    def _given(self, deadline: float) -> dict[str, str]:
        """What is to be sent, by the tables of its legs; raises DoesNotFit."""
        found = dict[str, str]()
        rows_left = homes.MOST_ROWS
        for number, leg in enumerate(self._move.split.legs):
            # That of the moment, for whoever cancels it.
            self._run = self._stored(leg, f"{self.run_id}-given-{number}", rows_left, deadline)
            with self._run as run:
                run.start()
                found[leg.table.name] = text_of(leg.query.columns, run)
            rows_left -= run.rows
            if run.truncated or sum(map(_size, found.values())) > homes.MOST_BYTES:
                raise DoesNotFit
        return found

    def _stored(self, leg: Leg, run_id: str, max_rows: int, deadline: float) -> StoreRun:
        prepare = partial(print_query, leg.query, STORE_DIALECT, self._move.text)
        most = replace(self._limits, max_rows=max_rows, max_bytes_returned=homes.MOST_BYTES)
        limits = limits_until(most, deadline)
        return StoreRun(self.legs.team, prepare, limits, run_id)

    def _there(self, printed: Printed, deadline: float) -> DirectRun:
        connection = self.legs.found.connections[self._move.home]
        limits = limits_of_part(connection, self._limits, deadline)

        def ask(connector: Connector) -> Result:
            if self._cancelled.is_set():
                raise QueryCancelled()
            return connector.query(printed.sql, printed.params, limits, self.run_id)

        # What is kept of it would be of other rows the next time.
        return _ThereRun(self.run_id, connection, ask)

    @property
    def stats(self) -> RunStats:
        own = super().stats
        if isinstance(self._run, FederatedRun):
            return own
        return together(own, [own, *(leg.stats for leg in self.legs if leg.is_brought)])

    @property
    def origin(self) -> Origin:
        """As of its oldest part."""
        own, oldest = super().origin, self.legs.found.as_of
        parts = [leg.origin.as_of for leg in self.legs if leg.origin is not None]
        return replace(own, as_of=min([own.as_of, *parts, *([oldest] if oldest else [])]))

    def cancel(self) -> bool:
        self._cancelled.set()
        self.legs.end()
        return self._run is not None and self._run.cancel()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.legs.close()


class _ThereRun(DirectRun):
    """What goes wrong names the connection."""

    def __init__(
        self, run_id: str, connection: WarehouseConnection, query: Callable[[Connector], Result]
    ) -> None:
        super().__init__(run_id, partial(connections.leased, connection), query)
        self._connection = connection

    def start(self) -> None:
        with told_of(self._connection):
            super().start()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with told_of(self._connection):
            yield from super().__iter__()


def _size(text: str) -> int:
    return len(text.encode())
