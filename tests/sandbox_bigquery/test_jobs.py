"""Jobs: their states, how they are stopped, and what the server remembers of them."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.waiting import wait_for

from .conftest import ENDLESS, Client, Job, Server, connect, reason, rows

CANCELLED = {
    "reason": "stopped",
    "message": "Job execution was cancelled: User requested cancellation",
}


def start(client: Client, sql: str, **config: Any) -> Job:
    return client.query(sql, job_config=bigquery.QueryJobConfig(**config))


def is_running(client: Client, job: Job) -> bool:
    return bool(client.get_job(job.job_id).state == "RUNNING")


def test_a_job_is_started_and_not_waited_for(reader: Client) -> None:
    began = time.monotonic()
    job = start(reader, ENDLESS)
    assert time.monotonic() - began < 1
    assert job.state in ("PENDING", "RUNNING")
    assert wait_for(lambda: is_running(reader, job), 3)
    assert not job.done()
    job.cancel()


def test_a_finished_job_tells_when_it_ran_and_what_it_was(reader: Client) -> None:
    job = start(
        reader,
        "SELECT plan_id FROM analytics.plans",
        labels={"team": "seven", "run": "r-1"},
        priority=bigquery.QueryPriority.BATCH,
    )
    job.result()
    found = reader.get_job(job.job_id)
    assert (found.state, found.error_result, found.statement_type) == ("DONE", None, "SELECT")
    assert found.labels == {"team": "seven", "run": "r-1"}
    assert found.priority == "BATCH"
    assert found.user_email.startswith("reader@")
    assert found.created <= found.started <= found.ended
    assert [table.table_id for table in found.referenced_tables] == ["plans"]
    assert found.cache_hit is False


def test_a_cancel_reaches_the_server_within_a_second(reader: Client) -> None:
    job = start(reader, ENDLESS)
    assert wait_for(lambda: is_running(reader, job), 3)
    began = time.monotonic()
    job.cancel()
    found = reader.get_job(job.job_id)
    assert time.monotonic() - began < 1
    assert (found.state, found.error_result) == ("DONE", CANCELLED)
    listed = next(one for one in reader.list_jobs() if one.job_id == job.job_id)
    assert (listed.state, listed.error_result) == ("DONE", CANCELLED)
    (row,) = rows(
        reader,
        "SELECT state, error_result.reason AS reason, end_time IS NOT NULL AS ended, "
        "total_bytes_billed FROM `region-us`.INFORMATION_SCHEMA.JOBS "
        f"WHERE job_id = '{job.job_id}'",
    )
    assert row == {"state": "DONE", "reason": "stopped", "ended": True, "total_bytes_billed": None}
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        job.result()
    assert reason(caught.value) == "stopped"


def test_a_cancelled_write_leaves_nothing(admin: Client, dataset: str) -> None:
    job = start(admin, f"CREATE TABLE {dataset}.never AS {ENDLESS}")
    assert wait_for(lambda: is_running(admin, job), 3)
    waiting = start(admin, f"CREATE TABLE {dataset}.later AS SELECT 1 AS n")
    waiting.cancel()
    job.cancel()
    assert {admin.get_job(one.job_id).error_result["reason"] for one in (job, waiting)} == {
        "stopped"
    }
    assert list(admin.list_tables(dataset)) == []
    rows(admin, f"CREATE TABLE {dataset}.after AS SELECT 1 AS n")


def test_a_job_ends_at_its_timeout(reader: Client) -> None:
    began = time.monotonic()
    job = start(reader, ENDLESS, job_timeout_ms=500)
    with pytest.raises(exceptions.Cancelled, match=r"Job timed out after 0\.5 sec"):
        job.result()
    assert 0.4 < time.monotonic() - began < 2
    assert reader.get_job(job.job_id).error_result["reason"] == "stopped"


def test_stopping_one_job_leaves_the_others_alone(endpoint: dict[str, Any]) -> None:
    clients = [connect(endpoint, "service_account") for _ in range(4)]
    victim = start(clients[0], ENDLESS)
    others = [
        start(
            client,
            f"SELECT {number} AS k, COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 20000)) AS a "
            "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000)) AS b WHERE MOD(a * b, 7) = 3",
        )
        for number, client in enumerate(clients[1:])
    ]
    assert wait_for(lambda: is_running(clients[0], victim), 3)
    victim.cancel()
    assert [[tuple(row) for row in job.result()] for job in others] == [
        [(number, 2451449)] for number in range(3)
    ]
    for client in clients:
        client.close()


def test_four_clients_work_side_by_side(endpoint: dict[str, Any]) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        client = connect(endpoint, "service_account")
        for turn in range(8):
            plan = number * 100 + turn + 1
            sql = f"SELECT name, {plan} AS k FROM analytics.plans WHERE plan_id = {plan}"
            (found,) = rows(client, sql)
            if found["k"] != plan or not found["name"].endswith(f"-{plan}"):
                wrong.append(found)
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_a_job_beyond_the_limit_waits_as_pending(
    run_server: Callable[..., AbstractContextManager[Server]],
) -> None:
    with run_server(running_jobs=1) as server:
        client = server.client()
        running, waiting = start(client, ENDLESS), start(client, ENDLESS)
        assert wait_for(lambda: is_running(client, running), 3)
        assert [job.job_id for job in client.list_jobs(state_filter="pending")] == [waiting.job_id]
        waiting.cancel()
        assert client.get_job(waiting.job_id).error_result == CANCELLED
        assert is_running(client, running)


def test_an_id_is_taken_once(reader: Client) -> None:
    first = reader.query("SELECT 1", job_id="taken-once", job_retry=None)
    first.result()
    with pytest.raises(exceptions.Conflict):
        reader.query("SELECT 2", job_id="taken-once", job_retry=None, retry=None)


def test_a_job_of_somebody_else_is_not_shown(reader: Client, admin: Client) -> None:
    job = start(admin, "SELECT 1 AS secret")
    job.result()
    with pytest.raises(exceptions.NotFound):
        reader.get_job(job.job_id, retry=None)
    assert job.job_id not in {one.job_id for one in reader.list_jobs()}
    with pytest.raises(exceptions.NotFound):
        reader.cancel_job(job.job_id, retry=None)


def test_a_job_can_be_deleted(reader: Client) -> None:
    job = start(reader, "SELECT 1")
    job.result()
    reader.delete_job_metadata(job)
    with pytest.raises(exceptions.NotFound):
        reader.get_job(job.job_id, retry=None)


def test_jobs_are_listed_in_pages_the_newest_first(reader: Client) -> None:
    ids = []
    for number in range(3):
        job = start(reader, f"SELECT {number}")
        job.result()
        ids.append(job.job_id)
    listed = reader.list_jobs(max_results=3, page_size=2)
    assert [job.job_id for job in listed] == list(reversed(ids))
