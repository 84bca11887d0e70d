"""Pause, resume, refresh, retry and cancel over the API and by command."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from rest_framework.test import APIClient

from etl import steering
from etl.models import Pipeline, PipelineRun, RunStatus
from tests.etl.cut_off import staged
from tests.etl.failing import reaching
from tests.etl.steered import now
from tests.waiting import wait_for
from warehouse.models import Team

ROWS = 10_000

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks", "told"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
Clients = Callable[[str], APIClient]


@pytest.fixture
def url(team: Team, pipeline: Pipeline) -> str:
    return f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"


def test_pipeline_is_paused_and_resumed_over_the_api(
    alice: APIClient, url: str, start: Start
) -> None:
    run = start()
    for _ in range(2):
        assert alice.post(f"{url}pause/").json()["is_active"] is False
    assert alice.get(f"{url}runs/{run.pk}/").json()["status"] == "paused"
    for path in ("run/", "refresh/"):
        answer = alice.post(url + path, {})
        assert (answer.status_code, answer.json()["code"]) == (400, "pipeline_paused")
    for _ in range(2):
        assert alice.post(f"{url}resume/").json()["is_active"] is True
    assert alice.get(f"{url}runs/{run.pk}/").json()["status"] == "queued"
    answer = alice.post(f"{url}refresh/", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "run_in_progress")


def test_run_is_cancelled_and_retried_over_the_api(
    alice: APIClient, url: str, start: Start
) -> None:
    run = start()
    one = f"{url}runs/{run.pk}/"
    for _ in range(2):
        answer = alice.post(f"{one}cancel/")
        assert (answer.status_code, answer.json()["error_code"]) == (200, "run_cancelled")
    for _ in range(2):
        answer = alice.post(f"{one}retry/")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    PipelineRun.objects.update(status=RunStatus.SUCCEEDED)
    for path, code in (("cancel/", "run_ended"), ("retry/", "run_not_failed")):
        answer = alice.post(one + path)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    answer = alice.post(f"{url}refresh/", {"tables": ["public.records"]})
    assert (answer.status_code, answer.json()["is_refresh"]) == (202, True)
    answer = alice.post(f"{one}retry/")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_not_failed")


@pytest.mark.parametrize("body", [{"tables": "public.records"}, {"tables": [1, {}]}, {"table": 1}])
def test_refresh_of_nonsense_is_refused(alice: APIClient, url: str, body: Any) -> None:
    assert alice.post(f"{url}refresh/", body, format="json").status_code == 400
    assert not PipelineRun.objects.exists()


def test_run_of_another_team_or_pipeline_does_not_exist(
    client_of: Clients, team: Team, other_team: Team, pipeline: Pipeline, start: Start, url: str
) -> None:
    run = start()
    theirs = f"/api/environments/{other_team.pk}/pipelines/{pipeline.pk}/"
    for root, who in ((theirs, "charlie"), (url, "charlie")):
        client = client_of(who)
        for path in ("pause/", "resume/", "refresh/", f"runs/{run.pk}/cancel/"):
            assert client.post(root + path).status_code == 404
        assert client.get(f"{root}runs/{run.pk}/").status_code == 404
    assert now(run).status == RunStatus.QUEUED


def test_commands_pause_resume_cancel_and_retry(
    start: Start, pipeline: Pipeline, records: Add, capsys: Any
) -> None:
    records(10)
    run = start()
    call_command("pause_pipeline", "nightly")
    assert now(run).status == RunStatus.PAUSED
    with pytest.raises(CommandError, match="pipeline_paused"):
        call_command("run_pipeline", "nightly")
    call_command("resume_pipeline", "nightly")
    call_command("cancel_run", "nightly")
    assert now(run).error_code == "run_cancelled"
    call_command("run_pipeline", "nightly", "--retry")
    assert now(run).status == RunStatus.SUCCEEDED
    with pytest.raises(CommandError, match="run_ended"):
        call_command("cancel_run", "nightly")
    with pytest.raises(CommandError, match="run_not_failed"):
        call_command("run_pipeline", "nightly", "--retry")
    call_command("run_pipeline", "nightly", "--refresh", "public.records")
    assert pipeline.runs.filter(is_refresh=True).get().status == RunStatus.SUCCEEDED
    with pytest.raises(CommandError, match="has no public"):
        call_command("run_pipeline", "nightly", "--refresh", "public.nothing")


def test_command_ends_when_its_run_is_paused(
    records: Add, pipeline: Pipeline, start: Start
) -> None:
    records(ROWS)
    run = start()

    def pause() -> None:
        wait_for(lambda: len(staged(run)) >= 2, 20)
        steering.pause(pipeline)
        database.close()

    other = threading.Thread(target=pause)
    other.start()
    began = time.monotonic()
    with (
        reaching("after the manifest", lambda: time.sleep(3)),
        pytest.raises(CommandError, match="pipeline_paused: The run was paused"),
    ):
        call_command("run_pipeline", "nightly")
    assert time.monotonic() - began < 30
    other.join()
