"""Who is told when a pipeline needs somebody: channels, incidents, and what was sent."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from etl.models.pipeline import Pipeline
from warehouse import conf
from warehouse.models import SealedCredentials, TeamManager


class AlertEvent(models.TextChoices):
    """What an alert is about.

    ``failed``: a run has used its attempts. ``stale``: a target is older than it may be.
    ``drift``: columns were altered, left out, or stopped a run. ``quarantine``: values became NULL,
    or stopped a run. ``recovered``: the pipeline is not failed, or not stale, any more.
    """

    FAILED = "failed"
    STALE = "stale"
    DRIFT = "drift"
    QUARANTINE = "quarantine"
    RECOVERED = "recovered"


class ChannelKind(models.TextChoices):
    WEBHOOK = "webhook"
    EMAIL = "email"


class AlertChannel(SealedCredentials):
    """Where a team wants to be told of which events, of every pipeline or of some.

    Address and secret are kept as credentials are: an address may hold a token of the receiver's.
    ``target`` is what is shown of it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(conf.TEAM_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=ChannelKind)
    target = models.CharField(max_length=500, help_text="Where it points, without any secret.")
    events = models.JSONField(default=list)
    every_pipeline = models.BooleanField(default=True)
    pipelines = models.ManyToManyField(Pipeline, blank=True, related_name="+")
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
            models.UniqueConstraint(fields=["team", "name"], name="alert_channel_name_in_team"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def secret_context(self) -> str:
        return f"team:{self.team_id}/alert_channel:{self.pk}"


class Incident(models.Model):
    """A state of a pipeline that somebody was told of, and is not told of again while it lasts.

    ``about`` are its parts (columns, for example): only one that was not there yet is told anew.
    """

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="incidents")
    event = models.CharField(max_length=10, choices=AlertEvent)
    about = models.JSONField(default=list)
    opened_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "event"],
                condition=Q(ended_at=None),
                name="one_open_incident_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pipeline} {self.event}"


class DeliveryStatus(models.TextChoices):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class AlertDelivery(models.Model):
    """One alert to one channel. Its id goes along, for the receiver to tell a repetition by.

    ``next_try_at`` is when it is given to the workers again, unless it has arrived by then.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="+")
    event = models.CharField(max_length=10, choices=AlertEvent)
    content = models.JSONField()
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel} {self.status}"
