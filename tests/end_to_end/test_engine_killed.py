"""kill -9 of the store's engine while four web and two worker processes are at work."""

import os
import signal
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests

from service.main_job.client import Api
from tests.end_to_end.conftest import MakeStack
from tests.store.running import engine_pid
from tests.waiting import wait_for

WEB, WORKERS = 4, 2
WRITERS, READERS = 2, 2
TABLES = {"small": 1_000, "large": 400_000}
BACK_S = 30
PAUSE_S = 0.05
"""The syncs need the machine, too."""
MAY_PASS = {"store_unavailable", "store_lost"}


class Client:
    """Asks again until it is answered; ``seen`` has what came of each try."""

    def __init__(self, api: Api, token: str, over: threading.Event) -> None:
        self._root = api.root
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._over = over
        self.seen: Counter[tuple[int, str]] = Counter()
        self.written: set[str] = set()
        self.counts: list[int] = []

    def write(self) -> None:
        """Batches of events, each until it is acknowledged."""
        while not self._over.is_set():
            uuids = [str(uuid.uuid4()) for _ in range(20)]
            batch = [{"event": "e", "distinct_id": "d", "uuid": one} for one in uuids]
            self._insist("/events/", {"batch": batch})
            self.written.update(uuids)
            self._over.wait(PAUSE_S)

    def read(self) -> None:
        """How many events there are, over and over."""
        while not self._over.is_set():
            body = self._insist("/queries/", {"query": "SELECT count() AS n FROM events"})
            self.counts.append(int(body["rows"][0][0]))
            self._over.wait(PAUSE_S)

    def _insist(self, path: str, body: Any) -> Any:
        while True:
            answer = self._session.post(self._root + path, json=body, timeout=60)
            told = answer.json()
            error = told.get("error") if answer.ok else told
            self.seen[answer.status_code, error["code"] if error else ""] += 1
            if not error:
                return told
            assert error["retryable"], error
            assert answer.ok or int(answer.headers["Retry-After"]) > 0
            self._over.wait(0.1)


def processes(name: str) -> set[int]:
    """Of gunicorn or of Celery's worker: the master and those that it would replace."""
    found = psutil.process_iter(["pid", "cmdline"])
    return {
        process.pid
        for process in found
        if (process.info["cmdline"] or [])[1:3] == ["-m", name]
        and "beat" not in process.info["cmdline"]
        and process.environ().get("SANDBOX_HOME") == os.environ["SANDBOX_HOME"]
    }


def kill_engine() -> None:
    """Return when there is another."""
    home = Path(os.environ["SANDBOX_HOME"]) / "store"
    killed = wait_for(lambda: engine_pid(home), BACK_S)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: engine_pid(home) not in (0, killed), BACK_S)


def put_into_sync(api: Api, vault: psycopg.Connection[Any], name: str, form: dict[str, Any]) -> str:
    """TABLES over a new connection, with their first runs queued; where they are listed."""
    made = {"name": name, "provider": "postgres", "credentials": form}
    url = f"/warehouse_connections/{api.post('/warehouse_connections/', made)['id']}/synced_tables/"
    for table, rows in TABLES.items():
        vault.execute(
            f"CREATE TABLE {table} AS SELECT n AS id, md5(n::text) AS word "
            f"FROM generate_series(1, {rows}) AS n"
        )
        vault.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        api.post(url, {"schema": "public", "table": table})
    return url


def test_killed_engine_costs_no_acknowledged_event_and_everybody_goes_on(
    make_stack: MakeStack,
    vault: psycopg.Connection[Any],
    credentials: dict[str, dict[str, Any]],
) -> None:
    stack = make_stack(WEB_CONCURRENCY=str(WEB))
    stack.start_engine()
    stack.start_service()
    seeded = stack.seed()
    token = seeded["users"]["admin"]["token"]
    api = Api(stack.base_url, seeded["team_id"], token)
    name, over = f"killed_{uuid.uuid4().hex[:8]}", threading.Event()
    clients = [Client(api, token, over) for _ in range(WRITERS + READERS)]
    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(one.write) for one in clients[:WRITERS]]
        working += [threads.submit(one.read) for one in clients[WRITERS:]]
        try:
            before = {which: processes(which) for which in ("gunicorn", "celery")}
            assert {which: len(pids) - 1 for which, pids in before.items()} == {
                "gunicorn": WEB,
                "celery": WORKERS,
            }
            wait_for(lambda: all(one.seen for one in clients), BACK_S)
            url = put_into_sync(api, vault, name, credentials["postgres"])
            large = next(one for one in api.get(url) if one["table"] == "large")

            def run() -> Any:
                return api.get(f"/pipelines/{large['pipeline']}/runs/")["results"][0]

            wait_for(lambda: run()["tables"][0]["step"] == "loading", 60)
            kill_engine()
            # And once more, when all have found their way back.
            answered = sum(one.seen.total() for one in clients)
            wait_for(lambda: sum(one.seen.total() for one in clients) > answered + 50, BACK_S)
            kill_engine()
            wait_for(lambda: all(one["last_status"] == "succeeded" for one in api.get(url)), 120)
        finally:
            over.set()
        for one in working:
            one.result(BACK_S)

    seen = sum((one.seen for one in clients), Counter[tuple[int, str]]())
    assert {code for _, code in seen} <= {"", *MAY_PASS}
    assert {status for status, _ in seen} == {200, 503}
    assert {which: processes(which) for which in before} == before
    # Each of them once, and none that nobody has sent.
    found = api.post("/queries/", {"query": "SELECT uuid FROM events"})["rows"]
    assert sorted(row[0] for row in found) == sorted(set().union(*(c.written for c in clients)))
    assert all(one.counts == sorted(one.counts) for one in clients)
    assert {one["table"]: one["rows"] for one in api.get(url)} == TABLES
    assert run()["attempt"] <= 2
    text = f"SELECT count() AS n, sum(id) AS ids FROM {name}.public.large"
    (sums,) = api.post("/queries/", {"query": text})["rows"]
    assert [int(one) for one in sums] == [TABLES["large"], sum(range(TABLES["large"] + 1))]
