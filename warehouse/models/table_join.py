"""Joins that a team declares, for queries to follow by name."""

import uuid

from django.conf import settings
from django.db import models

from warehouse import conf
from warehouse.models.scope import TeamManager


class TableJoin(models.Model):
    """From rows of one table to those of another whose keys are equal, under the name ``field``.

    Tables are named as in a query, in full. ``keys`` are pairs: a column here, and the one there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    table = models.CharField(max_length=1000)
    field = models.CharField(max_length=40)
    joined_table = models.CharField(max_length=1000)
    keys = models.JSONField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["team", "table", "field"], name="a_join_of_a_table"),
        ]

    def __str__(self) -> str:
        return f"{self.table}.{self.field}"
