"""What an alert takes: a channel, a run that failed, and a look at who was told."""

import base64
from typing import Any

from django.utils import timezone

from etl import channels, delivery, incidents, runner
from etl.models import (
    AlertChannel,
    AlertDelivery,
    AlertEvent,
    ChannelKind,
    PipelineRun,
    RunStatus,
)
from warehouse.models import Team

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def make(team: Team, address: str, **values: Any) -> AlertChannel:
    kind = ChannelKind.EMAIL if "@" in address else ChannelKind.WEBHOOK
    secret = {} if kind == ChannelKind.EMAIL else {"secret": SECRET}
    wanted = {"name": "ops", "address": address, "events": AlertEvent.values, **secret, **values}
    return channels.create(AlertChannel(team=team, kind=kind), wanted)


def execute(run: PipelineRun) -> PipelineRun:
    ended = runner.execute(run.pk)
    assert ended is not None
    return ended


def raised() -> list[str]:
    """Events of the alerts so far, oldest first, after a look."""
    incidents.look()
    incidents.look()
    return list(AlertDelivery.objects.order_by("created_at").values_list("event", flat=True))


def newest() -> dict[str, Any]:
    found = AlertDelivery.objects.order_by("-created_at").first()
    assert found is not None
    content: dict[str, Any] = found.content
    return content


def deliver() -> list[AlertDelivery]:
    """What workers do with what is due."""
    sent = [delivery.send(pk, attempt) for pk, attempt in delivery.hand_out()]
    return [one for one in sent if one is not None]


def fail(run: PipelineRun) -> PipelineRun:
    PipelineRun.objects.filter(pk=run.pk).update(
        status=RunStatus.FAILED,
        error_code="connection_lost",
        error="secret-value of a row",
        finished_at=timezone.now(),
    )
    run.refresh_from_db()
    return run
