"""A query's result: Arrow batches with a schema, bounded, closed exactly once."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Self

import pyarrow as pa

from connectors.errors import ConnectorError, QueryCancelled, QueryTimeout
from connectors.types import Limits, RunStats


class Execution(ABC):
    """A provider's side of a running query."""

    schema: pa.Schema

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order, as they arrive. Called once."""

    @abstractmethod
    def stats(self) -> RunStats:
        """What the query used; asked for after the last batch."""

    @abstractmethod
    def cancel(self) -> None:
        """End it in the warehouse; may be called from another thread, and after its end."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds, ending it in the warehouse if it still runs."""


class Result:
    """Iterate it for RecordBatches; ``rows``, ``truncated`` and ``stats`` are final at the end.

    ``truncated`` is true when a limit on rows or bytes cut the result. Iterating raises
    ConnectorError: QueryTimeout from the first batch that arrives after ``deadline`` (by the
    monotonic clock), QueryCancelled after ``cancel``.
    """

    def __init__(
        self,
        execution: Execution,
        limits: Limits,
        deadline: float,
        mapped: Callable[[], AbstractContextManager[None]],
        on_close: Callable[[], None],
    ) -> None:
        self.schema = execution.schema
        self.rows = 0
        self.bytes_returned = 0
        self.truncated = False
        self.stats = RunStats()
        self._execution = execution
        self._limits = limits
        self._mapped = mapped
        self._on_close = on_close
        self._deadline = deadline
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._closed = False
        self._cancelled = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            self._batches = self._execution.batches()
            while (batch := self._next()) is not None:
                fitted = self._fit(batch)
                if fitted.num_rows:
                    yield fitted
                if self.truncated:
                    break
            with self._mapped():
                self.stats = self._execution.stats()
        finally:
            self.close()

    def read_all(self) -> pa.Table:
        """The whole result in memory; only for results known to be small."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def cancel(self) -> None:
        """End the query in the warehouse, from another thread; its reader gets QueryCancelled."""
        self._cancelled = True
        with self._mapped():
            self._execution.cancel()

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
                self._execution.close()
        finally:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _next(self) -> pa.RecordBatch | None:
        try:
            with self._mapped():
                batch = next(self._batches, None)
        except ConnectorError as exc:
            if self._cancelled:
                raise QueryCancelled() from exc
            raise
        if self._cancelled:
            raise QueryCancelled()
        if time.monotonic() > self._deadline:
            raise QueryTimeout()
        return batch

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
