"""A query in HogQL that the store runs whole, over tables of the team's own database."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import structlog
from django.utils import timezone

from connectors.result import Execution, Result
from connectors.types import Limits, RunStats
from warehouse.events.tables import with_tables
from warehouse.hogql.printing.dialects import CLICKHOUSE_SETTINGS
from warehouse.hogql.printing.printed import Printed
from warehouse.runs import Origin, Run
from warehouse.store import client, queries
from warehouse.store.client import Rows
from warehouse.store.limits import READER_MOST

log = structlog.get_logger(__name__)


class StoreExecution(Execution):
    """The store's side of a query."""

    def __init__(self, team_id: object, printed: Printed, limits: Limits, query_id: str) -> None:
        self._team_id = team_id
        self._sql = printed.sql
        self._params = printed.params if isinstance(printed.params, Mapping) else {}
        # Rows are counted as they are read: the store would fail the query where they are cut.
        self._limits = Limits(
            timeout_s=limits.timeout_s,
            max_rows=READER_MOST["max_result_rows"],
            max_bytes_returned=READER_MOST["max_result_bytes"],
        )
        self._query_id = query_id
        self._rows: Rows | None = None

    def start(self) -> None:
        self._rows = with_tables(self._team_id, self._run)
        self.schema: pa.Schema = self._rows.schema

    def _run(self) -> Rows:
        return queries.run(
            self._team_id,
            self._sql,
            self._params,
            self._limits,
            self._query_id,
            CLICKHOUSE_SETTINGS,
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        if self._rows is not None:
            yield from self._rows

    def stats(self) -> RunStats:
        return RunStats(self._query_id, bytes_billed=0, amount_billed=Decimal(0))

    def cancel(self) -> None:
        client.owner().cancel(self._query_id)

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()


class StoreRun(Run):
    """One query: what ``DirectRun`` is in a warehouse, in the store."""

    def __init__(
        self,
        team: Any,
        prepare: Callable[[], Printed],
        limits: Limits,
        run_id: str,
        as_of: datetime | None = None,
    ) -> None:
        self.run_id = run_id
        self._team = team
        self._prepare = prepare
        self._limits = limits
        self._result: Result | None = None
        self._as_of = as_of or timezone.now()

    def start(self) -> None:
        """Send it, and return when its first rows can be read; raises ConnectorError."""
        log.info("query.started", run_id=self.run_id, team=str(self._team.pk))
        deadline = time.monotonic() + self._limits.timeout_s
        printed = self._prepare()
        self._result = Result(self._limits, deadline, nullcontext, lambda: None)
        self._result.start(StoreExecution(self._team.pk, printed, self._limits, self.run_id))

    @property
    def schema(self) -> pa.Schema:
        return self._started.schema

    @property
    def rows(self) -> int:
        return self._started.rows

    @property
    def truncated(self) -> bool:
        return self._started.truncated

    @property
    def stats(self) -> RunStats:
        return self._started.stats

    @property
    def origin(self) -> Origin:
        return Origin(self._as_of, self.run_id, self.stats.vendor_query_id)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self._started
        log.info("query.finished", run_id=self.run_id, rows=self.rows, truncated=self.truncated)

    def cancel(self) -> bool:
        """End it, from another thread; its reader gets QueryCancelled. False while it is not sent
        yet."""
        if self._result is None:
            return False
        self._result.cancel()
        log.info("query.cancelled", run_id=self.run_id)
        return True

    def close(self) -> None:
        """End the query if it still runs."""
        if self._result is not None:
            self._result.close()

    @property
    def _started(self) -> Result:
        if self._result is None:
            raise RuntimeError("A query is read after it has been started.")
        return self._result
