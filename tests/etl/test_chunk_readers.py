"""Several sessions and processes read the chunks of a run: each chunk is staged once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from etl import lease, ledger, pipelines, runner, tasks
from etl.errors import LeaseLost
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, RunStatus, TableRun, Trigger
from tests.etl.compare import Vault, broker_messages, source_rows, target_rows
from tests.etl.cut_off import Finish, cut_off, ledger_of, staged
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
ROWS = 10_000
CHUNKS = 8
"""The table has so many at least."""

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


# Readers beside the runner


def test_many_sessions_read_and_every_row_comes_once(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(ROWS)
    run, most = start(), []
    reading = Chunk.objects.filter(table__run=run, state=ChunkState.READING)
    ended = runner.execute(run.pk, lambda _: most.append(reading.count()), sessions=4)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    assert ended.tables.get().rows == ROWS
    assert 2 <= max(most) <= 4
    assert target_rows(lake, target_table) == source_rows(vault)


def test_sessions_that_fail_leave_the_run_to_the_runner(
    records: Add, start: Start, pipeline: Pipeline, vault: Vault, lake: Any, target_table: str
) -> None:
    """The source lets us have one session only."""
    records(ROWS)
    run = start()
    form = pipeline.source.read_credentials()

    def spoil(_: TableRun) -> None:
        """Only sessions that are opened from now on have these."""
        pipeline.source.set_credentials({**form, "password": "wrong"})
        pipeline.source.save()

    ended = runner.execute(run.pk, spoil, sessions=3)
    assert ended is not None
    assert ended.status == RunStatus.SUCCEEDED
    assert target_rows(lake, target_table) == source_rows(vault)


def test_data_that_cannot_be_carried_stops_the_run_whoever_reads_them(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    records(ROWS)
    vault.execute(f"UPDATE records SET amount = 'NaN' WHERE key = '{ROWS // 2}'")
    ended = runner.execute(start().pk, sessions=3)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.FAILED, "quarantine_full")
    assert pipeline.tables.get().watermark is None
    assert "quarantine_full" in {chunk.error_code for chunk in ledger_of(ended)}


def test_helper_killed_in_mid_chunk_costs_its_chunk_a_second_reading(
    records: Add,
    start: Start,
    pipeline: Pipeline,
    vault: Vault,
    lake: Any,
    target_table: str,
    service_environment: dict[str, str],
) -> None:
    records(ROWS)
    run = start()
    killed: list[Chunk] = []

    def kill_a_helper(table: TableRun) -> None:
        if killed or len(staged(run)) != 1:
            return
        mine = set(Chunk.objects.filter(table__run=run).values_list("claim", flat=True))
        theirs = Chunk.objects.filter(table__run=run, state=ChunkState.READING)
        command = f"from etl import reader; reader.help_out('{run.pk}')"
        helper = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", command],
            cwd=ROOT,
            env=service_environment,
        )
        wait_for(lambda: theirs.exclude(claim__in=mine).exists(), 30)
        os.kill(helper.pid, signal.SIGKILL)
        helper.wait()
        killed.extend(theirs.exclude(claim__in=mine))

    pipelines.update(pipeline, {"max_source_load": 2})
    ended = runner.execute(run.pk, kill_a_helper, call=lambda _: None)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    assert len(killed) == 1, "the kill came too late to prove anything"
    (again,) = [chunk for chunk in ledger_of(run) if chunk.number == killed[0].number]
    assert again.attempts == 2
    assert again.claim != killed[0].claim
    assert ended.tables.get().rows == ROWS
    assert target_rows(lake, target_table) == source_rows(vault)


def test_helper_stages_chunks_of_a_run_that_another_process_leads(
    records: Add,
    start: Start,
    pipeline: Pipeline,
    service_environment: dict[str, str],
    finish: Finish,
) -> None:
    records(ROWS)
    run = start()
    pipelines.update(pipeline, {"max_source_load": 2})
    helped: list[int] = []

    def wait_for_help(_: TableRun) -> None:
        if not helped and len(staged(run)) == 1:
            command = f"from etl import reader; reader.help_out('{run.pk}')"
            subprocess.run(
                [sys.executable, "manage.py", "shell", "-v", "0", "-c", command],
                cwd=ROOT,
                env=service_environment,
                check=True,
                timeout=60,
            )
            helped.append(len(staged(run)))

    ended = runner.execute(run.pk, wait_for_help, call=lambda _: None)
    assert ended is not None
    assert ended.status == RunStatus.SUCCEEDED
    assert helped[0] >= CHUNKS
    finish(pipelines.request_run(pipeline, Trigger.COMMAND))


def test_workers_are_called_as_the_pipeline_says(
    records: Add, start: Start, pipeline: Pipeline, settings: Any
) -> None:
    broker_messages(settings.CELERY_BROKER_URL)
    records(100)
    pipelines.update(pipeline, {"max_source_load": 3})
    run = start()
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    called = [m["task"] for m in broker_messages(settings.CELERY_BROKER_URL)]
    assert called == ["etl.read_chunks"] * 2
    # Nothing is left to be read: they go.
    tasks.read_chunks(str(run.pk))


# The ledger


@pytest.fixture
def laid_out(records: Add, start: Start) -> TableRun:
    """A table in the middle of its extraction, of which nobody is known to read a chunk."""
    records(ROWS)
    run = start()
    cut_off(run, 3)
    assert lease.claim(run.pk) is not None
    return run.tables.get()


def test_chunk_is_one_readers_until_that_is_silent(laid_out: TableRun) -> None:
    first, second = ledger.claim(laid_out, 2), ledger.claim(laid_out, 2)
    assert first
    assert second
    assert first.number != second.number
    assert ledger.claim(laid_out, 2) is None
    long_ago = timezone.now() - timedelta(hours=1)
    Chunk.objects.filter(pk=first.pk).update(heartbeat_at=long_ago)
    again = ledger.claim(laid_out, 2)
    assert again
    assert (again.number, again.attempts) == (first.number, 2)
    with pytest.raises(LeaseLost):
        ledger.staged(first, ())
    ledger.give_back(first, "too_late")
    ledger.staged(again, ())
    again.refresh_from_db()
    assert (again.state, again.error_code) == (ChunkState.STAGED, "")


def test_chunks_staged_at_once_are_all_counted(laid_out: TableRun) -> None:
    first, second = ledger.claim(laid_out, 2), ledger.claim(laid_out, 2)
    assert first
    assert second
    before = laid_out.chunks_staged

    def stage() -> None:
        try:
            with transaction.atomic():
                ledger.staged(second, ())
        finally:
            database.close()

    def is_held_up() -> bool:
        with database.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
            )
            return cursor.fetchone() is not None

    other = threading.Thread(target=stage)
    with transaction.atomic():
        ledger.staged(first, ())
        other.start()
        wait_for(is_held_up, 30)
    other.join()
    laid_out.refresh_from_db()
    assert laid_out.chunks_staged == before + 2


def test_chunk_of_a_run_that_has_ended_is_nobodys(laid_out: TableRun) -> None:
    chunk = ledger.claim(laid_out, 1)
    assert chunk
    PipelineRun.objects.filter(pk=laid_out.run_id).update(status=RunStatus.FAILED)
    with pytest.raises(LeaseLost):
        ledger.staged(chunk, ())
    assert ledger.claim(laid_out, 9) is None


def test_claims_at_once_are_of_different_chunks(laid_out: TableRun) -> None:
    claimed: list[Chunk | None] = []

    def take() -> None:
        try:
            claimed.append(ledger.claim(laid_out, 5))
        finally:
            database.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [chunk.number for chunk in claimed if chunk]
    assert len(numbers) == len(set(numbers)) == 5


def test_ledger_goes_with_the_files_it_is_of(
    records: Add, start: Start, pipeline: Pipeline, finish: Finish
) -> None:
    records(10)
    first = start()
    finish(first)
    assert ledger_of(first)
    finish(pipelines.request_run(pipeline, Trigger.COMMAND))
    assert ledger_of(first) == []
    assert first.tables.get().chunks == 1
