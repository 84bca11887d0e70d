"""An answer that is there already, read as a query is."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import structlog
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from connectors.types import RunStats
from warehouse.hybrid.flights import Found
from warehouse.hybrid.kept_rows import KeptRows
from warehouse.models import CachedResult
from warehouse.runs import Origin
from warehouse.tasks import refresh_result

log = structlog.get_logger(__name__)

USED_EVERY_S = 10
"""How exactly it is remembered when an answer was used last."""
REFRESHED_EVERY_S = 30


class CachedRun(KeptRows):
    """What a hybrid connection has kept."""

    def __init__(self, run_id: str, found: Found, timeout_s: float) -> None:
        super().__init__(run_id, found.result, timeout_s)
        self._found = found
        self._result = found.result
        self._is_closed = False

    @property
    def stats(self) -> RunStats:
        """Nothing was asked of the warehouse."""
        return RunStats(bytes_scanned=0, bytes_billed=0, amount_billed=Decimal(0))

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
        yield from super().__iter__()
        log.info("query.answered_from_cache", run_id=self.run_id, rows=self.rows)

    def close(self) -> None:
        """Remember that it was used; what is stale is refreshed, while nobody waits."""
        if self._is_closed:
            return
        self._is_closed = True
        super().close()
        with suppress(DatabaseError):
            self._note_use()
            if self._found.is_stale:
                self._ask_for_refresh()

    def _note_use(self) -> None:
        if self._found.idle_s >= USED_EVERY_S:
            self._mine().update(last_used_at=Now())

    def _ask_for_refresh(self) -> None:
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
