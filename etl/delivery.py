"""How an alert gets to its channel: at least once, later if need be, with an id to know it by."""

import json
import smtplib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.core.mail import EmailMessage
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from connectors import webhook
from connectors.errors import ConnectorError, NotDelivered
from etl import conf
from etl.errors import ChannelPaused, MailNotConfigured
from etl.models import AlertChannel, AlertDelivery, ChannelKind, DeliveryStatus
from warehouse import connections

log = structlog.get_logger(__name__)

RETRY_AFTER_S = (10, 60, 300, 1_800, 7_200, 21_600, 43_200)
"""How long after each attempt in vain the next one comes; after the last, none does."""
HANDED_OUT_S = 120
"""A worker that was given a delivery and has not said what became of it is gone by then."""
AT_ONCE = 200


@dataclass(frozen=True)
class Message:
    """What a channel is sent. ``data`` holds nothing of the rows that are moved."""

    id: str
    type: str
    subject: str
    text: str
    data: Mapping[str, Any]

    def as_json(self, sent_at: int) -> bytes:
        body = {
            "type": self.type,
            "id": self.id,
            "timestamp": sent_at,
            "text": self.text,
            "data": self.data,
        }
        return json.dumps(body).encode()


def hand_out() -> list[tuple[UUID, int]]:
    """Ids of the deliveries whose time has come, with the attempts made; each to one caller."""
    due = AlertDelivery.objects.filter(
        status=DeliveryStatus.WAITING, next_try_at__lte=Now()
    ).order_by("next_try_at")
    later = Now() + timedelta(seconds=HANDED_OUT_S)
    found = due.values_list("pk", "attempts")[:AT_ONCE]
    return [
        (pk, attempts)
        for pk, attempts in found
        if due.filter(pk=pk, attempts=attempts).order_by().update(next_try_at=later)
    ]


def send(delivery_id: UUID | str, attempt: int) -> AlertDelivery | None:
    """Try once, and write down what became of it; ``None`` when another worker has this attempt.

    A worker that dies between the two leaves it to be sent again, under the same id.
    """
    mine = AlertDelivery.objects.filter(
        pk=delivery_id, status=DeliveryStatus.WAITING, attempts=attempt
    )
    if not mine.update(attempts=F("attempts") + 1):
        return None
    delivery = AlertDelivery.objects.select_related("channel").get(pk=delivery_id)
    try:
        if not delivery.channel.is_active:
            raise ChannelPaused()
        transmit(delivery.channel, _message(delivery))
    except ConnectorError as exc:
        _note_failure(delivery, exc)
    else:
        delivery.status, delivery.delivered_at = DeliveryStatus.DELIVERED, timezone.now()
        delivery.error_code = delivery.error = ""
    delivery.save()
    log.info(
        "alert.sent",
        delivery=str(delivery.pk),
        channel=str(delivery.channel_id),
        status=delivery.status,
        attempts=delivery.attempts,
        code=delivery.error_code,
    )
    return delivery


def _note_failure(delivery: AlertDelivery, error: ConnectorError) -> None:
    delivery.error_code, delivery.error = error.code, error.detail[:500]
    if isinstance(error, ChannelPaused) or delivery.attempts > len(RETRY_AFTER_S):
        delivery.status = DeliveryStatus.FAILED
        return
    wait_s = RETRY_AFTER_S[delivery.attempts - 1]
    delivery.next_try_at = timezone.now() + timedelta(seconds=wait_s)


def try_out(channel: AlertChannel) -> None:
    """Send a test alert; raises what ``transmit`` raises."""
    message = Message(
        id=str(uuid4()),
        type="test",
        subject="Test alert",
        text=f"This is a test of the alert channel {_one_line(channel.name)}.",
        data={"channel_id": str(channel.pk), "team_id": str(channel.team_id)},
    )
    transmit(channel, message)


def transmit(channel: AlertChannel, message: Message) -> None:
    """Bring a message to the channel's address.

    Raises HostRefused, HostUnknown, NotDelivered, MailNotConfigured, CredentialsUnreadable.
    """
    values = channel.read_credentials()
    if channel.kind == ChannelKind.EMAIL:
        _mail(values["address"], message)
        return
    sent_at = int(time.time())
    body = message.as_json(sent_at)
    headers = {"content-type": "application/json", "user-agent": "warehouse-alerts"}
    headers |= webhook.signed(webhook.secret_of(values["secret"]), message.id, sent_at, body)
    status = webhook.post(values["address"], body, headers, connections.network_policy())
    if not 200 <= status < 300:
        raise NotDelivered(f"The receiver answered with HTTP status {status}.")


def _mail(address: str, message: Message) -> None:
    if not conf.mail_is_set():
        raise MailNotConfigured()
    mail = EmailMessage(
        subject=message.subject,
        body=message.text,
        to=[address],
        headers={"Message-ID": f"<{message.id}@warehouse.alerts>", "X-Alert-Id": message.id},
    )
    try:
        mail.send()
    except (OSError, smtplib.SMTPException) as exc:
        log.warning("mail.failed", error=type(exc).__name__)
        raise NotDelivered("The mail server did not take the e-mail.") from exc


def _message(delivery: AlertDelivery) -> Message:
    content = delivery.content
    return Message(
        id=str(delivery.pk),
        type=f"pipeline.{delivery.event}",
        subject=_one_line(content["subject"]),
        text=content["text"],
        data=content["data"],
    )


def _one_line(text: str) -> str:
    """A name may hold anything; a subject is one line."""
    return " ".join(text.split())
