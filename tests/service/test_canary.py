"""Secrets go in and nothing of them comes out, whatever is done with them."""

import base64
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from knox.models import AuthToken

from sandbox.guardian import descendants_of
from service.config import SETTINGS
from tests.api.routes import ROUTES
from tests.service.planted import Planted, plant, unplant
from tests.service.running import environment, manage, web
from tests.warehouse.conftest import new_key
from warehouse.models import Membership, Team

pytestmark = pytest.mark.django_db

CSRF = "c" * 32
MAIL_PASSWORD = secrets.token_urlsafe(24)
ALERT_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
ALERT_TOKEN = secrets.token_urlsafe(24)
"""A part of a webhook's address, as some receivers have it."""
METRICS_TOKEN = secrets.token_urlsafe(24)
OWN = {
    "EMAIL_URL": f"smtp://canary:{MAIL_PASSWORD}@127.0.0.1:1",
    "METRICS_TOKEN": METRICS_TOKEN,
}
LITERAL = "a-literal-of-a-query"
FAILING = f"SELECT '{LITERAL}' FROM no_such_table"


@dataclass
class Seen:
    """Everything that came out, by where."""

    answers: list[tuple[str, int, str]] = field(default_factory=list)
    pages: list[tuple[str, int, str]] = field(default_factory=list)
    printed: str = ""
    log: str = ""
    command_lines: str = ""
    messages: str = ""
    tables: str = ""


class Caller:
    """Does everything once with every connection, and keeps what came back."""

    def __init__(self, address: str, team: Team, seen: Seen) -> None:
        self._address, self._seen = address, seen
        self._root = f"{address}/api/environments/{team.pk}"
        root = User.objects.create_superuser("root", password=None)
        Membership.all_teams.create(team=team, user=root, role="admin")
        _, self._token = AuthToken.objects.create(root)
        self._browser = requests.Session()
        client = Client()
        client.force_login(root)
        self._browser.cookies.set("sessionid", client.cookies["sessionid"].value)
        self._browser.cookies.set("csrftoken", CSRF)

    def api(self, method: str, path: str, body: Any = None, raw: str | None = None) -> Any:
        answer = requests.request(
            method,
            f"{self._root}/{path}",
            data=json.dumps(body) if raw is None else raw,
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
            timeout=60,
        )
        self._seen.answers.append((f"{method} {path}", answer.status_code, answer.text))
        return answer.json() if answer.content else None

    def page(self, method: str, path: str, form: dict[str, Any] | None = None) -> str:
        data = None if form is None else form | {"csrfmiddlewaretoken": CSRF}
        answer = self._browser.request(method, f"{self._address}{path}", data=data, timeout=60)
        self._seen.pages.append((f"{method} {path}", answer.status_code, answer.text))
        return answer.text

    def scrape(self) -> None:
        header = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        answer = requests.get(f"{self._address}/metrics", headers=header, timeout=60)
        self._seen.pages.append(("GET /metrics", answer.status_code, answer.text))

    def save_all(self, planted: Planted) -> dict[str, str]:
        """Ids of the connections by name."""
        ids = {}
        for name, (provider, values) in planted.credentials.items():
            body = {"name": name, "provider": provider, "credentials": values}
            ids[name] = self.api("POST", "warehouse_connections/", body)["id"]
            self.api("POST", "warehouse_connections/", body)
            unsaved = {"provider": provider, "credentials": values}
            self.api("POST", "warehouse_connections/test/", unsaved)
            self._send_malformed(provider, values)
        return ids

    def _send_malformed(self, provider: str, values: dict[str, Any]) -> None:
        body = {"name": "x", "provider": provider}
        secret = json.dumps(values)
        for odd in (
            {name: [value] for name, value in values.items()},
            {"nonsense": secret},
            values | {"service_account_json": secret[:-1], "private_key": secret, "port": secret},
            secret,
            None,
        ):
            self.api("POST", "warehouse_connections/", body | {"credentials": odd})
        self.api("POST", "warehouse_connections/", body | {"credentials": values, "config": values})
        self.api("POST", "warehouse_connections/", raw=json.dumps(body | values)[:-1])
        self.api("POST", "warehouse_connections/", {**body, "provider": "x", "credentials": values})

    def use(self, connection_id: str, values: dict[str, Any]) -> None:
        """Every route of one connection, with queries that work and queries that fail."""
        path = f"warehouse_connections/{connection_id}/"
        self.api("GET", path)
        self.api("POST", f"{path}test/")
        self.api("GET", f"{path}schema/")
        for sql in ("SELECT 1 AS one", FAILING, f"SELEC {LITERAL}", f"DROP TABLE {LITERAL}"):
            self.api("POST", f"{path}estimate_cost/", {"sql": sql})
            self.api("POST", f"{path}query/", {"sql": sql, "params": []})
        self.api("POST", f"{path}invalidate_cache/")
        self.api("PATCH", path, {"credentials": {"nonsense": json.dumps(values)}})
        self.api("PATCH", path, {"credentials": values, "is_active": True})

    def visit_admin(self, ids: dict[str, str], planted: Planted) -> None:
        pages = "/admin/warehouse/warehouseconnection/"
        for page in ("/admin/", "/admin/warehouse/team/", pages, f"{pages}add/"):
            self.page("GET", page)
        chosen = {"action": "test", "_selected_action": list(ids.values())}
        self.page("POST", pages, chosen)
        for name, pk in ids.items():
            provider, values = planted.credentials[name]
            self.page("GET", f"{pages}{pk}/change/")
            self.page("GET", f"{pages}{pk}/history/")
            typed = {"name": "", "mode": "direct", "config": "{}", "provider": provider}
            typed["credentials"] = json.dumps(values)
            self.page("POST", f"{pages}{pk}/change/", typed)
            self.page("POST", f"{pages}add/", typed | {"config": "{"})
            self.page("POST", f"{pages}{pk}/change/", typed | {"name": name})

    def have_alerts(self) -> str:
        """Alert channels that reach nobody, made well and made badly; the id of one."""
        channels = "alert_channels/"
        body = {
            "name": "ops",
            "kind": "webhook",
            "secret": ALERT_SECRET,
            "address": f"https://127.0.0.1:1/{ALERT_TOKEN}",
        }
        made = str(self.api("POST", channels, body)["id"])
        mail = {"name": "mail", "kind": "email", "address": "ops@example.com"}
        self.api("POST", f"{channels}{self.api('POST', channels, mail)['id']}/test/")
        for odd in ({"secret": ALERT_TOKEN}, {"address": ALERT_SECRET}, {"events": [ALERT_SECRET]}):
            self.api("POST", channels, {**body, **odd})
            self.api("PATCH", f"{channels}{made}/", odd)
        self.api("POST", channels, raw=json.dumps(body)[:-1])
        for path in (channels, f"{channels}{made}/", f"{channels}{made}/deliveries/"):
            self.api("GET", path)
        self.api("POST", f"{channels}{made}/test/")
        pages = "/admin/etl/alertchannel/"
        typed = {"name": "", "address": body["address"], "secret": ALERT_SECRET}
        for page in (pages, f"{pages}add/", f"{pages}{made}/change/", "/admin/etl/alertdelivery/"):
            self.page("GET", page)
        self.page("POST", f"{pages}{made}/change/", typed)
        self.page("POST", f"{pages}add/", typed)
        self.page("POST", pages, {"action": "test", "_selected_action": [made]})
        return made

    def send_events(self) -> None:
        """Events and queries, though there is no store; well made and badly."""
        event = {"event": "signup", "distinct_id": "u1", "properties": {"note": LITERAL}}
        for odd in ({}, {"uuid": LITERAL}, {"timestamp": LITERAL}):
            self.api("POST", "events/", {"batch": [event | odd]})
        for query in (f"SELECT '{LITERAL}' AS x", f"SELEC '{LITERAL}'", f"SELECT '{LITERAL}' + 1"):
            self.api("POST", "queries/", {"query": query})
            self.api("POST", "queries/plan/", {"query": query})
        for path in ("catalog/", "catalog/functions/"):
            self.api("GET", path)
        join = {"table": "events", "field": "buyer", "joined_table": "persons"}
        keys = [{"column": "distinct_id", "joined_column": "id"}]
        self.api("POST", "table_joins/", join | {"keys": keys, "field": LITERAL})
        made = self.api("POST", "table_joins/", join | {"keys": keys})
        self.api("GET", "table_joins/")
        self.api("GET", f"table_joins/{made['id']}/")
        self.api("PATCH", f"table_joins/{made['id']}/", {"table": LITERAL})
        self.api("DELETE", f"table_joins/{made['id']}/")
        body = {"query": f"SELECT '{LITERAL}' AS x", "dialect": "native", "connection": "none"}
        self.api("POST", "queries/", body)
        for run in self.api("GET", "queries/")["results"][:1]:
            self.api("GET", f"queries/{run['id']}/")
            self.api("GET", f"queries/{run['id']}/result/")
            self.api("POST", f"queries/{run['id']}/cancel/")

    def save_views(self) -> None:
        """Views, though there is no store; well made and badly."""
        body = {"name": "one", "query": "SELECT 1 AS one", "is_materialized": True}
        one = f"views/{self.api('POST', 'views/', body)['id']}/"
        self.api("POST", "views/", body | {"name": "two", "query": f"SELEC '{LITERAL}'"})
        self.api("PATCH", one, {"description": "changed"})
        self.api("POST", f"{one}refresh/")
        for path in ("views/", "views/lineage/", one):
            self.api("GET", path)
        for path in ("refreshes/", "blockers/", "lineage/"):
            self.api("GET", f"{one}{path}")
        self.api("DELETE", one)

    def keep_in_store(self, ids: dict[str, str]) -> None:
        """A table into sync and out of it."""
        tables = f"warehouse_connections/{ids['postgres']}/synced_tables/"
        body = {"schema": "public", "table": "records"}
        # A connection that is paused is not asked whether it has the table.
        self.api("PATCH", f"warehouse_connections/{ids['postgres']}/", {"is_active": True})
        self.api("POST", f"{tables}explain/", body)
        one = f"{tables}{self.api('POST', tables, body)['id']}/"
        for path in (tables, one, f"{one}explain_removal/"):
            self.api("GET", path)
        self.api("POST", f"{one}run/")
        self.api("DELETE", one)
        modes = f"warehouse_connections/{ids['postgres']}/table_modes/"
        for mode in ("sync", "hybrid", LITERAL, None):
            self.api("POST", f"{modes}explain/", body | {"mode": mode})
            self.api("POST", modes, body | {"mode": mode})
        self.api("GET", modes)
        explained = f"warehouse_connections/{ids['postgres']}/explain_mode/"
        self.api("POST", explained, {"mode": "hybrid"})

    def queue_pipeline(self, ids: dict[str, str]) -> str:
        """A run that no worker takes; its id."""
        body = {
            "name": "nightly",
            "source": ids["postgres"],
            "destination": ids["snowflake"],
            "destination_schema": "PUBLIC",
            "stage": "ETL_STAGE",
            "schedule": "0 2 * * *",
            "tables": [{"source_table": "records"}],
        }
        made = self.api("POST", "pipelines/", body)
        run = self.api("POST", f"pipelines/{made['id']}/run/")
        for path in ("pipelines/", f"pipelines/{made['id']}/", f"pipelines/{made['id']}/runs/"):
            self.api("GET", path)
        one = f"pipelines/{made['id']}/runs/{run['id']}/"
        for path in (one, f"{one}quarantine/"):
            self.api("GET", path)
        steps = ("pause/", "resume/", "refresh/", f"runs/{run['id']}/cancel/")
        for path in (*steps, f"runs/{run['id']}/retry/"):
            self.api("POST", f"pipelines/{made['id']}/{path}")
        self.page("GET", "/admin/etl/pipeline/")
        self.page("GET", f"/admin/etl/pipeline/{made['id']}/change/")
        self.page("GET", f"/admin/etl/pipelinerun/{run['id']}/change/")
        self.api("PATCH", f"pipelines/{made['id']}/", {"name": "weekly"})
        return str(run["id"])


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
