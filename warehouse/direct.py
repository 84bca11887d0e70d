"""A query that one warehouse runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pyarrow as pa
import structlog
from django.utils import timezone

from connectors.base import Connector
from connectors.result import Result
from connectors.types import RunStats
from warehouse.pool import Lease, in_doubt
from warehouse.runs import Origin, Run

log = structlog.get_logger(__name__)


class DirectRun(Run):
    """A query in a warehouse."""

    def __init__(
        self,
        run_id: str,
        leased: Callable[[], AbstractContextManager[Lease]],
        query: Callable[[Connector], Result],
    ) -> None:
        self.run_id = run_id
        self._leased = leased
        self._query = query
        self._resources = ExitStack()
        self._lease: Lease | None = None
        self._ending = threading.Lock()
        self._over = False

    def start(self) -> None:
        """Send it, and return when its first rows can be read; raises ConnectorError."""
        lease = self._resources.enter_context(self._leased())
        self._lease = lease
        self._as_of = timezone.now()
        with self._ending_what_is_in_doubt(lease):
            self._result = self._resources.enter_context(self._query(lease.connector))

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

    @property
    def origin(self) -> Origin:
        return Origin(self._as_of, self.run_id, self.stats.vendor_query_id)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._lease is None:
            raise RuntimeError("A query is read after it has been started.")
        with self._ending_what_is_in_doubt(self._lease):
            yield from self._result
        log.info("query.finished", run_id=self.run_id, rows=self.rows, truncated=self.truncated)

    def cancel(self) -> bool:
        """End the query in the warehouse, from another thread; its reader gets QueryCancelled.

        False while it has not been sent yet.
        """
        with self._ending:
            if self._over:
                return True
            if self._lease is None:
                return False
            # It may arrive when this query is over; by then nobody else has the session.
            self._lease.end_after()
        reached = self._lease.connector.cancel(self.run_id)
        log.info("query.cancelled", run_id=self.run_id, reached=reached)
        return reached

    def close(self) -> None:
        """End the query if it still runs, and give its session back."""
        with self._ending:
            self._over = True
        self._resources.close()

    @contextmanager
    def _ending_what_is_in_doubt(self, lease: Lease) -> Iterator[None]:
        """What goes wrong is told to the reader, who then closes: the pool would not see it."""
        try:
            yield
        except Exception as exc:
            if in_doubt(exc):
                lease.end_after()
            raise
