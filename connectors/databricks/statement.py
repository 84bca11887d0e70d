"""One statement in Databricks: sent, waited for, and fetched batch by batch."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from connectors import errors
from connectors.databricks.types import arrow_schema
from connectors.errors import ConnectorError
from connectors.polling import pauses
from connectors.result import Execution
from connectors.types import Params, RunStats

# The client's own annotations are partial.
Cursor = Any

FETCH_ROWS = 100_000
FETCH_BYTES = 16 << 20
"""What one fetch brings at most, packed and unpacked in memory at once."""

log = logging.getLogger("connectors")
# The client logs statements and what servers say; both are for our own log, masked.
logging.getLogger("databricks").setLevel(logging.CRITICAL)


class DatabricksExecution(Execution):
    """A statement; once it has run, its rows are fetched batch by batch."""

    def __init__(
        self, cursor: Cursor, sql: str, params: Params, timeout_s: float, tags: dict[str, str]
    ) -> None:
        self._cursor = cursor
        self._sql = sql
        self._values = dict(params) if isinstance(params, Mapping) else list(params)
        self._timeout_s = timeout_s
        self._tags = tags
        self._cancelled = threading.Event()
        self._query_id: str | None = None

    def start(self) -> None:
        """Send it and wait until it has run; ended in the warehouse when it does not.

        Raises QueryTimeout and QueryCancelled beside the client's errors.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            self._cursor.execute_async(self._sql, self._values or None, query_tags=self._tags)
            self._query_id = self._cursor.query_id
            self._wait(deadline)
            self._cursor.get_async_execution_result()
            self.schema = arrow_schema(self._cursor.fetchmany_arrow(0).schema)
        except BaseException:
            self._abandon()
            raise

    def _wait(self, deadline: float) -> None:
        """Return when it has run.

        With pauses: while the client asks how it goes, it cannot be told to cancel.
        """
        from databricks.sql.backend.types import CommandState

        for pause in pauses():
            state = self._cursor.get_query_state()
            if state == CommandState.SUCCEEDED:
                return
            if state == CommandState.CANCELLED or self._cancelled.is_set():
                raise errors.QueryCancelled()
            left_s = deadline - time.monotonic()
            # A failure would have been raised with its reason; what has none is a timeout.
            if state == CommandState.FAILED or left_s <= 0:
                raise errors.QueryTimeout()
            self._cancelled.wait(min(left_s, pause))

    def batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            if self._cancelled.is_set():
                # The server refuses no rows of a statement that was cancelled after it had run.
                raise errors.QueryCancelled()
            table = self._cursor.fetchmany_arrow(FETCH_ROWS)
            if table.num_rows == 0:
                return
            columns = [table.column(i).cast(f.type) for i, f in enumerate(self.schema)]
            yield from pa.Table.from_arrays(columns, schema=self.schema).to_batches()

    def stats(self) -> RunStats:
        return RunStats(vendor_query_id=self._query_id)

    def cancel(self) -> None:
        self._cancelled.set()
        self._cursor.cancel()

    def close(self) -> None:
        self._cursor.close()

    def _abandon(self) -> None:
        """End what runs, and free it, as far as the warehouse can still be reached."""
        from databricks.sql.exc import Error
        from urllib3.exceptions import HTTPError

        command = self._cursor.active_command_id
        try:
            if command is not None:
                self._cursor.cancel()
                self._cursor.backend.close_command(command)
            self._cursor.close()
        except (Error, HTTPError, ConnectorError):
            log.info("warehouse.abandon_failed", extra={"provider": "databricks"})
