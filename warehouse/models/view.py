"""Saved queries of a team, and what the store keeps of their answers."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from warehouse import conf
from warehouse.models.connection import WarehouseConnection
from warehouse.models.scope import TeamManager


class View(models.Model):
    """A query in HogQL under a name that other queries may read.

    ``columns`` and ``inputs`` are those of the query as it was last resolved. What is kept of its
    answer, in the store or in ``target``, is ``store_table``, with ``store_columns``; it is empty
    where there is nothing that the query as it is now has given. ``store_bucket`` is the bucket
    whose marks lie there.
    ``lost`` are the names of connections that it read, and that have been deleted since.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    query = models.TextField()
    is_materialized = models.BooleanField(default=False)
    schedule = models.CharField(
        max_length=100, blank=True, help_text="Five cron fields, UTC; empty: at no time."
    )
    after_inputs = models.BooleanField(
        default=False, help_text="Refresh it after each load of a table or view that it reads."
    )
    bucket = models.CharField(
        max_length=255,
        blank=True,
        help_text="The column of the result by which it is refreshed in part; empty: always whole.",
    )
    target = models.ForeignKey(
        WarehouseConnection,
        null=True,
        on_delete=models.RESTRICT,
        related_name="+",
        help_text="The warehouse that keeps its rows; empty: the team's store.",
    )
    target_schema = models.CharField(max_length=255, blank=True)
    target_table = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    columns = models.JSONField(default=list)
    inputs = models.JSONField(default=list)
    lost = models.JSONField(default=list)
    store_table = models.CharField(max_length=255, blank=True)
    store_columns = models.JSONField(default=list)
    store_bucket = models.CharField(max_length=255, blank=True)
    rows = models.BigIntegerField(null=True)
    as_of = models.DateTimeField(null=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint("team", Lower("name"), name="view_name_in_team"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> dict[str, object]:
        """Where its rows are kept."""
        names = ("target_id", "target_schema", "target_table")
        return {name: getattr(self, name) for name in names}


class RefreshStatus(models.TextChoices):
    """A refresh waits, runs, and ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefreshTrigger(models.TextChoices):
    """What asked for a refresh; ``inputs``: something that the view reads was loaded."""

    API = "api"
    SCHEDULE = "schedule"
    INPUTS = "inputs"


class ViewRefresh(models.Model):
    """One refresh of a view; of a view, one waits and one runs at most.

    ``fence`` is the fencing token, as a pipeline's run has it. ``follows`` are the refreshes that
    must succeed before this one begins. Of bytes and money ``null`` is unknown; what it was to
    cost was estimated before it asked a warehouse.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    view = models.ForeignKey(View, on_delete=models.CASCADE, related_name="refreshes")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="next")
    status = models.CharField(max_length=10, choices=RefreshStatus, default=RefreshStatus.QUEUED)
    trigger = models.CharField(max_length=10, choices=RefreshTrigger)
    attempt = models.PositiveIntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    mode = models.CharField(max_length=10, blank=True)
    is_incremental = models.BooleanField(null=True)  # None: not known before it has begun
    rows = models.BigIntegerField(null=True)
    rows_computed = models.BigIntegerField(null=True)
    bytes_scanned = models.BigIntegerField(null=True)
    bytes_billed = models.BigIntegerField(null=True)
    amount_billed = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    billed_in = models.CharField(max_length=3, blank=True)
    estimated_bytes = models.BigIntegerField(null=True)
    cost_low = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    cost_high = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True)
    basis = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.CharField(max_length=500, blank=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["view", "status"],
                condition=models.Q(status__in=[RefreshStatus.QUEUED, RefreshStatus.RUNNING]),
                name="one_refresh_waits_and_one_runs",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.view} ({self.status})"
