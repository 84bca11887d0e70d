"""Pause, resume, refresh, retry and cancel, whatever a run is doing just then."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from connectors.errors import InvalidInput
from etl import lease, pipelines, runner, steering, tasks
from etl.errors import PipelinePaused, RunEnded, RunInProgress, RunNotFailed, RunSuperseded
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, ReadMode, RunStatus, Step, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault
from tests.etl.conftest import Ended
from tests.etl.cut_off import staged
from tests.etl.failing import reaching
from tests.etl.steered import failed, now, stop_at
from tests.waiting import wait_for

ROWS = 10_000
SOON_S = 5

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks", "told"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


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
