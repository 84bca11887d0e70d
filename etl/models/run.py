"""Runs of a pipeline: who has it, how far it is, how it ended."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils import timezone

from connectors.types import LoadMode
from etl.models.pipeline import Pipeline, PipelineTable


class RunStatus(models.TextChoices):
    """A run waits, runs, may be paused meanwhile, and ends; one that has failed can be retried."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


AT_WORK = (RunStatus.QUEUED, RunStatus.RUNNING)
OPEN = (*AT_WORK, RunStatus.PAUSED)
"""A pipeline has one such run at most."""


class Trigger(models.TextChoices):
    """What started a run."""

    SCHEDULE = "schedule"
    API = "api"
    COMMAND = "command"


class Step(models.TextChoices):
    """How far a table of a run is. ``staged`` and ``done`` survive a crash."""

    WAITING = "waiting"
    EXTRACTING = "extracting"
    STAGED = "staged"
    LOADING = "loading"
    DONE = "done"


class PipelineRun(models.Model):
    """``fence`` is the fencing token: each claim takes a greater number. A worker whose number is
    not the row's any more changes nothing, here or in the destination. ``next_try_at`` is when a
    queued run's message was due; much later, it is taken for lost. ``attempts_before`` are those
    made before it was retried or resumed, with which it began to count anew.

    ``is_refresh``: every row of its tables is read, to take the place of those in the target.
    ``is_void``: what it was to move where has changed since it failed, so it cannot be retried.
    ``is_judged``: how it ended has been seen, and whoever wants to know was told.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="runs")
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    trigger = models.CharField(max_length=10, choices=Trigger)
    attempt = models.PositiveIntegerField(default=0)
    attempts_before = models.PositiveIntegerField(default=0)
    is_refresh = models.BooleanField(default=False)
    is_void = models.BooleanField(default=False)
    is_judged = models.BooleanField(default=False, editable=False)
    fence = models.BigIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline"],
                condition=Q(status__in=OPEN),
                name="one_open_run_per_pipeline",
            ),
        ]

    @property
    def is_open(self) -> bool:
        """It waits, runs, or is paused."""
        return self.status in OPEN

    @property
    def attempts(self) -> int:
        """How often a worker has taken it up."""
        return self.attempts_before + self.attempt

    @property
    def duration_s(self) -> float | None:
        """From its first start to its end, waits and pauses included; ``None`` before its end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def totals(self) -> "Totals":
        """Sums over its tables."""
        return Totals.of(list(self.tables.all()))

    def __str__(self) -> str:
        return f"{self.pipeline} {self.created_at:%Y-%m-%d %H:%M:%S} {self.status}"


class TableRun(models.Model):
    """One table in one run. ``rows``, ``bytes_staged`` and ``chunks_staged`` are sums over its
    ledger; ``rows_expected`` is the source's own estimate, ``None`` where it has none.

    ``plan`` is how it is read now; ``watermarks`` are those of all snapshots it was read in, of
    which ``watermark`` is the last, and the pipeline's once the rows have arrived. ``drift`` says,
    by column, what differed in the target and what was done about it, ``quarantined`` how many
    values are in quarantine. ``followed_from`` is where
    its log is read from after a full read, ``load_mode`` how what is staged is to be loaded.
    ``note`` says where it is not read as its mode says, and why.

    ``extract_s`` and ``load_s`` are what workers have spent on it in all attempts, ``cost`` what
    the destination charged for the load; ``None`` is not begun, or unknown. ``as_of`` is when the
    snapshot was taken: a moment before it, by the clock of the service's database.
    """

    run = models.ForeignKey(PipelineRun, on_delete=models.CASCADE, related_name="tables")
    table = models.ForeignKey(PipelineTable, on_delete=models.CASCADE, related_name="+")
    step = models.CharField(max_length=10, choices=Step, default=Step.WAITING)
    rows = models.BigIntegerField(default=0)
    rows_expected = models.BigIntegerField(null=True, blank=True)
    bytes_staged = models.BigIntegerField(default=0)
    chunks = models.PositiveIntegerField(default=0)
    chunks_staged = models.PositiveIntegerField(default=0)
    rows_in_target = models.BigIntegerField(null=True, blank=True)
    quarantined = models.PositiveBigIntegerField(default=0)
    location = models.CharField(max_length=500, blank=True)
    manifest = models.CharField(max_length=100, default="manifest.json")
    plan = models.JSONField(null=True, blank=True)
    watermarks = models.JSONField(default=list, blank=True)
    watermark = models.JSONField(null=True, blank=True)
    followed_from = models.JSONField(null=True, blank=True)
    load_mode = models.CharField(max_length=10, default=LoadMode.MERGE.value)
    drift = models.JSONField(default=dict, blank=True)
    note = models.CharField(max_length=500, blank=True)
    extract_s = models.FloatField(null=True, blank=True)
    load_s = models.FloatField(null=True, blank=True)
    cost = models.JSONField(null=True, blank=True)
    as_of = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "table"], name="a_table_once_per_run"),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.step}"

    @property
    def load_id(self) -> str:
        """What the destination's ledger calls that which this run loads into the table's target.

        Where a target is to be made, the manifest has one that begins so, and is of one attempt.
        """
        return f"{self.run_id}-{self.table_id}"

    @property
    def rows_per_s(self) -> float | None:
        """Rows read a second so far; ``None`` before it has begun."""
        return self.rows / self.extract_s if self.extract_s else None

    @property
    def eta_s(self) -> float | None:
        """When all is staged, at the speed so far; ``None`` while unknown, and when it is."""
        if self.step != Step.EXTRACTING or not self.extract_s:
            return None
        if self.rows_expected and 0 < self.rows <= self.rows_expected:
            return self.extract_s * (self.rows_expected - self.rows) / self.rows
        if 0 < self.chunks_staged < self.chunks:
            return self.extract_s * (self.chunks - self.chunks_staged) / self.chunks_staged
        return None


@dataclass(frozen=True)
class Totals:
    """A run in numbers. ``eta_s`` and ``cost`` are ``None`` where one of their parts is unknown;
    ``cost`` counts what has been loaded so far."""

    rows: int
    bytes_staged: int
    chunks: int
    chunks_staged: int
    rows_per_s: float | None
    eta_s: float | None
    cost: dict[str, str] | None

    @classmethod
    def of(cls, tables: Sequence[TableRun]) -> "Totals":
        rows = sum(table.rows for table in tables)
        extract_s = sum(table.extract_s or 0 for table in tables)
        left = [t.eta_s for t in tables if t.step in (Step.WAITING, Step.EXTRACTING)]
        known = [eta for eta in left if eta is not None]
        return cls(
            rows=rows,
            bytes_staged=sum(table.bytes_staged for table in tables),
            chunks=sum(table.chunks for table in tables),
            chunks_staged=sum(table.chunks_staged for table in tables),
            rows_per_s=rows / extract_s if extract_s else None,
            eta_s=sum(known) if left and len(known) == len(left) else None,
            cost=_sum_of_costs([table.cost for table in tables if table.load_s is not None]),
        )


def _sum_of_costs(costs: Sequence[dict[str, str] | None]) -> dict[str, str] | None:
    known = [cost for cost in costs if cost is not None]
    kinds = {(cost["currency"], cost["basis"]) for cost in known}
    if len(known) < len(costs) or len(kinds) != 1:
        return None
    sums = {end: str(sum(Decimal(cost[end]) for cost in known)) for end in ("low", "high")}
    return known[0] | sums
