"""One runner per pipeline: a lease on the run's row, kept by a heartbeat, fenced by a number.

All times are the database's, so that clocks of workers may differ.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Now

from etl import conf
from etl.errors import LeaseLost, RunAbandoned, RunCancelled
from etl.models import AT_WORK, OPEN, PipelineRun, RunStatus

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
BEATS_PER_LEASE = 10


def silent() -> Q:
    """Not heard of for as long as a lease lasts."""
    since: CombinedExpression = Now() - timedelta(seconds=conf.lease_s())
    return Q(heartbeat_at__lt=since)


def stale() -> Q:
    """Running, and silent: its worker is gone."""
    return Q(status=RunStatus.RUNNING) & silent()


def held(run: PipelineRun) -> models.QuerySet[PipelineRun]:
    """The run's row, if the lease is still this worker's."""
    return PipelineRun.objects.filter(pk=run.pk, fence=run.fence, status=RunStatus.RUNNING)


def claim(run_id: UUID | str) -> PipelineRun | None:
    """Take the run, if it waits or its worker is gone; ``None`` when somebody has it."""
    claimable = Q(status=RunStatus.QUEUED) | stale()
    with transaction.atomic():
        free = PipelineRun.objects.filter(claimable, pk=run_id, attempt__lt=MAX_ATTEMPTS)
        # Of two workers with the same message, the second finds the row locked and goes.
        run = free.select_for_update(skip_locked=True, of=("self",)).first()
        if run is None:
            return None
        PipelineRun.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING,
            attempt=F("attempt") + 1,
            fence=next_fence(),
            heartbeat_at=Now(),
            started_at=Coalesce(F("started_at"), Now()),
        )
        run.refresh_from_db()
    return run


def next_fence() -> int:
    """A number greater than every one before it, also than those of a pipeline since deleted.

    Microseconds of the database's clock: destinations remember the numbers for longer than this
    database may live, so a counter in it would start again below them.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(cursor.fetchone()[0])


def now() -> datetime:
    """The time, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def give_up_lost(pipeline_id: UUID | None = None) -> int:
    """Fail runs whose workers went away as often as may be; how many there were."""
    lost = PipelineRun.objects.filter(stale(), attempt__gte=MAX_ATTEMPTS)
    if pipeline_id is not None:
        lost = lost.filter(pipeline_id=pipeline_id)
    ids = list(lost.values_list("pk", "pipeline_id"))
    given_up = lost.update(
        status=RunStatus.FAILED,
        finished_at=Now(),
        error_code=RunAbandoned.code,
        error=RunAbandoned.message,
    )
    for run, pipeline in ids:
        log.warning("run.given_up", run_id=str(run), pipeline=str(pipeline))
    return given_up


def pause(run: PipelineRun) -> int:
    """Take the run from whoever has it. It keeps what is staged.

    Workers find out with their next beat. A load under way comes to its end in the destination,
    committed or not; the ledger there knows which.
    """
    at_work = PipelineRun.objects.filter(pk=run.pk, status__in=AT_WORK)
    return at_work.update(status=RunStatus.PAUSED)


def cancel(run: PipelineRun) -> int:
    """As a pause does, for good."""
    return PipelineRun.objects.filter(pk=run.pk, status__in=OPEN).update(
        status=RunStatus.FAILED,
        finished_at=Now(),
        error_code=RunCancelled.code,
        error=RunCancelled.message,
    )


def queue_anew(runs: models.QuerySet[PipelineRun]) -> int:
    """Let workers have these runs again, from what is staged, with all their attempts."""
    return runs.update(
        status=RunStatus.QUEUED,
        attempts_before=F("attempts_before") + F("attempt"),
        attempt=0,
        next_try_at=Now(),
        finished_at=None,
        error_code="",
        error="",
        is_judged=False,
    )


class Heartbeat:
    """While entered, keeps a lease from a thread of its own: ``mine`` is the row it is on, as long
    as it is this worker's. ``news`` are columns that are written with each beat, ``then`` is done
    after it, and ``lost`` once the row is not this worker's any more."""

    def __init__(
        self,
        mine: models.QuerySet[Any],
        news: Callable[[], dict[str, Any]] = dict,
        then: Callable[[], None] = lambda: None,
        lost: Callable[[], object] = lambda: None,
    ) -> None:
        self._mine = mine
        self._news = news
        self._then = then
        self._on_loss = lost
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def verify(self) -> None:
        """Raise LeaseLost when another worker has what was held, or may have."""
        if self._lost.is_set():
            raise LeaseLost()

    def _keep(self) -> None:
        beaten = time.monotonic()
        try:
            while not self._stop.wait(conf.lease_s() / BEATS_PER_LEASE):
                try:
                    if not self._mine.update(heartbeat_at=Now(), **self._news()):
                        break
                    beaten = time.monotonic()
                    self._then()
                except DatabaseError:
                    # It may be back before the lease runs out.
                    log.warning("lease.heartbeat_failed")
                    connection.close()
                if time.monotonic() - beaten > conf.lease_s():
                    break
        finally:
            if not self._stop.is_set():
                self._lost.set()
                self._on_loss()
            connection.close()
