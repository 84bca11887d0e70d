"""Answers of warehouses that are kept for a while, and fetches of them under way."""

import uuid

from django.db import models
from django.db.models.functions import Now

from warehouse import conf
from warehouse.models.connection import WarehouseConnection
from warehouse.models.scope import TeamManager
from warehouse.models.sealed import Sealed


class CacheStatus(models.TextChoices):
    """What others who want the answer may do: wait, take it, or fetch it themselves."""

    FETCHING = "fetching"
    READY = "ready"
    NOT_KEPT = "not_kept"


class CachedResult(Sealed):
    """One answer to one query, by its ``key``; of a key, one is ready and one is fetched at most.

    A small one lies here as ``content``, a larger one ``in_store``, in a table that is named after
    ``id``. This row is made before the table, and gone before it: a table without one is nobody's.
    """

    sealed_as = "sealed_inputs"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(
        WarehouseConnection, on_delete=models.CASCADE, related_name="cached_results"
    )
    key = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=CacheStatus, default=CacheStatus.FETCHING)
    created_at = models.DateTimeField(
        db_default=Now(), help_text="When the warehouse was asked; its answer is no newer."
    )
    heartbeat_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(db_default=Now())
    refresh_asked_at = models.DateTimeField(null=True)

    sql = models.TextField(blank=True)
    sealed_inputs = models.TextField(
        blank=True,
        editable=False,
        help_text="The rest of what was asked, encrypted; empty where nobody will ask it again.",
    )
    columns = models.JSONField(default=list)
    content = models.BinaryField(null=True)
    in_store = models.BooleanField(default=True)
    rows = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    truncated = models.BooleanField(default=False)
    run_id = models.CharField(max_length=50, blank=True)
    vendor_query_id = models.CharField(max_length=255, null=True)  # None is unknown
    bytes_scanned = models.BigIntegerField(null=True)
    bytes_billed = models.BigIntegerField(null=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        constraints = [
            models.UniqueConstraint(
                fields=["key", "status"],
                condition=~models.Q(status=CacheStatus.NOT_KEPT),
                name="one_answer_of_a_key",
            ),
        ]
        indexes = [
            models.Index(fields=["key"], name="cached_result_by_key"),
            models.Index(fields=["last_used_at"], name="cached_result_by_use"),
        ]

    @property
    def secret_context(self) -> str:
        return f"team:{self.team_id}/result:{self.pk}"

    def __str__(self) -> str:
        return f"{self.key[:12]} ({self.status})"
