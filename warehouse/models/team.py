"""Teams and their members."""

import uuid

from django.apps import apps
from django.conf import settings
from django.db import models

from warehouse import conf
from warehouse.models.scope import TeamManager


class Team(models.Model):
    """A tenant. A host project replaces it with WAREHOUSE_TEAM_MODEL."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        swappable = "WAREHOUSE_TEAM_MODEL"

    def __str__(self) -> str:
        return self.name


def team_model() -> type[models.Model]:
    """The model that owns connections: ours, or the host project's."""
    return apps.get_model(conf.TEAM_MODEL)


class Membership(models.Model):
    """A user's role in a team."""

    class RoleName(models.TextChoices):
        VIEWER = "viewer"
        ANALYST = "analyst"
        ADMIN = "admin"

    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="warehouse_memberships"
    )
    role = models.CharField(max_length=10, choices=RoleName)

    all_teams = models.Manager()
    objects = TeamManager()

    class Meta:
        default_manager_name = "all_teams"
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="one_role_per_member"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"
