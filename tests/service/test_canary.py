"""Secrets go in and nothing of them comes out, whatever is done with them."""

import base64
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connection as database

from sandbox.guardian import descendants_of
from service.config import SETTINGS
from tests.api.routes import ROUTES
from tests.service.caller import (
    ALERT_SECRET,
    ALERT_TOKEN,
    LITERAL,
    METRICS_TOKEN,
    Caller,
    Seen,
)
from tests.service.planted import Planted, plant, unplant
from tests.service.running import environment, manage, web
from tests.warehouse.conftest import new_key
from warehouse.models import Team

pytestmark = pytest.mark.django_db

MAIL_PASSWORD = secrets.token_urlsafe(24)
OWN = {
    "EMAIL_URL": f"smtp://canary:{MAIL_PASSWORD}@127.0.0.1:1",
    "METRICS_TOKEN": METRICS_TOKEN,
}


def queued_messages(run_id: str) -> str:
    """What the broker holds of a run, with its envelope opened."""
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    texts = []
    for raw in broker.lrange("celery", 0, -1):
        message = json.loads(raw)
        body = base64.b64decode(message["body"]).decode()
        if run_id in body:
            texts += [raw.decode(), body]
            broker.lrem("celery", 0, raw)
    return "\n".join(texts)


def every_row() -> str:
    """All of the service's database, as text."""
    with database.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        texts = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" AS t')
            texts += [text for (text,) in cursor.fetchall()]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def planted(credentials: dict[str, dict[str, Any]], endpoints: dict[str, Any]) -> Iterator[Planted]:
    env = environment()
    # Those of OWN follow; a store's are seen to in tests/store, for there is none here.
    own = [env[setting.name] for setting in SETTINGS if setting.secret and setting.name in env]
    own.append(database.settings_dict["PASSWORD"])
    own += [
        MAIL_PASSWORD,
        METRICS_TOKEN,
        ALERT_SECRET,
        ALERT_SECRET.removeprefix("whsec_"),
        ALERT_TOKEN,
    ]
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as vault:
        # What goes into sync must be there.
        vault.execute("CREATE TABLE records (key text PRIMARY KEY)")
        yield plant(credentials, endpoints, own)
        unplant(endpoints)
        vault.execute("DROP TABLE records")


@pytest.fixture(scope="module")
def seen(
    planted: Planted,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Seen]:
    """What came out after everything had been done, with logs at their most talkative."""
    seen = Seen()
    env = environment(LOG_LEVEL="DEBUG", **OWN)
    home = tmp_path_factory.mktemp("web")
    with django_db_blocker.unblock():
        try:
            with web(home, env) as (address, running):
                _do_everything(Caller(address, Team.objects.create(name="Acme"), seen), planted)
                rotated = env | {"WAREHOUSE_KEYS": f"{new_key('new')},{env['WAREHOUSE_KEYS']}"}
                done = manage("rotate_credentials", env=rotated)
                seen.printed = done.stdout + done.stderr
                seen.command_lines = _command_lines(running.guardian_pid)
            seen.log = running.log.read_text()
            seen.tables = every_row()
            yield seen
        finally:
            call_command("flush", verbosity=0, interactive=False)


def _do_everything(caller: Caller, planted: Planted) -> None:
    ids = caller.save_all(planted)
    for name, pk in ids.items():
        caller.use(pk, planted.credentials[name][1])
    caller.visit_admin(ids, planted)
    seen = caller._seen
    channel = caller.have_alerts()
    caller.send_events()
    seen.messages = queued_messages(caller.queue_pipeline(ids))
    caller.keep_in_store(ids)
    caller.save_views()
    caller.scrape()
    caller.api("GET", "warehouse_connections/")
    caller.api("GET", "warehouse_providers/")
    for page in ("/api/schema/", "/api/docs/", "/health/ready"):
        caller.page("GET", page)
    for name in ("postgres", "postgres, wrong"):
        caller.api("DELETE", f"warehouse_connections/{ids[name]}/")
    nightly = caller.api("GET", "pipelines/")["results"][0]["id"]
    caller.api("DELETE", f"pipelines/{nightly}/")
    caller.api("DELETE", f"alert_channels/{channel}/")


def _command_lines(guardian: int) -> str:
    pids = [guardian, *descendants_of(guardian)]
    return "\n".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


WHERE = ("answers", "pages", "printed", "log", "command_lines", "messages", "tables")


@pytest.mark.parametrize("place", WHERE)
def test_no_secret_is_anywhere(seen: Seen, planted: Planted, place: str) -> None:
    found = getattr(seen, place)
    parts = [(place, 0, found)] if isinstance(found, str) else found
    assert all(text for _, status, text in parts if status not in (204, 302))
    hits = {name: hits for name, _, text in parts if (hits := planted.found_in(text))}
    assert hits == {}


def test_secrets_are_recognised_however_they_are_spelt(planted: Planted) -> None:
    for secret in planted.secrets:
        for spelling in (secret, json.dumps(secret), quote(secret, safe="")):
            assert planted.found_in(f"x {spelling} y")
        encoded = base64.b64encode(secret.encode()).decode()
        assert planted.found_in(encoded)
    for _, values in planted.credentials.values():
        assert planted.found_in(json.dumps(values))


def test_everything_was_really_done(seen: Seen, planted: Planted) -> None:
    statuses = {status for _, status, _ in seen.answers}
    assert {200, 201, 202, 204, 400, 409, 422} <= statuses
    assert 500 not in statuses
    assert {status for _, status, _ in seen.pages} == {200}
    done = {re.sub(r"[0-9a-f-]{36}|(?<=/)\d+(?=/)", "<pk>", name) for name, _, _ in seen.answers}
    assert done == {re.sub(r"<\w+>", "<pk>", str(route)) for route in ROUTES}
    worked = [text for name, status, text in seen.answers if "/query/" in name and status == 200]
    assert len(worked) == len([name for name in planted.credentials if "wrong" not in name])
    assert all(json.loads(text)["rows"] == [[1]] for text in worked)
    assert seen.printed.startswith("9 wrapped anew with key new")
    assert "connection.tested" in seen.log
    assert "warehouse.error" in seen.log
    assert "etl.execute_run" in seen.messages
    assert "encrypted_credentials" in seen.tables
    assert "gunicorn" in seen.command_lines


def test_every_line_of_the_log_is_an_event(seen: Seen) -> None:
    lines = [line for line in seen.log.splitlines() if line.startswith("{")]
    assert len(lines) > 20
    assert all({"event", "level", "timestamp"} <= set(json.loads(line)) for line in lines)


def test_no_query_is_in_the_log(seen: Seen) -> None:
    assert [line for line in seen.log.splitlines() if LITERAL in line] == []
