"""The rows of a query that a worker has run, read as the query itself would be."""

import io
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from django.utils import timezone

from connectors.errors import ConnectorError, QueryCancelled
from connectors.types import RunStats
from warehouse import conf
from warehouse.errors import QueryRunning, ResultGone, ServiceFailed, StoreLost
from warehouse.hybrid import pieces
from warehouse.models import QueryOutcome, QueryRun
from warehouse.runs import Origin, Run
from warehouse.store.errors import told


def rows_of(row: QueryRun) -> Run:
    """Raises QueryRunning, ResultGone, and what the query itself has ended with."""
    if row.outcome == QueryOutcome.RUNNING:
        raise QueryRunning()
    if row.outcome != QueryOutcome.SUCCEEDED:
        raise error_of(row)
    if row.result_expires_at is None or row.result_expires_at < timezone.now():
        raise ResultGone()
    return KeptRun(row)


def error_of(row: QueryRun) -> ConnectorError:
    """The error that a query has ended with, of its class again."""
    kind = _by_code(ConnectorError, row.error_code) or ServiceFailed
    error = kind.__new__(kind)
    # Some make their sentence themselves; here it is made already.
    ConnectorError.__init__(error, row.error, hint=row.error_hint, fields=row.error_fields)
    return error


class KeptRun(Run):
    """The same batches, of the same types, and the figures of the run that made them."""

    def __init__(self, row: QueryRun) -> None:
        self.run_id = str(row.pk)
        self._row = row
        self._rows = 0
        self._file: io.IOBase | None = None
        self._cancelled = threading.Event()

    def start(self) -> None:
        if self._row.in_store:
            self._file = pieces.read(self._row, conf.query_timeout_s())
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

    @property
    def stats(self) -> RunStats:
        row = self._row
        return RunStats(row.vendor_query_id, row.bytes_scanned, row.bytes_billed)

    @property
    def origin(self) -> Origin:
        row = self._row
        return Origin(
            as_of=row.as_of or row.created_at,
            run_id=row.source_run_id,
            vendor_query_id=row.vendor_query_id,
            cached=bool(row.cached),
            age_s=_age_s(row),
        )

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


def _age_s(row: QueryRun) -> float:
    if not row.cached or row.as_of is None or row.started_at is None:
        return 0.0
    return (row.started_at - row.as_of).total_seconds()


def _by_code(kind: type[ConnectorError], code: str) -> type[ConnectorError] | None:
    if kind.code == code:
        return kind
    found: Any = (_by_code(one, code) for one in kind.__subclasses__())
    return next((one for one in found if one is not None), None)
