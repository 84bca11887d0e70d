"""Whoever uses the whole service once, and keeps what came back."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import requests
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from tests.service.planted import Planted
from warehouse.models import Membership, Team

CSRF = "c" * 32
ALERT_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
ALERT_TOKEN = secrets.token_urlsafe(24)
"""A part of a webhook's address, as some receivers have it."""
METRICS_TOKEN = secrets.token_urlsafe(24)
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
