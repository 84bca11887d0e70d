"""Rows that were kept in Arrow's stream format, in the database or in the store, read as a query
is; no connector is used for them."""

import io
import threading
from collections.abc import Iterator

import pyarrow as pa

from connectors.errors import QueryCancelled
from warehouse.errors import StoreLost
from warehouse.hybrid import pieces
from warehouse.models import CachedResult, QueryRun
from warehouse.runs import Run
from warehouse.store.errors import told


class KeptRows(Run):
    """The same batches as the warehouse gave, of the same types."""

    def __init__(self, run_id: str, row: CachedResult | QueryRun, timeout_s: float) -> None:
        self.run_id = run_id
        self._row = row
        self._timeout_s = timeout_s
        self._file: io.IOBase | None = None
        self._rows = 0
        self._cancelled = threading.Event()

    def start(self) -> None:
        """Raises ObjectNotFound when it has been forgotten meanwhile, and what the store raises."""
        if self._row.in_store:
            self._file = pieces.read(self._row, self._timeout_s)
        else:
            self._file = io.BytesIO(self._row.content or b"")
        with told():
            self._reader = pa.ipc.open_stream(self._file)

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def truncated(self) -> bool:
        return bool(self._row.truncated)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with told():
            for batch in self._reader:
                if self._cancelled.is_set():
                    raise QueryCancelled()
                self._rows += batch.num_rows
                yield batch
        if self._rows != self._row.rows:
            # A stream that was cut off between two batches looks complete to Arrow.
            raise StoreLost()

    def cancel(self) -> bool:
        self._cancelled.set()
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
