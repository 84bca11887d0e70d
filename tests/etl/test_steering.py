"""Pause, resume, refresh, retry and cancel, whatever a run is doing just then."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from rest_framework.test import APIClient

from connectors.errors import InvalidInput
from etl import lease, pipelines, runner, steering, tasks
from etl.errors import PipelinePaused, RunEnded, RunInProgress, RunNotFailed, RunSuperseded
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, ReadMode, RunStatus, Step, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, broker_messages, source_rows, target_rows
from tests.etl.failing import failing, reaching
from tests.waiting import wait_for
from warehouse.models import Team

ROWS = 10_000
SOON_S = 5

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
Clients = Callable[[str], APIClient]
Ended = Callable[[PipelineRun], PipelineRun]


@pytest.fixture(autouse=True)
def told(settings: Any) -> Iterator[Callable[[], list[str]]]:
    """Ids of the runs that workers were told of, which are taken away."""

    def take() -> list[str]:
        found = broker_messages(settings.CELERY_BROKER_URL)
        return [m["kwargs"]["run_id"] for m in found if m["task"] == "etl.execute_run"]

    take()
    yield take
    take()


@pytest.fixture
def ended(vault: Vault, lake: Any, target_table: str) -> Ended:
    """Execute a run; it must succeed, and the target be as the source is."""

    def check(run: PipelineRun) -> PipelineRun:
        found = runner.execute(run.pk)
        assert found is not None
        assert (found.status, found.error) == (RunStatus.SUCCEEDED, "")
        assert target_rows(lake, target_table) == source_rows(vault)
        return found

    return check


def now(run: PipelineRun) -> PipelineRun:
    return PipelineRun.objects.get(pk=run.pk)


def staged(run: PipelineRun) -> dict[int, int]:
    """Claims of the chunks that are staged, by number."""
    found = Chunk.objects.filter(table__run=run, state=ChunkState.STAGED)
    return dict(found.values_list("number", "claim"))


def stop_at(run: PipelineRun, chunks: int, act: Callable[[], object], **options: Any) -> None:
    """Execute a run and do that once so many chunks are staged; the runner lets it go."""
    acted = False

    def watch(_: Any) -> None:
        nonlocal acted
        if not acted and len(staged(run)) >= chunks:
            acted = True
            act()

    assert runner.execute(run.pk, watch, **options) is None
    assert acted


def failed(run: PipelineRun) -> PipelineRun:
    """The run, after it failed to be loaded as often as it may."""
    for _ in range(lease.MAX_ATTEMPTS):
        with failing("before MERGE", "error"):
            runner.execute(run.pk)
    assert (now(run).status, now(run).error_code) == (RunStatus.FAILED, "connection_lost")
    return now(run)


# Pause and resume


@pytest.mark.parametrize("sessions", [1, 3])
def test_paused_run_keeps_what_is_staged_and_goes_on_from_there(
    records: Add,
    start: Start,
    pipeline: Pipeline,
    vault: Vault,
    ended: Ended,
    told: Any,
    sessions: int,
) -> None:
    records(ROWS)
    run = start()
    stop_at(run, 4, lambda: steering.pause(pipeline), sessions=sessions)
    before = staged(run)
    assert (now(run).status, now(run).error_code, now(run).finished_at) == ("paused", "", None)
    assert not Chunk.objects.filter(table__run=run, state=ChunkState.READING).exists()
    vault.execute("UPDATE records SET amount = -1 WHERE key::int % 90 = 0")
    steering.resume(pipeline)
    assert told() == [str(run.pk)]
    done = ended(run)
    assert before.items() <= staged(run).items()
    assert (done.attempt, done.attempts) == (1, 2)


@pytest.mark.parametrize(("how", "status"), [("paused", "paused"), ("taken over", "running")])
def test_reader_that_waits_for_its_source_lets_go_within_seconds(
    vault: Vault, pipeline: Pipeline, how: str, status: str
) -> None:
    vault.execute(
        "CREATE VIEW records AS SELECT i, pg_sleep(60)::text AS s FROM generate_series(1, 9) AS i"
    )
    vault.execute("GRANT SELECT ON records TO etl_reader")
    spec = TableSpec("public", "records", pipeline.tables.get().destination_table, ReadMode.FULL)
    pipelines.update(pipeline, {}, [spec])
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    answers: list[Any] = []

    def execute() -> None:
        answers.append(runner.execute(run.pk))
        database.close()

    worker = threading.Thread(target=execute)
    worker.start()
    wait_for(lambda: Chunk.objects.filter(table__run=run, state=ChunkState.READING).exists(), 20)
    if how == "paused":
        steering.pause(pipeline)
    else:
        Chunk.objects.filter(table__run=run).update(claim=lease.next_fence())
    worker.join(SOON_S)
    assert not worker.is_alive()
    assert (answers, now(run).status, now(run).error_code) == ([None], status, "")
    vault.execute("DROP VIEW records")


@pytest.mark.parametrize(
    "point", ["before COPY", "after COPY", "before MERGE", "after MERGE", "before the state"]
)
def test_run_that_is_paused_while_it_loads_has_all_rows_in_the_target_or_none(
    records: Add,
    start: Start,
    pipeline: Pipeline,
    lake: Any,
    target_table: str,
    ended: Ended,
    point: str,
) -> None:
    records(ROWS)
    run = start()
    with reaching(point, lambda: steering.pause(pipeline)):
        assert runner.execute(run.pk) is None
    table = now(run).tables.get()
    assert (now(run).status, table.step) == (RunStatus.PAUSED, Step.LOADING)
    assert table.table.watermark is None
    count = lake.cursor().execute(f'SELECT COUNT(*) FROM "{target_table}"').fetchone()[0]
    assert count in (0, ROWS)
    before = staged(run)
    steering.resume(pipeline)
    assert ended(run).tables.get().rows == ROWS
    assert staged(run) == before


def test_queued_run_is_paused_and_its_message_comes_too_late(
    start: Start, pipeline: Pipeline
) -> None:
    run = start()
    steering.pause(pipeline)
    assert runner.execute(run.pk) is None
    assert now(run).status == RunStatus.PAUSED


def test_paused_run_is_neither_lost_nor_handed_out_nor_joined_by_another(
    start: Start, pipeline: Pipeline, told: Any
) -> None:
    run = start()
    for _ in range(lease.MAX_ATTEMPTS):
        PipelineRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
        assert lease.claim(run.pk) is not None
    steering.pause(pipeline)
    long_ago = timezone.now() - timedelta(hours=1)
    PipelineRun.objects.update(heartbeat_at=long_ago, next_try_at=long_ago)
    tasks.recover_runs()
    tasks.start_scheduled(str(pipeline.pk))
    assert (now(run).status, told()) == (RunStatus.PAUSED, [])
    with pytest.raises(PipelinePaused):
        pipelines.request_run(pipeline, Trigger.COMMAND)
    with pytest.raises(RunInProgress):
        pipelines.update(pipeline, {"destination_schema": "OTHER"})
    assert pipeline.runs.count() == 1
    steering.resume(pipeline)
    assert (now(run).status, now(run).attempt, now(run).attempts) == ("queued", 0, 3)
    with pytest.raises(RunInProgress):
        pipelines.request_run(pipeline, Trigger.COMMAND)


def test_pauses_and_resumes_at_once_are_one(start: Start, pipeline: Pipeline, told: Any) -> None:
    run = start()

    def many(act: Callable[[Pipeline], object]) -> None:
        def once() -> None:
            act(pipeline)
            database.close()

        threads = [threading.Thread(target=once) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    many(steering.pause)
    assert (now(run).status, told()) == (RunStatus.PAUSED, [])
    many(steering.resume)
    assert (now(run).status, told()) == (RunStatus.QUEUED, [str(run.pk)])


def test_no_run_starts_behind_the_back_of_a_pause(pipeline: Pipeline) -> None:
    """Whoever asks for a run has read the pipeline before it was paused."""
    stale = Pipeline.all_teams.get(pk=pipeline.pk)
    pipelines.update(pipeline, {"schedule": "1 2 3 4 5"})
    steering.pause(pipeline)
    with pytest.raises(PipelinePaused):
        pipelines.request_run(stale, Trigger.API)
    assert not PeriodicTask.objects.get(task="etl.start_scheduled").enabled
    assert not PipelineRun.objects.exists()


# Retry and cancel


def test_retry_loads_what_is_staged_and_reads_nothing_again(
    records: Add, start: Start, ended: Ended, told: Any
) -> None:
    records(ROWS)
    run = failed(start())
    before = staged(run)
    assert steering.retry(run).status == RunStatus.QUEUED
    assert steering.retry(run).status == RunStatus.QUEUED
    assert told() == [str(run.pk)]
    done = ended(run)
    assert (done.attempt, done.attempts) == (1, lease.MAX_ATTEMPTS + 1)
    assert staged(run) == before
    with pytest.raises(RunNotFailed):
        steering.retry(run)


def test_retry_goes_on_from_the_chunks_that_are_staged(
    records: Add, start: Start, pipeline: Pipeline, vault: Vault, ended: Ended
) -> None:
    records(ROWS)
    run = start()
    stop_at(run, 3, lambda: steering.cancel(run))
    before = staged(run)
    assert (now(run).status, now(run).error_code) == (RunStatus.FAILED, "run_cancelled")
    vault.execute("UPDATE records SET amount = -1 WHERE key::int % 90 = 0")
    steering.retry(run)
    ended(run)
    assert before.items() <= staged(run).items()


def test_run_whose_place_was_taken_is_not_retried(
    records: Add, start: Start, pipeline: Pipeline, ended: Ended
) -> None:
    records(10)
    run = failed(start())
    later = ended(start())
    with pytest.raises(RunSuperseded):
        steering.retry(run)
    with pytest.raises(RunNotFailed):
        steering.retry(later)


def test_run_of_a_pipeline_that_has_changed_is_not_retried(
    records: Add, start: Start, pipeline: Pipeline, target_table: str
) -> None:
    records(10)
    run = failed(start())
    pipelines.update(pipeline, {"quarantine_limit": 5})
    assert steering.retry(run).status == RunStatus.QUEUED
    failed(run)
    pipelines.update(pipeline, {}, [TableSpec("public", "records", target_table, ReadMode.FULL)])
    with pytest.raises(RunSuperseded):
        steering.retry(run)


def test_retry_waits_for_a_paused_pipeline(records: Add, start: Start, pipeline: Pipeline) -> None:
    records(10)
    run = failed(start())
    steering.pause(pipeline)
    with pytest.raises(PipelinePaused):
        steering.retry(run)
    assert now(run).status == RunStatus.FAILED


def test_cancelled_run_makes_room(
    start: Start, pipeline: Pipeline, records: Add, ended: Ended
) -> None:
    records(10)
    run = start()
    steering.pause(pipeline)
    steering.cancel(run)
    assert steering.cancel(run).error_code == "run_cancelled"
    assert runner.execute(run.pk) is None
    steering.resume(pipeline)
    assert now(run).status == RunStatus.FAILED
    done = ended(start())
    with pytest.raises(RunEnded):
        steering.cancel(done)


# Refresh


def test_refresh_reads_everything_and_ghosts_are_gone(
    records: Add,
    start: Start,
    pipeline: Pipeline,
    vault: Vault,
    lake: Any,
    target_table: str,
    ended: Ended,
) -> None:
    records(200)
    ended(start())
    lake.cursor().execute(f"""INSERT INTO "{target_table}" (TENANT, KEY) VALUES ('ghost', '1')""")
    vault.execute("DELETE FROM records WHERE key::int <= 50")
    run = steering.refresh(pipeline, Trigger.COMMAND)
    with pytest.raises(RunInProgress):
        steering.refresh(pipeline, Trigger.COMMAND)
    assert ended(run).tables.get().rows == 150
    assert ended(start()).tables.get().rows == 0


def test_refresh_that_is_paused_leaves_no_ghost(
    records: Add, start: Start, pipeline: Pipeline, vault: Vault, ended: Ended
) -> None:
    records(ROWS)
    ended(start())
    run = steering.refresh(pipeline, Trigger.COMMAND)
    stop_at(run, 4, lambda: steering.pause(pipeline))
    vault.execute("DELETE FROM records WHERE key::int % 10 = 0")
    steering.resume(pipeline)
    ended(run)


def test_refresh_of_one_table_leaves_the_others_alone(pipeline: Pipeline) -> None:
    kept = TableSpec("public", "records", pipeline.tables.get().destination_table)
    pipelines.update(
        pipeline, {}, [kept, TableSpec("public", "orders", kept.destination_table[::-1])]
    )
    with pytest.raises(InvalidInput) as refused:
        steering.refresh(pipeline, Trigger.API, ["public.orders", "public.nothing"])
    assert refused.value.fields == {"tables": "The pipeline has no public.nothing."}
    run = steering.refresh(pipeline, Trigger.API, ["public.orders"])
    assert [str(table.table) for table in run.tables.all()] == ["public.orders"]


# Over the API


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


# By command


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
