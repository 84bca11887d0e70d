"""A pipeline: which tables go from where to where, and when."""

import uuid
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from connectors.types import Contract
from warehouse import conf
from warehouse.models import TeamManager, WarehouseConnection

MAX_SOURCE_LOAD = 32
MIN_SOURCE_MB_S = Decimal("0.1")
MAX_SWEEP_HOURS = 365 * 24
MAX_STALE_MINUTES = 366 * 24 * 60


class Pipeline(models.Model):
    """Tables of a source, staged as Parquet in S3, merged into a destination.

    Without a ``destination`` they are kept in the team's own store, under names of ours.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    source = models.ForeignKey(WarehouseConnection, on_delete=models.RESTRICT, related_name="+")
    destination = models.ForeignKey(
        WarehouseConnection,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="+",
        help_text="Empty: the team's store.",
    )
    destination_schema = models.CharField(
        max_length=255, blank=True, help_text="Empty for the store."
    )
    stage = models.CharField(
        max_length=255,
        blank=True,
        help_text="How the destination reaches the bucket of the staged files: the name of an "
        "external stage in destination_schema (Snowflake), the ARN of an IAM role (Redshift), "
        "or nothing.",
    )
    schedule = models.CharField(
        max_length=100, blank=True, help_text="Five cron fields, UTC; empty: only by hand."
    )
    # One: a source has other work than ours, and whoever lets us take more of it says so.
    max_source_load = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_SOURCE_LOAD)],
        help_text="How many sessions may read the source at once.",
    )
    max_source_mb_s = models.DecimalField(
        null=True,
        blank=True,
        max_digits=6,
        decimal_places=1,
        validators=[MinValueValidator(MIN_SOURCE_MB_S)],
        help_text="How many MB of rows a second may be read from the source, by all sessions "
        "together; empty: as many as there are.",
    )
    contract = models.CharField(
        max_length=10,
        choices=[(contract.value, contract.value) for contract in Contract],
        default=Contract.EVOLVE.value,
        help_text="Where columns differ: evolve alters the target, freeze stops, quarantine "
        "goes on with the columns that both have.",
    )
    quarantine_limit = models.PositiveIntegerField(
        default=0,
        help_text="How many values of a table a run may set to NULL and put into quarantine "
        "because they cannot be carried exactly; at one more it stops, and loads nothing of it.",
    )
    stale_after_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_STALE_MINUTES)],
        help_text="When what a target has is older than that, the pipeline is stale; empty: never.",
    )
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="pipeline_name_in_team"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_stale(self) -> bool:
        """A table's rows are older than they may be, or have not come since the last change."""
        if self.stale_after_minutes is None:
            return False
        oldest = timezone.now() - timedelta(minutes=self.stale_after_minutes)
        return any((table.as_of or self.updated_at) < oldest for table in self.tables.all())


class ReadMode(models.TextChoices):
    """What a run reads of a table.

    ``xid``: rows whose transaction had not ended by the last run; deletes are not seen. ``full``:
    all of them, in place of those in the target. ``cdc``: what the source's own log has, deletes
    and truncates too. ``append``: of a table into which rows are only inserted, those that no run
    has read yet, each once. ``cursor``: those whose ``cursor_column`` says that they are new, and
    every ``sweep_hours`` as ``xid``.
    """

    XID = "xid"
    CURSOR = "cursor"
    FULL = "full"
    CDC = "cdc"
    APPEND = "append"


class Deletes(models.TextChoices):
    """What becomes of rows that were deleted at the source, in a mode that does not see them.

    ``kept``: they stay in the target. ``compared``: all keys are read as well, and rows whose key
    is not among them leave.
    """

    KEPT = "kept"
    COMPARED = "compared"


class PipelineTable(models.Model):
    """One table of a pipeline, and how far it has been moved. ``as_of``: whatever was committed at
    the source by then is in the target."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="tables")
    source_schema = models.CharField(max_length=255)
    source_table = models.CharField(max_length=255)
    destination_table = models.CharField(max_length=255)
    mode = models.CharField(
        max_length=10,
        choices=ReadMode,
        default=ReadMode.XID,
        help_text="xid: rows written since the last run; cursor: the same by a column of times; "
        "full: all rows, every time; cdc: from the source's log, with deletes; append: new rows "
        "of a table that only grows, without a key.",
    )
    cursor_column = models.CharField(
        max_length=255,
        blank=True,
        help_text="In mode cursor: an indexed timestamptz, timestamp or date, which the source's "
        "own clock sets whenever a row is written.",
    )
    sweep_hours = models.PositiveIntegerField(
        default=24,
        validators=[MaxValueValidator(MAX_SWEEP_HOURS)],
        help_text="In mode cursor: after so many hours a run looks for rows that the column does "
        "not tell of, as in mode xid; 0: every run does.",
    )
    deletes = models.CharField(
        max_length=10,
        choices=Deletes,
        default=Deletes.KEPT,
        help_text="In modes xid and cursor: kept leaves rows in the target that were deleted at "
        "the source; compared reads all keys, at every run or sweep, and takes them out.",
    )
    delete_limit_percent = models.PositiveSmallIntegerField(
        default=10,
        validators=[MaxValueValidator(100)],
        help_text="Of the target's rows, how many may leave at once because their key was not "
        "found; where there are more, the run stops and loads nothing of the table.",
    )
    columns = models.JSONField(
        default=list, blank=True, help_text="The columns to move, and those of the key; []: all."
    )
    key_columns = models.JSONField(
        default=list,
        blank=True,
        help_text="The columns by which rows are told apart, where the source declares no primary "
        "key; []: the source's.",
    )
    watermark = models.JSONField(null=True, blank=True, editable=False)
    # What the destination's ledger calls the load that brought the target up to the watermark.
    last_load = models.CharField(max_length=100, blank=True, editable=False)
    as_of = models.DateTimeField(null=True, blank=True, editable=False)

    @property
    def lag_s(self) -> float | None:
        """How far the target may be behind the source; ``None`` before the first load."""
        if self.as_of is None:
            return None
        return max(0.0, (timezone.now() - self.as_of).total_seconds())

    @property
    def retained_bytes(self) -> int | None:
        """How much log the source keeps for it; ``None`` where it keeps none, or nobody knows."""
        return next((kept.retained_bytes for kept in self.followed.all()), None)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "destination_table"], name="one_source_per_destination_table"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_schema}.{self.source_table}"
