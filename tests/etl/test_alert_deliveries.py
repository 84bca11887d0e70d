"""How alerts leave: signed, tried again, by e-mail, and given up."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from connectors import webhook
from etl import channels, delivery, incidents, pipelines, tasks
from etl.models import (
    AlertChannel,
    AlertDelivery,
    DeliveryStatus,
    Pipeline,
    PipelineRun,
)
from tests.etl import receivers
from tests.etl.alerting import KEY, deliver, fail, make
from tests.etl.compare import broker_messages
from tests.etl.receivers import Receiver
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]


def test_webhook_is_signed_and_has_an_id_to_know_it_by(
    channel: AlertChannel, receiver: Receiver, start: Start
) -> None:
    receiver.status = 500
    run = fail(start())
    tasks.watch_pipelines()
    (one,) = AlertDelivery.objects.all()
    tasks.deliver_alert(str(one.pk), 0)
    tasks.deliver_alert(str(one.pk), 0)
    one.refresh_from_db()
    assert (one.status, one.attempts, one.error_code) == ("waiting", 1, "not_delivered")
    assert one.error == "The receiver answered with HTTP status 500."
    assert delivery.hand_out() == []
    receiver.status = 200
    AlertDelivery.objects.update(next_try_at=timezone.now())
    (again,) = deliver()
    assert (again.status, again.attempts) == (DeliveryStatus.DELIVERED, 2)
    assert again.delivered_at is not None
    assert deliver() == []
    assert len(receiver.came) == 2
    for _, headers, body in receiver.came:
        assert headers["webhook-id"] == str(one.pk)
        sent_at = int(headers["webhook-timestamp"])
        signed = webhook.signed(KEY, str(one.pk), sent_at, body)
        assert headers["webhook-signature"] == signed["webhook-signature"]
        message = json.loads(body)
        assert (message["type"], message["id"]) == ("pipeline.failed", str(one.pk))
        assert message["data"]["run_id"] == str(run.pk)


def test_delivery_is_tried_later_and_later_and_then_given_up(
    channel: AlertChannel, receiver: Receiver, start: Start
) -> None:
    receiver.status = 503
    fail(start())
    incidents.look()
    waits = []
    for _ in range(len(delivery.RETRY_AFTER_S)):
        AlertDelivery.objects.update(next_try_at=timezone.now())
        (one,) = deliver()
        waits.append((one.next_try_at - timezone.now()).total_seconds())
    assert [round(wait, -1) for wait in waits] == list(delivery.RETRY_AFTER_S)
    AlertDelivery.objects.update(next_try_at=timezone.now())
    (last,) = deliver()
    assert (last.status, last.attempts) == (DeliveryStatus.FAILED, 8)
    assert deliver() == []


def test_delivery_whose_worker_died_is_handed_out_again(
    channel: AlertChannel, receiver: Receiver, start: Start
) -> None:
    fail(start())
    incidents.look()
    (given,) = delivery.hand_out()
    assert delivery.hand_out() == []
    AlertDelivery.objects.update(next_try_at=timezone.now())
    assert delivery.hand_out() == [given]
    assert delivery.send(*given) is not None
    assert delivery.send(*given) is None
    assert len(receiver.came) == 1


def test_messages_of_the_queue_hold_ids_only(
    channel: AlertChannel, start: Start, settings: Any
) -> None:
    broker_messages(settings.CELERY_BROKER_URL)
    fail(start())
    tasks.watch_pipelines()
    (one,) = AlertDelivery.objects.all()
    assert broker_messages(settings.CELERY_BROKER_URL) == [
        {"task": "etl.deliver_alert", "kwargs": {"delivery_id": str(one.pk), "attempt": 0}}
    ]


def test_email_arrives_over_smtp(
    team: Team, start: Start, pipeline: Pipeline, settings: Any
) -> None:
    pipelines.update(pipeline, {"name": "night\r\nBcc: all@example.com"})
    make(team, "ops@example.com")
    fail(start())
    incidents.look()
    with receivers.mail_sink() as (port, came):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        (sent,) = deliver()
    assert sent.status == DeliveryStatus.DELIVERED
    ((to, message),) = came
    assert to == ["ops@example.com"]
    assert message["Subject"] == "night Bcc: all@example.com: failed"
    assert message["Bcc"] is None
    assert str(sent.pk) in message["Message-ID"]
    assert "connection_lost" in message.get_content()


@pytest.mark.parametrize(
    ("host", "code"), [("", "mail_not_configured"), ("127.0.0.1", "not_delivered")]
)
def test_email_that_cannot_be_sent_waits(
    team: Team, start: Start, settings: Any, host: str, code: str
) -> None:
    make(team, "ops@example.com")
    fail(start())
    incidents.look()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = host, 1
    (sent,) = deliver()
    assert (sent.status, sent.error_code) == (DeliveryStatus.WAITING, code)


def test_channel_that_is_switched_off_gets_nothing_any_more(
    channel: AlertChannel, receiver: Receiver, start: Start
) -> None:
    fail(start())
    incidents.look()
    channels.update(channel, {"is_active": False})
    (sent,) = deliver()
    assert (sent.status, sent.error_code) == (DeliveryStatus.FAILED, "channel_paused")
    assert receiver.came == []
