"""Who is told of what: once an incident, at least once a channel, and nothing of the data."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from connectors import webhook
from connectors.errors import InvalidInput
from etl import channels, delivery, incidents, lease, pipelines, runner, steering, tasks
from etl.models import (
    AlertChannel,
    AlertDelivery,
    AlertEvent,
    ChannelKind,
    DeliveryStatus,
    Incident,
    Pipeline,
    PipelineRun,
    PipelineTable,
    RunStatus,
    Trigger,
)
from tests.etl import receivers
from tests.etl.compare import Vault, broker_messages
from tests.etl.receivers import Receiver
from warehouse import secrets
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
Clients = Callable[[str], APIClient]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A web server on this machine that the operator allows."""
    with receivers.receiver() as found:
        port = found.url.split("/")[2]
        settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = [
            *settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS,
            port,
        ]
        yield found


def make(team: Team, address: str, **values: Any) -> AlertChannel:
    kind = ChannelKind.EMAIL if "@" in address else ChannelKind.WEBHOOK
    secret = {} if kind == ChannelKind.EMAIL else {"secret": SECRET}
    wanted = {"name": "ops", "address": address, "events": AlertEvent.values, **secret, **values}
    return channels.create(AlertChannel(team=team, kind=kind), wanted)


@pytest.fixture
def channel(team: Team, receiver: Receiver) -> AlertChannel:
    return make(team, receiver.url)


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


# When somebody is told


def test_failure_is_told_once_until_the_pipeline_has_recovered(
    channel: AlertChannel, start: Start
) -> None:
    for _ in range(3):
        run = execute(start())
        assert (run.status, run.error_code) == (RunStatus.FAILED, "object_not_found")
    assert raised() == ["failed"]
    told = newest()
    assert told["subject"] == "nightly: failed"
    assert told["data"]["code"] == "object_not_found"
    assert told["data"]["tables"] == [{"table": "public.records", "step": "waiting"}]
    steering.retry(run)
    assert raised() == ["failed"]
    steering.cancel(run)
    assert raised() == ["failed"]


def test_recovery_is_told_once_and_the_next_failure_again(
    channel: AlertChannel, records: Add, start: Start
) -> None:
    fail(start())
    assert raised() == ["failed"]
    records(5)
    execute(start())
    assert raised() == ["failed", "recovered"]
    assert newest()["data"]["recovered_from"] == "failed"
    execute(start())
    fail(start())
    assert raised() == ["failed", "recovered", "failed"]


def test_run_that_is_queued_again_is_no_failure_yet(
    channel: AlertChannel, records: Add, start: Start, settings: Any
) -> None:
    records(1)
    settings.STAGE_S3_BUCKET = "no-such-bucket"
    run = start()
    for attempt in range(1, lease.MAX_ATTEMPTS + 1):
        assert execute(run).attempt == attempt
        assert raised() == (["failed"] if attempt == lease.MAX_ATTEMPTS else [])


def test_lost_and_parked_run_is_told(channel: AlertChannel, start: Start) -> None:
    run = start()
    for _ in range(lease.MAX_ATTEMPTS):
        assert lease.claim(run.pk) is not None
        PipelineRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    tasks.recover_runs()
    assert raised() == ["failed"]
    assert newest()["data"]["code"] == "run_abandoned"


def test_pause_and_cancel_are_told_to_nobody(
    channel: AlertChannel, start: Start, pipeline: Pipeline
) -> None:
    run = start()
    steering.pause(pipeline)
    assert raised() == []
    steering.cancel(run)
    assert raised() == []


def test_staleness_is_told_once_until_it_is_over(
    channel: AlertChannel, records: Add, start: Start, pipeline: Pipeline
) -> None:
    pipelines.update(pipeline, {"stale_after_minutes": 30})
    assert raised() == []
    long_ago = timezone.now() - timedelta(hours=1)
    Pipeline.all_teams.update(updated_at=long_ago)
    assert raised() == ["stale"]
    assert newest()["data"]["tables"] == [{"table": "public.records", "as_of": None, "lag_s": None}]
    records(1)
    execute(start())
    assert raised() == ["stale", "recovered"]
    assert newest()["data"]["recovered_from"] == "stale"
    PipelineTable.objects.update(as_of=long_ago)
    assert raised() == ["stale", "recovered", "stale"]
    pipelines.update(pipeline, {"stale_after_minutes": None})
    assert raised()[-1] == "recovered"


def test_drift_is_told_by_column_and_not_again_while_it_lasts(
    channel: AlertChannel, records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    pipelines.update(pipeline, {"contract": "quarantine"})
    records(5)
    execute(start())
    vault.execute("ALTER TABLE records ADD extra int")
    for _ in range(2):
        assert execute(start()).status == RunStatus.SUCCEEDED
    assert raised() == ["drift"]
    assert [one["column"].lower() for one in newest()["data"]["columns"]] == ["extra"]
    vault.execute("ALTER TABLE records ADD more int")
    execute(start())
    assert raised() == ["drift", "drift"]
    pipelines.update(pipeline, {"contract": "freeze"})
    execute(start())
    assert raised() == ["drift", "drift", "failed"]


def test_quarantine_is_told_by_count_column_and_reason_and_never_by_value(
    channel: AlertChannel, records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    records(5)
    vault.execute("UPDATE records SET amount = 'NaN' WHERE key::int < 3")
    assert execute(start()).error_code == "quarantine_full"
    assert raised() == ["failed", "quarantine"]
    pipelines.update(pipeline, {"quarantine_limit": 10})
    execute(start())
    assert raised() == ["failed", "quarantine", "recovered"]
    Incident.objects.all().delete()
    AlertDelivery.objects.all().delete()
    vault.execute("UPDATE records SET metadata = '{}' WHERE key::int < 3")
    execute(start())
    assert raised() == ["quarantine"]
    (value,) = newest()["data"]["values"]
    assert value == {
        "table": "public.records",
        "column": "amount",
        "reason": "not_a_number",
        "count": 2,
    }
    said = json.dumps([one.content for one in AlertDelivery.objects.all()])
    assert "NaN" not in said
    assert "tenant" not in said


def test_text_of_an_error_stays_here(channel: AlertChannel, start: Start) -> None:
    fail(start())
    assert raised() == ["failed"]
    assert "secret-value" not in json.dumps(newest())
    assert "connection to the warehouse was lost" in newest()["text"]


def test_channel_hears_of_its_events_and_pipelines_only(
    team: Team, other_team: Team, start: Start, pipeline: Pipeline
) -> None:
    other = Pipeline.all_teams.get(pk=pipeline.pk)
    other.pk, other.name = None, "other"
    other._state.adding = True
    other.save()
    heard = {
        "all": make(team, "a@example.com", name="all"),
        "this": make(team, "b@example.com", name="this", pipelines=[pipeline.pk]),
        "that": make(team, "c@example.com", name="that", pipelines=[other.pk]),
        "stale": make(team, "d@example.com", name="stale", events=["stale"]),
        "off": make(team, "e@example.com", name="off", is_active=False),
        "theirs": make(other_team, "f@example.com", name="theirs"),
    }
    fail(start())
    incidents.look()
    assert {name for name, one in heard.items() if one.deliveries.exists()} == {"all", "this"}
    pipelines.delete(other)
    heard["that"].refresh_from_db()
    assert not heard["that"].every_pipeline


# How it gets there


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


# Secrets


def test_address_and_secret_are_encrypted_and_fit_their_row_only(
    channel: AlertChannel, receiver: Receiver, other_team: Team
) -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text FROM etl_alertchannel AS t")
        text = cursor.fetchone()[0]
    assert "hook?team" not in text
    assert base64.b64encode(KEY).decode() not in text
    assert channel.read_credentials() == {"address": receiver.url, "secret": SECRET}
    channel.team = other_team
    with pytest.raises(secrets.CredentialsUnreadable):
        channel.read_credentials()


# Over the API


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/alert_channels/"


@pytest.fixture
def body(receiver: Receiver) -> dict[str, Any]:
    return {"name": "ops", "kind": "webhook", "address": receiver.url, "secret": SECRET}


def test_channel_is_made_tried_changed_and_deleted(
    alice: APIClient, url: str, body: dict[str, Any], receiver: Receiver, pipeline: Pipeline
) -> None:
    made = alice.post(url, body)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert shown["target"] == "http://" + receiver.url.split("/")[2]
    assert shown["events"] == AlertEvent.values
    assert shown["pipelines"] is None
    one = f"{url}{shown['id']}/"
    for text in (made, alice.get(one), alice.get(url)):
        assert "hook?" not in text.content.decode()
        assert "whsec" not in text.content.decode()
    assert alice.post(f"{one}test/").json() == {
        "ok": True,
        "code": "",
        "detail": "It was taken.",
        "hint": "",
    }
    assert json.loads(receiver.came[0][2])["type"] == "test"
    changed = alice.patch(one, {"pipelines": [str(pipeline.pk)], "events": ["stale"]}).json()
    assert (changed["pipelines"], changed["events"]) == ([str(pipeline.pk)], ["stale"])
    assert alice.patch(one, {"pipelines": None}).json()["pipelines"] is None
    other = "whsec_" + base64.b64encode(b"y" * 32).decode()
    assert alice.patch(one, {"secret": other}).status_code == 200
    assert alice.post(f"{one}test/").json()["ok"] is True
    assert alice.delete(one).status_code == 204
    assert alice.get(one).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": "http://user:pw@example.com/"}, "address"),
        ({"address": "ftp://example.com"}, "address"),
        ({"address": "nowhere"}, "address"),
        ({"secret": "hunter2"}, "secret"),
        ({"secret": None}, "secret"),
        ({"events": []}, "events"),
        ({"events": ["sometimes"]}, "events.0"),
        ({"pipelines": ["00000000-0000-0000-0000-000000000000"]}, "pipelines"),
        ({"pipelines": ["x"]}, "pipelines.0"),
        ({"kind": "pigeon"}, "kind"),
        ({"kind": "email"}, "address"),
        ({"kind": "email", "address": "a@example.com"}, "secret"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_names_its_field_and_saves_nothing(
    alice: APIClient, url: str, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, {**body, **changes}, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["fields"], answer.json()
    assert not AlertChannel.all_teams.exists()


def test_secret_does_not_follow_to_another_address(
    alice: APIClient, url: str, body: dict[str, Any]
) -> None:
    one = f"{url}{alice.post(url, body).json()['id']}/"
    answer = alice.patch(one, {"address": "https://example.com/"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["secret"])
    assert alice.patch(one, {"address": "https://example.com/", "secret": SECRET}).json()[
        "target"
    ] == ("https://example.com:443")


def test_name_is_taken_once_in_a_team(alice: APIClient, url: str, body: dict[str, Any]) -> None:
    assert alice.post(url, body).status_code == 201
    answer = alice.post(url, body)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def test_pipeline_and_channel_of_another_team_do_not_exist(
    client_of: Clients,
    team: Team,
    other_team: Team,
    url: str,
    body: dict[str, Any],
    pipeline: Pipeline,
) -> None:
    charlie = client_of("charlie")
    theirs = f"/api/environments/{other_team.pk}/alert_channels/"
    answer = charlie.post(theirs, {**body, "pipelines": [str(pipeline.pk)]})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["pipelines"])
    mine = client_of("alice").post(url, body).json()["id"]
    for root in (url, theirs):
        for path in ("test/", "deliveries/", ""):
            method = charlie.post if path == "test/" else charlie.get
            assert method(f"{root}{mine}/{path}").status_code == 404


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("https://169.254.169.254/latest/meta-data/", "host_refused"),
        ("https://localhost:22/", "host_refused"),
        ("http://example.com/", "host_refused"),
        ("https://no-such-host.invalid/", "host_unknown"),
    ],
)
def test_trial_reaches_no_address_that_is_not_public(
    alice: APIClient, url: str, body: dict[str, Any], address: str, code: str
) -> None:
    one = f"{url}{alice.post(url, {**body, 'address': address}).json()['id']}/"
    answer = alice.post(f"{one}test/").json()
    assert (answer["ok"], answer["code"]) == (False, code)


def test_deliveries_are_listed_with_how_they_went(
    client_of: Clients, url: str, channel: AlertChannel, receiver: Receiver, start: Start
) -> None:
    receiver.status = 401
    fail(start())
    incidents.look()
    deliver()
    (shown,) = client_of("vera").get(f"{url}{channel.pk}/deliveries/").json()["results"]
    assert (shown["event"], shown["status"], shown["attempts"]) == ("failed", "waiting", 1)
    assert shown["error"] == "The receiver answered with HTTP status 401."


# In the admin


def test_admin_takes_a_secret_and_shows_none(
    team: Team, receiver: Receiver, django_user_model: Any
) -> None:
    admin = Client()
    admin.force_login(django_user_model.objects.create_superuser("root", password="no"))
    pages = "/admin/etl/alertchannel/"
    form = {
        "team": team.pk,
        "name": "ops",
        "kind": "webhook",
        "address": receiver.url,
        "events": ["failed"],
        "every_pipeline": "on",
        "is_active": "on",
    }
    assert "Enter it" in admin.post(f"{pages}add/", form).content.decode()
    assert admin.post(f"{pages}add/", form | {"secret": SECRET}).status_code == 302
    channel = AlertChannel.all_teams.get()
    assert channel.read_credentials()["secret"] == SECRET
    page = admin.get(f"{pages}{channel.pk}/change/").content.decode()
    assert "whsec" not in page
    assert "hook?" not in page
    kept = form | {"address": "", "name": "renamed"}
    assert admin.post(f"{pages}{channel.pk}/change/", kept).status_code == 302
    channel.refresh_from_db()
    assert (channel.name, channel.read_credentials()["secret"]) == ("renamed", SECRET)
    chosen = {"action": "test", "_selected_action": [str(channel.pk)]}
    assert "it was taken." in admin.post(pages, chosen, follow=True).content.decode()
    assert admin.get("/admin/etl/alertdelivery/").status_code == 200


def test_half_a_channel_is_not_saved(team: Team) -> None:
    with pytest.raises(InvalidInput):
        channels.create(
            AlertChannel(team=team, kind="webhook"), {"name": "x", "events": ["failed"]}
        )
    assert not AlertChannel.all_teams.exists()
    assert mail.outbox == []


def test_trigger_of_a_run_does_not_matter(channel: AlertChannel, pipeline: Pipeline) -> None:
    fail(pipelines.request_run(pipeline, Trigger.SCHEDULE))
    assert raised() == ["failed"]


def test_rotation_wraps_secrets_of_channels_anew(
    channel: AlertChannel, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.WAREHOUSE_KEYS = (
        f"fresh:{base64.b64encode(b'f' * 32).decode()},{settings.WAREHOUSE_KEYS}"
    )
    secrets.key_ring.cache_clear()
    try:
        call_command("rotate_credentials")
        channel.refresh_from_db()
        assert secrets.Envelope.load(channel.encrypted_credentials).key_id == "fresh"
        assert channel.read_credentials()["address"] == receiver.url
    finally:
        settings.WAREHOUSE_KEYS = settings.WAREHOUSE_KEYS.partition(",")[2]
        secrets.key_ring.cache_clear()
