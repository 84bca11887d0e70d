"""A query's result: Arrow batches with a schema, bounded, closed exactly once."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Self

import pyarrow as pa

from connectors.errors import ConnectionLost, ConnectorError, QueryCancelled, QueryTimeout
from connectors.types import Limits, RunStats

CANCEL_AGAIN_S = 0.2
"""A cancel that comes before the server has the statement ends nothing; so it is said again."""


class Execution(ABC):
    """A provider's side of a query: made, started, read, closed; ``cancel`` from another thread."""

    schema: pa.Schema
    """Known once it has started."""

    @abstractmethod
    def start(self) -> None:
        """Send the query, with the server's own limits set, and wait for its schema."""

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order, as they arrive. Called once, after ``start``."""

    @abstractmethod
    def stats(self) -> RunStats:
        """What the query used; asked for after the last batch."""

    @abstractmethod
    def cancel(self) -> None:
        """End it in the warehouse: from another thread, at any time, and harmless when repeated.

        While the query is on its way there and has no id yet, this does nothing.
        """

    @abstractmethod
    def close(self) -> None:
        """Free what it holds, ending it in the warehouse if it still runs, started or not."""


class Result:
    """Iterate it for RecordBatches; ``rows``, ``truncated`` and ``stats`` are final at the end.

    ``truncated`` is true when a limit on rows or bytes cut the result. Iterating raises
    ConnectorError: QueryTimeout from the first batch that arrives after ``deadline`` (by the
    monotonic clock), QueryCancelled after ``cancel``.
    """

    schema: pa.Schema

    def __init__(
        self,
        limits: Limits,
        deadline: float,
        mapped: Callable[[], AbstractContextManager[None]],
        on_close: Callable[[], None],
    ) -> None:
        self.rows = 0
        self.bytes_returned = 0
        self.truncated = False
        self.stats = RunStats()
        self._execution: Execution | None = None
        self._limits = limits
        self._mapped = mapped
        self._on_close = on_close
        self._deadline = deadline
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._started = threading.Event()
        self._closed = False
        self._cancelled = False

    def start(self, execution: Execution) -> None:
        """Run the query until its schema is known; called once, by the connector."""
        self._execution = execution
        try:
            # The order matters: whoever cancels sets the flag first and looks for this then.
            self._raise_if_cancelled()
            with self._told():
                execution.start()
            self._raise_if_cancelled()
            self.schema = execution.schema
        finally:
            self._started.set()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        execution = self._started_execution()
        try:
            self._batches = execution.batches()
            while (batch := self._next()) is not None:
                fitted = self._fit(batch)
                if fitted.num_rows:
                    yield fitted
                if self.truncated:
                    break
            with self._mapped():
                self.stats = execution.stats()
        except BaseException:
            self._close_after_error()
            raise
        self.close()

    def read_all(self) -> pa.Table:
        """The whole result in memory; only for results known to be small."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def cancel(self) -> None:
        """End the query in the warehouse, from another thread; its reader gets QueryCancelled."""
        self._cancelled = True
        execution = self._execution
        if execution is None:
            return
        with self._mapped():
            execution.cancel()
            while not self._started.wait(CANCEL_AGAIN_S) and time.monotonic() < self._deadline:
                execution.cancel()

    def close(self) -> None:
        """End the query if it still runs, and free it; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._mapped():
                # What downloads ahead of its reader does so until it is told.
                if isinstance(self._batches, Generator):
                    self._batches.close()
                if self._execution is not None:
                    self._execution.close()
        finally:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._close_after_error()

    def _close_after_error(self) -> None:
        # What went wrong first is what is told.
        with suppress(ConnectorError):
            self.close()

    def _next(self) -> pa.RecordBatch | None:
        self._raise_if_cancelled()
        with self._told():
            batch = next(self._batches, None)
        self._raise_if_cancelled()
        if time.monotonic() > self._deadline:
            raise QueryTimeout()
        return batch

    def _started_execution(self) -> Execution:
        if self._execution is None or not self._started.is_set():
            raise RuntimeError("A result is read after the connector has started it.")
        return self._execution

    def _raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise QueryCancelled()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors as ours; but a query that was cancelled, or is overdue, fails with just that."""
        try:
            with self._mapped():
                yield
        except ConnectorError as exc:
            if self._cancelled:
                raise QueryCancelled() from exc
            if isinstance(exc, ConnectionLost) and time.monotonic() > self._deadline:
                raise QueryTimeout() from exc
            raise

    def _fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The part of a batch that the limits still allow, counted."""
        room = batch.num_rows
        if self._limits.max_rows is not None:
            room = min(room, self._limits.max_rows - self.rows)
        if self._limits.max_bytes_returned is not None:
            left = self._limits.max_bytes_returned - self.bytes_returned
            room = min(room, _rows_within(batch, left))
        if room < batch.num_rows:
            self.truncated = True
            batch = batch.slice(0, room)
        self.rows += batch.num_rows
        self.bytes_returned += batch.nbytes
        return batch


def _rows_within(batch: pa.RecordBatch, max_bytes: int) -> int:
    """The most rows of the batch that stay within ``max_bytes``, by bisection."""
    low, high = 0, int(batch.num_rows)
    while low < high:
        middle = (low + high + 1) // 2
        if batch.slice(0, middle).nbytes <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return low
