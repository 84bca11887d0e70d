"""A team's connection to an outside warehouse."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from warehouse import conf
from warehouse.models.scope import TeamManager
from warehouse.models.sealed import SealedCredentials


class ConnectionMode(models.TextChoices):
    """Where queries on its tables run."""

    SYNC = "sync"
    DIRECT = "direct"
    HYBRID = "hybrid"


class TestStatus(models.TextChoices):
    """How the last test ended."""

    __test__ = False  # keeps test runners from taking it for a test

    NEVER_TESTED = "never_tested"
    PASSED = "passed"
    FAILED = "failed"


class WarehouseConnection(SealedCredentials):
    """A provider's credentials, and how a team wants them used."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    provider = models.CharField(max_length=50)
    mode = models.CharField(max_length=10, choices=ConnectionMode, default=ConnectionMode.DIRECT)
    target = models.CharField(max_length=500, help_text="Where it points, without user or secret.")
    credential_version = models.PositiveIntegerField(default=0, editable=False)
    config = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField(default=True)
    is_default = models.BooleanField(
        default=False, help_text="Where a name in HogQL is ambiguous, it is this one's table."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_tested_at = models.DateTimeField(null=True, blank=True)
    last_test_status = models.CharField(
        max_length=12, choices=TestStatus, default=TestStatus.NEVER_TESTED
    )
    last_test_error = models.CharField(max_length=500, blank=True)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="connection_name_in_team"),
            models.UniqueConstraint(
                fields=["team"], condition=models.Q(is_default=True), name="one_default_of_a_team"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def secret_context(self) -> str:
        return f"team:{self.team_id}/connection:{self.pk}"

    def set_credentials(self, values: dict[str, Any]) -> None:
        """Encrypt and keep ``values``; the version tells pools and caches that they are new."""
        super().set_credentials(values)
        self.credential_version += 1
