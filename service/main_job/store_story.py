"""The store in the main job: events, tables in sync, kept answers, and one query over all of it."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.main_job.client import Api, StepFailed
from service.main_job.screen import Screen

EVENTS = 1_000_000
PEOPLE = 20_000
PLANS = 500
BROWSERS = ("Chrome", "Safari", "Firefox")
EVERY = timedelta(seconds=2)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
SYNC_TIMEOUT_S = 600
POLL_S = 0.3
HYBRID = """SELECT plan_id, SUM(requests) AS requests, COUNT(*) AS days FROM analytics.usage
GROUP BY plan_id ORDER BY plan_id"""
TOGETHER = """
SELECT p.active AS active, count() AS events, countIf(r.records > 0) AS of_tenants
FROM events AS e
JOIN "bigquery sandbox".analytics.plans AS p ON toString(p.plan_id) = e.properties.plan_id
LEFT JOIN (
    SELECT TENANT AS tenant, count() AS records
    FROM "snowflake sandbox".{schema}.RECORDS GROUP BY TENANT
) AS r ON r.tenant = e.properties.tenant
GROUP BY active
ORDER BY active
"""


class StoreStory:
    """Goes on with the connections that the main job has made."""

    def __init__(
        self, screen: Screen, api: Api, manage: Callable[..., str], connections: dict[str, str]
    ) -> None:
        self._screen = screen
        self._api = api
        self._manage = manage
        self._connections = connections

    def tell(self, schema: str, tenants: list[str]) -> None:
        """``schema`` is Snowflake's; ``tenants`` are of the records there."""
        self._screen.title("Store: events, and one query over everything")
        self._load_events(tenants)
        together = TOGETHER.format(schema=schema)
        live = self._ask("one query, live", together)
        self._sync("bigquery", "analytics", "plans")
        self._sync("snowflake", schema, "RECORDS")
        synced = self._ask("the same, synced", together)
        if live != synced:
            raise StepFailed("The answers from the warehouses and from the store differ.")
        self._ask_twice()

    def _load_events(self, tenants: list[str]) -> None:
        with self._screen.step("load events") as said, TemporaryDirectory() as folder:
            file = Path(folder) / "events.jsonl"
            _write_events(file, tenants)
            self._manage("load_events", str(file), "--team", self._api.team_id)
            answer = self._api.post("/queries/", {"query": "SELECT count() AS n FROM events"})
            ((count,),) = answer["rows"]
            if count != EVENTS:
                raise StepFailed(f"{count} events where {EVENTS} were loaded.")
            said.append(f"{count:,} events, {file.stat().st_size / 1e6:.0f} MB of JSON lines")

    def _ask(self, name: str, query: str) -> list[Any]:
        with self._screen.step(name) as said:
            plan = self._api.post("/queries/plan/", {"query": query})
            answer = self._api.post("/queries/", {"query": query})
            if answer["error"]:
                raise StepFailed(answer["error"]["title"])
            asked = [leg["connection"] or "the store" for leg in plan["legs"]]
            rows: list[Any] = answer["rows"]
            said.append(f"{plan['mode']}: {', '.join(asked)}")
            said.append(f"{len(rows)} rows, first {rows[0]}")
            return rows

    def _sync(self, provider: str, schema: str, table: str) -> None:
        path = f"/warehouse_connections/{self._connections[provider]}/synced_tables/"
        with self._screen.step(f"sync {provider}") as said:
            made = self._api.post(path, {"schema": schema, "table": table})
            deadline = time.monotonic() + SYNC_TIMEOUT_S
            while made["as_of"] is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
                made = self._api.get(f"{path}{made['id']}/")
                if made["last_status"] == "failed":
                    raise StepFailed(made["last_error"])
            if made["as_of"] is None:
                raise StepFailed(f"{schema}.{table} is not in the store yet.")
            said.append(f"{schema}.{table}, {made['rows']:,} rows as of {made['as_of'][:19]}Z")

    def _ask_twice(self) -> None:
        path = f"/warehouse_connections/{self._connections['bigquery']}/"
        self._api.patch(path, {"mode": "hybrid"})
        with self._screen.step("hybrid query, twice") as said:
            for _ in range(2):
                started = time.perf_counter()
                answer = self._api.post(f"{path}query/", {"sql": HYBRID})
                took = (time.perf_counter() - started) * 1000
                billed = answer["stats"]["bytes_billed"]
                cached = json.dumps(answer["cached"])
                said.append(f"cached: {cached}, {took:.0f} ms, {billed:,} bytes billed")
        if not answer["cached"]:
            raise StepFailed("The second answer came from the warehouse.")
        self._api.patch(path, {"mode": "direct"})


def _write_events(path: Path, tenants: list[str]) -> None:
    """The same ones at every run."""
    with path.open("w") as file:
        for number in range(EVENTS):
            event = {
                "uuid": str(uuid.UUID(int=number + 1)),
                "event": "$pageview" if number % 10 else "signed up",
                "distinct_id": f"user {number % PEOPLE}",
                "timestamp": (FIRST_DAY + number * EVERY).isoformat(),
                "properties": {
                    "$browser": BROWSERS[number % len(BROWSERS)],
                    "plan_id": str(number % PLANS),
                    "tenant": tenants[number % len(tenants)],
                },
            }
            file.write(json.dumps(event) + "\n")
