"""A pipeline: which tables go from where to where, and when."""

import uuid

from django.conf import settings
from django.db import models

from warehouse import conf
from warehouse.models import TeamManager, WarehouseConnection


class Pipeline(models.Model):
    """Tables of a source, staged as Parquet in S3, merged into a destination."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    source = models.ForeignKey(WarehouseConnection, on_delete=models.RESTRICT, related_name="+")
    destination = models.ForeignKey(
        WarehouseConnection, on_delete=models.RESTRICT, related_name="+"
    )
    destination_schema = models.CharField(max_length=255)
    stage = models.CharField(
        max_length=255,
        help_text="External stage of the destination, in destination_schema, on the bucket's root.",
    )
    schedule = models.CharField(
        max_length=100, blank=True, help_text="Five cron fields, UTC; empty: only by hand."
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


class PipelineTable(models.Model):
    """One table of a pipeline, and how far it has been moved."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="tables")
    source_schema = models.CharField(max_length=255)
    source_table = models.CharField(max_length=255)
    destination_table = models.CharField(max_length=255)
    watermark = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "destination_table"], name="one_source_per_destination_table"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_schema}.{self.source_table}"
