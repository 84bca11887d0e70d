"""Queries, as the team's books have them: who asked what, and what became of it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from warehouse import conf
from warehouse.models.connection import WarehouseConnection
from warehouse.models.scope import TeamManager
from warehouse.models.sealed import Sealed


class QueryOutcome(models.TextChoices):
    """A query waits or runs, and ends in one of three ways."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class QueryRun(Sealed):
    """One query. It is written before anything runs, and again when that is over; where nothing has
    to run, only then.

    ``plan`` is a list of legs: each its connection, the SQL as planned, and an estimate where one
    was made. Values of parameters are not kept, as they may be secret: ``sealed_inputs`` has them
    encrypted, for a run that waits for a worker, until one takes it.

    What is ``null`` is unknown. ``as_of`` and ``source_run_id`` are when a warehouse was asked for
    the rows, and by which run: this one, unless the answer was ``cached``. The rows of a run
    that outlives its request are kept until ``result_expires_at``: as ``content`` here, or
    ``in_store``, in a table that is named after ``id``; ``result_bytes`` are theirs, as Arrow has
    them.
    """

    sealed_as = "sealed_inputs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    connection = models.ForeignKey(
        WarehouseConnection, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    text = models.TextField()
    dialect = models.CharField(max_length=10)
    mode = models.CharField(max_length=10, blank=True)
    plan = models.JSONField(null=True)
    sealed_inputs = models.TextField(blank=True, editable=False)

    estimated_bytes = models.BigIntegerField(null=True)
    cost_low = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    cost_high = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True)
    basis = models.CharField(max_length=20, blank=True)

    outcome = models.CharField(
        max_length=10, choices=QueryOutcome, default=QueryOutcome.RUNNING, db_default="running"
    )
    cached = models.BooleanField(null=True)
    as_of = models.DateTimeField(null=True)
    source_run_id = models.CharField(max_length=36, blank=True)
    vendor_query_id = models.CharField(max_length=255, null=True)  # None is unknown
    rows = models.BigIntegerField(null=True)
    truncated = models.BooleanField(null=True)
    bytes_scanned = models.BigIntegerField(null=True)
    bytes_billed = models.BigIntegerField(null=True)
    amount_billed = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    billed_in = models.CharField(max_length=3, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    error_hint = models.TextField(blank=True)
    error_fields = models.JSONField(default=dict)

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(db_default=Now())
    cancel_asked_at = models.DateTimeField(null=True)

    content = models.BinaryField(null=True)
    in_store = models.BooleanField(default=False)
    result_bytes = models.BigIntegerField(null=True)
    result_expires_at = models.DateTimeField(null=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["-created_at", "id"]
        indexes = [
            models.Index(fields=["team", "-created_at", "id"], name="query_run_newest"),
            models.Index(
                fields=["heartbeat_at"],
                condition=models.Q(outcome=QueryOutcome.RUNNING),
                name="query_run_running",
            ),
            models.Index(
                fields=["result_expires_at"],
                condition=models.Q(result_expires_at__isnull=False),
                name="query_run_kept",
            ),
        ]

    @property
    def duration_s(self) -> float | None:
        """From its start to its end; ``None`` before that, and where it never began."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def secret_context(self) -> str:
        return f"team:{self.team_id}/query:{self.pk}"

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M:%S} {self.outcome}"
