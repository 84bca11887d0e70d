"""A run that is cut off anywhere goes on from the chunks that are staged, and loses no row."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as database
from django.utils import timezone

from connectors.errors import ConnectionLost
from etl import lease, ledger, pipelines, runner, tasks
from etl.errors import LeaseLost
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, RunStatus, Step, TableRun, Trigger
from etl.pipelines import TableSpec
from sandbox.supervisor import Sandbox
from tests.etl.compare import Vault, broker_messages, source_rows, target_rows
from tests.etl.conftest import add_records, make_records
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
Moved = Callable[[PipelineRun], TableRun]


@pytest.fixture
def moved(vault: Vault, lake: Any, target_table: str) -> Moved:
    """Execute a run; it must succeed, and the target be as the source is."""

    def check(run: PipelineRun) -> TableRun:
        silence(run)
        ended = runner.execute(run.pk)
        assert ended is not None
        assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
        assert target_rows(lake, target_table) == source_rows(vault)
        return ended.tables.get()

    return check


def silence(run: PipelineRun) -> None:
    """As if nobody who works on it had been heard of for an hour."""
    long_ago = timezone.now() - timedelta(hours=1)
    PipelineRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)
    Chunk.objects.filter(table__run=run).update(heartbeat_at=long_ago)


def ledger_of(run: PipelineRun) -> list[Chunk]:
    return list(Chunk.objects.filter(table__run=run))


def staged(run: PipelineRun) -> dict[int, int]:
    """Claims of the chunks that are staged, by number."""
    found = Chunk.objects.filter(table__run=run, state=ChunkState.STAGED)
    return dict(found.values_list("number", "claim"))


def cut_off(run: PipelineRun, chunks: int) -> dict[int, int]:
    """Execute a run until so many chunks are staged, and no further; those that are."""

    def lose_it(table: TableRun) -> None:
        if table.step == Step.EXTRACTING and len(staged(run)) >= chunks:
            raise ConnectionLost

    ended = runner.execute(run.pk, lose_it)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.QUEUED, "connection_lost")
    return staged(run)


def test_run_goes_on_from_what_is_staged_and_catches_up(
    records: Add, start: Start, vault: Vault, moved: Moved
) -> None:
    records(ROWS)
    run = start()
    before = cut_off(run, 4)
    assert 4 <= len(before) < CHUNKS
    vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 100 = 0")
    records(500)
    table = moved(run)
    found = ledger_of(run)
    assert before.items() <= staged(run).items()
    assert {chunk.order for chunk in found} == {0, 1}
    assert sum(chunk.catches_up for chunk in found) == len(before)
    assert (table.chunks, table.chunks_staged) == (len(found), len(found))
    assert table.rows == sum(chunk.rows for chunk in found) > table.rows_in_target == ROWS + 500


def test_run_without_changes_meanwhile_reads_every_row_once(
    records: Add, start: Start, moved: Moved
) -> None:
    records(ROWS)
    run = start()
    cut_off(run, 4)
    assert moved(run).rows == ROWS


def test_run_that_is_cut_off_twice_catches_up_from_the_first_time_on(
    records: Add, start: Start, vault: Vault, moved: Moved
) -> None:
    records(ROWS)
    run = start()
    cut_off(run, 3)
    vault.execute("UPDATE records SET amount = -1 WHERE key::int % 90 = 0")
    silence(run)
    before = cut_off(run, 5)
    vault.execute("UPDATE records SET amount = -2 WHERE key::int % 70 = 0")
    moved(run)
    found = ledger_of(run)
    assert before.items() <= staged(run).items()
    assert {chunk.order for chunk in found} == {0, 1, 2}
    assert sum(chunk.catches_up for chunk in found) == len(before)


def test_row_that_was_in_flight_in_the_first_snapshot_is_not_lost(
    records: Add, start: Start, moved: Moved, endpoints: dict[str, Any]
) -> None:
    records(ROWS)
    run = start()
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as late:
        late.execute("UPDATE records SET payload = 'late' WHERE key::int % 100 = 0")
        cut_off(run, 4)
        late.commit()
    moved(run)


def test_run_of_what_is_new_goes_on_likewise(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, moved: Moved
) -> None:
    records(ROWS)
    moved(start())
    vault.execute("UPDATE records SET amount = 0 WHERE key::int % 10 = 0")
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    before = cut_off(run, 4)
    vault.execute("UPDATE records SET amount = 1 WHERE key::int % 15 = 0")
    assert moved(run).rows < ROWS
    assert before.items() <= staged(run).items()


def test_run_that_compares_keys_does_so_in_its_last_snapshot(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, target_table: str, moved: Moved
) -> None:
    """Rows that were staged are gone by then, and others bear the keys of rows that are not."""
    spec = TableSpec("public", "records", target_table, deletes="compared", delete_limit_percent=50)
    pipelines.update(pipeline, {}, [spec])
    records(ROWS)
    run = start()
    # Some of the keys have been read too.
    before = cut_off(run, CHUNKS + 3)
    assert any(chunk.keys for chunk in ledger_of(run) if chunk.state == ChunkState.STAGED)
    vault.execute("DELETE FROM records WHERE key::int % 50 = 0")
    vault.execute("UPDATE records SET key = 'm' || key WHERE key::int % 70 = 0")
    table = moved(run)
    kept = {chunk.number for chunk in ledger_of(run) if not chunk.keys and not chunk.catches_up}
    assert {n: claim for n, claim in before.items() if n in kept}.items() <= staged(run).items()
    assert all(chunk.order == 1 for chunk in ledger_of(run) if chunk.keys)
    vault.execute("DELETE FROM records WHERE key LIKE 'm%'")
    assert moved(pipelines.request_run(pipeline, Trigger.COMMAND)).rows < table.rows


@pytest.mark.parametrize(
    "change",
    [
        "VACUUM FULL records",
        "TRUNCATE records",
        "ALTER TABLE records ALTER amount TYPE numeric(14, 3)",
        "ALTER TABLE records DROP CONSTRAINT records_pkey, ADD PRIMARY KEY (key)",
        "ALTER TABLE records RENAME TO older; CREATE TABLE records (LIKE older INCLUDING ALL)",
    ],
    ids=["moved", "emptied", "retyped", "another key", "another table"],
)
def test_run_begins_anew_when_rows_no_longer_lie_where_they_lay(
    records: Add, start: Start, vault: Vault, moved: Moved, change: str
) -> None:
    records(ROWS)
    run = start()
    before = cut_off(run, 4)
    # Where rows are moved, those of later pages come to the place of these.
    vault.execute("DELETE FROM records WHERE ctid < '(60,0)'")
    for statement in change.split("; "):
        vault.execute(statement.encode())
    moved(run)
    assert not before.items() & staged(run).items()
    assert {chunk.order for chunk in ledger_of(run)} == {0}


def test_run_begins_anew_when_the_target_is_gone(
    records: Add, start: Start, pipeline: Pipeline, vault: Vault, lake: Any, moved: Moved
) -> None:
    records(ROWS)
    moved(start())
    vault.execute("UPDATE records SET amount = 0")
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    cut_off(run, 4)
    lake.cursor().execute(f'DROP TABLE "{pipeline.tables.get().destination_table}"')
    moved(run)
    assert {chunk.order for chunk in ledger_of(run)} == {0}


def test_table_dropped_while_its_run_is_cut_off_is_said_and_the_watermark_stays(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    records(ROWS)
    run = start()
    cut_off(run, 4)
    vault.execute("DROP TABLE records")
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.FAILED, "object_not_found")
    assert pipeline.tables.get().watermark is None


def test_table_dropped_in_the_middle_is_read_to_its_end(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    """The change waits for the runner; nobody waits for both."""
    records(ROWS)
    expected = source_rows(vault)
    run = start()
    drop = threading.Thread(target=vault.execute, args=["DROP TABLE records"])

    def begin_drop(_: TableRun) -> None:
        if len(staged(run)) >= 3 and drop.ident is None:
            drop.start()

    ended = runner.execute(run.pk, begin_drop, sessions=3)
    drop.join(10)
    assert ended is not None
    assert ended.status == RunStatus.SUCCEEDED
    assert target_rows(lake, target_table) == expected


def test_snapshot_session_cut_by_the_server_queues_the_run_which_then_goes_on(
    records: Add, start: Start, vault: Vault, moved: Moved, endpoints: dict[str, Any]
) -> None:
    records(ROWS)
    run = start()

    def cut(_: TableRun) -> None:
        if len(staged(run)) == 4:
            with psycopg.connect(endpoints["postgres"]["superuser_dsn"]) as server:
                server.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE usename = 'etl_reader' AND application_name LIKE %s",
                    [f"%{run.pk}"],
                )

    ended = runner.execute(run.pk, cut)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.QUEUED, "connection_lost")
    before = staged(run)
    vault.execute("UPDATE records SET amount = -amount")
    moved(run)
    assert len(before) == 4
    assert before.items() <= staged(run).items()


def test_of_two_leaders_one_ends_the_run_and_each_chunk_is_staged_once(
    records: Add, start: Start, vault: Vault, moved: Moved
) -> None:
    """A paused leader wakes after another has taken over, while it was between two chunks."""
    records(ROWS)
    run = start()

    def taken_over(table: TableRun) -> None:
        if table.step == Step.EXTRACTING and len(staged(run)) == 4:
            vault.execute("UPDATE records SET payload = 'newer' WHERE key::int % 50 = 0")
            moved(run)

    assert runner.execute(run.pk, taken_over) is None
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCEEDED, 2)


def test_writers_who_never_rest_lose_nothing_to_a_run_that_is_cut_off(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, moved: Moved, endpoints: Any
) -> None:
    records(ROWS)
    over = threading.Event()

    def write(number: int) -> None:
        """Transactions of many sizes; some rolled back, some with parts that are."""
        with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as session:
            for turn in range(10_000):
                if over.is_set():
                    break
                session.execute(
                    "UPDATE records SET amount = %s WHERE key::int %% 499 = %s",
                    [turn, (turn * 31 + number) % 499],
                )
                session.execute("SAVEPOINT part")
                session.execute(
                    "INSERT INTO records SELECT 'new', %s, 'x', '{\"n\": 0, \"big\": 0}', 0",
                    [f"{number}0{turn}"],
                )
                if turn % 3 == 0:
                    session.execute("ROLLBACK TO SAVEPOINT part")
                session.rollback() if turn % 5 == 0 else session.commit()

    writers = [threading.Thread(target=write, args=[number]) for number in range(1, 4)]
    run = start()
    for writer in writers:
        writer.start()
    try:
        cut_off(run, 3)
        cut_off(run, 6)
        ended = runner.execute(run.pk, sessions=2)
        assert ended is not None
        assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert {chunk.order for chunk in ledger_of(run)} == {0, 1, 2}
    moved(pipelines.request_run(pipeline, Trigger.COMMAND))


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
    moved: Moved,
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
    moved(pipelines.request_run(pipeline, Trigger.COMMAND))


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
    records: Add, start: Start, pipeline: Pipeline, moved: Moved
) -> None:
    records(10)
    first = start()
    moved(first)
    assert ledger_of(first)
    moved(pipelines.request_run(pipeline, Trigger.COMMAND))
    assert ledger_of(first) == []
    assert first.tables.get().chunks == 1


# Processes and servers that go away


def test_leader_killed_in_the_middle_costs_no_row(
    records: Add,
    pipeline: Pipeline,
    vault: Vault,
    lake: Any,
    target_table: str,
    service_environment: dict[str, str],
) -> None:
    records(100_000)
    command = [sys.executable, "manage.py", "run_pipeline", str(pipeline.pk), "--workers", "2"]
    environment = {**service_environment, "PIPELINE_CHUNK_MB": "1"}
    leader = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    done = Chunk.objects.filter(table__run__pipeline=pipeline, state=ChunkState.STAGED)
    wait_for(lambda: done.count() >= 3, 60)
    os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
    run = PipelineRun.objects.get(pipeline=pipeline)
    before = staged(run)
    assert run.status == RunStatus.RUNNING
    assert Chunk.objects.exclude(state=ChunkState.STAGED).exists(), "the kill came too late"
    vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 20 = 0")
    records(1_000)
    again = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert "101,000 in" in again.stdout
    assert before.items() <= staged(run).items()
    assert target_rows(lake, target_table) == source_rows(vault)


def test_server_restarted_in_mid_read_costs_no_row(
    pipeline: Pipeline, lake: Any, target_table: str, tmp_path: Path, start: Start, settings: Any
) -> None:
    with Sandbox(tmp_path, ["postgres"]) as server:
        place = server.endpoints["postgres"]
        settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = [
            *settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS,
            f"{place['host']}:{place['port']}",
        ]
        with psycopg.connect(place["datavault_dsn"], autocommit=True) as vault:
            make_records(vault)
            add_records(vault, ROWS)
        names = ("host", "port", "database", "user", "password")
        form = {name: place["reader"][name] for name in names}
        pipeline.source.set_credentials(form)
        pipeline.source.save()
        run = start()

        def restart(_: TableRun) -> None:
            if len(staged(run)) >= 4:
                server.stop()
                server.start()

        ended = runner.execute(run.pk, restart)
        assert ended is not None
        assert (ended.status, ended.error_code) == (RunStatus.QUEUED, "connection_lost")
        before = staged(run)
        with psycopg.connect(place["datavault_dsn"], autocommit=True) as vault:
            vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 20 = 0")
            again = runner.execute(run.pk)
            assert again is not None
            assert (again.status, again.error) == (RunStatus.SUCCEEDED, "")
            assert len(before) == 4
            assert before.items() <= staged(run).items()
            assert target_rows(lake, target_table) == source_rows(vault)


def test_one_row_of_50_mb_is_moved(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    vault.execute(
        "INSERT INTO records SELECT 't', '1', decode(repeat('00ff61', 17000000), 'hex'), "
        '\'{"n": 1, "big": 2}\', 1'
    )
    ended = runner.execute(start().pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    assert target_rows(lake, target_table) == source_rows(vault)
