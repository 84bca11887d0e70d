"""kill -9 of the Celery worker in the middle of a pipeline, and the service goes on by itself."""

import os
import signal
import uuid
from typing import Any

import psutil
import pytest

from service.main_job.client import Api
from service.main_job.screen import Screen
from service.main_job.stack import Stack
from service.main_job.story import Vault, credentials, make_stage
from tests.end_to_end.conftest import MakeStack
from tests.waiting import wait_for

RECORDS = 60_000
UNIQUE = uuid.uuid4().hex[:8]
TARGET = f"KILLED_{UNIQUE.upper()}"


@pytest.fixture
def stack(make_stack: MakeStack) -> Stack:
    running = make_stack(PIPELINE_LEASE_S="3")
    running.start_vault()
    running.start_service()
    return running


def worker_processes() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"celery", "worker"} <= set(process.info["cmdline"] or ())
        and process.environ().get("SANDBOX_HOME") == os.environ["SANDBOX_HOME"]
    ]


def test_killed_worker_costs_no_row_and_doubles_none(
    stack: Stack, endpoints: dict[str, Any]
) -> None:
    seeded = stack.seed()
    api = Api(stack.base_url, seeded["team_id"], seeded["users"]["admin"]["token"])
    Vault(endpoints["redis"]["url"], stack.vault_key).add(Screen(), 0, RECORDS)
    ids = {
        provider: api.post(
            "/warehouse_connections/",
            {"name": f"{provider} {UNIQUE}", "provider": provider, "credentials": fields},
        )["id"]
        for provider, fields in credentials(endpoints).items()
    }
    pipeline = api.post(
        "/pipelines/",
        {
            "name": f"killed {UNIQUE}",
            "source": ids["postgres"],
            "destination": ids["snowflake"],
            "destination_schema": endpoints["snowflake"]["schema"],
            "stage": make_stage(endpoints, seeded["team_id"]),
            "tables": [{"source_table": "records", "destination_table": TARGET}],
        },
    )
    path = f"/pipelines/{pipeline['id']}"
    api.post(f"{path}/run/")

    def run() -> Any:
        return api.get(f"{path}/runs/")["results"][0]

    wait_for(lambda: run()["tables"][0]["step"] in ("extracting", "staged", "loading"), 30)
    for process in worker_processes():
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not worker_processes(), 10)
    assert run()["status"] == "running", "the kill came too late to prove anything"

    stack.start_worker()
    ended = wait_for(lambda: run()["finished_at"] and run(), 90)
    assert (ended["status"], ended["error_code"], ended["error"]) == ("succeeded", "", "")
    # A third, if the killed worker's transaction still held the table's lock.
    assert ended["attempt"] in (2, 3)
    again = api.post(f"{path}/run/")
    wait_for(lambda: run()["id"] == again["id"] and run()["finished_at"], 60)

    source = api.rows(ids["postgres"], "SELECT count(*) FROM records")[0][0]
    counts = api.rows(
        ids["snowflake"], f"SELECT COUNT(*), COUNT(DISTINCT TENANT || KEY) FROM {TARGET}"
    )
    assert [[int(n) for n in row] for row in counts] == [[source, source]]
    assert source >= RECORDS
