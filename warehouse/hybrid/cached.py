"""An answer that is there already, read as a query is."""

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pyarrow as pa
import structlog
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from connectors.errors import QueryCancelled
from connectors.types import RunStats
from warehouse.errors import StoreLost
from warehouse.hybrid import pieces
from warehouse.hybrid.flights import Found
from warehouse.models import CachedResult
from warehouse.runs import Origin, Run
from warehouse.store.errors import told

log = structlog.get_logger(__name__)

USED_EVERY_S = 10
"""How exactly it is remembered when an answer was used last."""
REFRESHED_EVERY_S = 30


class CachedRun(Run):
    """The same batches as the warehouse gave, of the same types; no connector is used for them."""

    def __init__(self, run_id: str, found: Found, timeout_s: float) -> None:
        self.run_id = run_id
        self._found = found
        self._result = found.result
        self._timeout_s = timeout_s
        self._file: io.IOBase | None = None
        self._rows = 0
        self._cancelled = threading.Event()
        self._is_closed = False

    def start(self) -> None:
        """Raises ObjectNotFound when it has been forgotten meanwhile, and what the store raises."""
        if self._result.in_store:
            self._file = pieces.read(self._result, self._timeout_s)
        else:
            self._file = io.BytesIO(self._result.content or b"")
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
        return self._result.truncated

    @property
    def stats(self) -> RunStats:
        """Nothing was asked of the warehouse."""
        return RunStats(bytes_scanned=0, bytes_billed=0)

    @property
    def origin(self) -> Origin:
        result = self._result
        return Origin(
            as_of=result.created_at,
            run_id=result.run_id,
            vendor_query_id=result.vendor_query_id,
            cached=True,
            age_s=self._found.age_s,
        )

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with told():
            for batch in self._reader:
                if self._cancelled.is_set():
                    raise QueryCancelled()
                self._rows += batch.num_rows
                yield batch
        if self._rows != self._result.rows:
            # A stream that was cut off between two batches looks complete to Arrow.
            raise StoreLost()
        log.info("query.answered_from_cache", run_id=self.run_id, rows=self._rows)

    def cancel(self) -> bool:
        self._cancelled.set()
        return True

    def close(self) -> None:
        """Remember that it was used; what is stale is refreshed, while nobody waits."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._file is not None:
            self._file.close()
        with suppress(DatabaseError):
            self._note_use()
            if self._found.is_stale:
                self._ask_for_refresh()

    def _note_use(self) -> None:
        if self._found.idle_s >= USED_EVERY_S:
            self._mine().update(last_used_at=Now())

    def _ask_for_refresh(self) -> None:
        from warehouse.tasks import refresh_result

        long_ago = Now() - timedelta(seconds=REFRESHED_EVERY_S)
        unasked = Q(refresh_asked_at=None) | Q(refresh_asked_at__lt=long_ago)
        if not self._mine().filter(unasked).update(refresh_asked_at=Now()):
            return
        try:
            refresh_result.delay(result_id=str(self._result.pk))
        except OperationalError:
            log.warning("refresh.not_asked_for", result=str(self._result.pk))

    def _mine(self) -> QuerySet[CachedResult]:
        return CachedResult.objects.for_team(self._result.team_id).filter(pk=self._result.pk)
