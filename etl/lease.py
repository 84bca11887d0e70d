"""One runner per pipeline: a lease on the run's row, kept by a heartbeat, fenced by a number."""

import threading
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from etl import conf
from etl.errors import LeaseLost, RunAbandoned
from etl.models import Pipeline, PipelineRun, RunStatus, TableRun

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
BEATS_PER_LEASE = 20


def stale_since() -> datetime:
    """A running run whose last heartbeat is older has lost its worker."""
    return timezone.now() - timedelta(seconds=conf.lease_s())


def held(run: PipelineRun) -> models.QuerySet[PipelineRun]:
    """The run's row, if the lease is still this worker's."""
    return PipelineRun.objects.filter(pk=run.pk, fence=run.fence, status=RunStatus.RUNNING)


def claim(run_id: UUID | str) -> PipelineRun | None:
    """Take the run, if it waits or its worker is gone; ``None`` when somebody has it."""
    claimable = Q(status=RunStatus.QUEUED) | Q(
        status=RunStatus.RUNNING, heartbeat_at__lt=stale_since()
    )
    with transaction.atomic():
        free = PipelineRun.objects.filter(claimable, pk=run_id, attempt__lt=MAX_ATTEMPTS)
        # Of two workers with the same message, the second finds the row locked and goes.
        run = free.select_for_update(skip_locked=True, of=("self",)).first()
        if run is None:
            return None
        Pipeline.all_teams.filter(pk=run.pipeline_id).update(fence=F("fence") + 1)
        run.fence = Pipeline.all_teams.values_list("fence", flat=True).get(pk=run.pipeline_id)
        run.status, run.attempt = RunStatus.RUNNING, run.attempt + 1
        run.heartbeat_at = timezone.now()
        run.started_at = run.started_at or run.heartbeat_at
        run.save()
    return run


def give_up_lost(pipeline_id: UUID | None = None) -> int:
    """Fail runs whose workers went away as often as may be; how many there were."""
    lost = PipelineRun.objects.filter(
        status=RunStatus.RUNNING, heartbeat_at__lt=stale_since(), attempt__gte=MAX_ATTEMPTS
    )
    if pipeline_id is not None:
        lost = lost.filter(pipeline_id=pipeline_id)
    return lost.update(
        status=RunStatus.FAILED,
        finished_at=timezone.now(),
        error_code=RunAbandoned.code,
        error=RunAbandoned.message,
    )


class Heartbeat:
    """While entered, keeps the lease and writes progress from a thread of its own."""

    def __init__(self, run: PipelineRun) -> None:
        self._mine = held(run)
        self._fence = run.fence
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.progress: TableRun | None = None

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
        """Raise LeaseLost when another worker has the run."""
        if self._lost.is_set():
            raise LeaseLost()

    def _beat(self) -> None:
        try:
            while not self._stop.wait(conf.lease_s() / BEATS_PER_LEASE):
                if not self._mine.update(heartbeat_at=timezone.now()):
                    self._lost.set()
                    return
                self._write_progress()
        except Exception:
            # Whatever keeps it from beating, the lease runs out; the worker has to stop too.
            log.exception("lease.heartbeat_failed")
            self._lost.set()
        finally:
            connection.close()

    def _write_progress(self) -> None:
        shown = self.progress
        if shown is not None:
            TableRun.objects.filter(pk=shown.pk, run__fence=self._fence).update(
                rows=shown.rows, bytes_staged=shown.bytes_staged
            )
