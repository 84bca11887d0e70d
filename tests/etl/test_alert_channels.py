"""Channels over the API and in the admin: secrets go in and never come out."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from rest_framework.test import APIClient

from connectors.errors import InvalidInput
from etl import channels, incidents
from etl.models import (
    AlertChannel,
    AlertEvent,
    Pipeline,
    PipelineRun,
)
from tests.etl.alerting import KEY, SECRET, deliver, fail
from tests.etl.receivers import Receiver
from warehouse import secrets
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Clients = Callable[[str], APIClient]


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
