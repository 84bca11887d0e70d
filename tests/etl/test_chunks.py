"""A run that is cut off anywhere goes on from the chunks that are staged, and loses no row."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from etl import pipelines, runner
from etl.models import ChunkState, Pipeline, PipelineRun, RunStatus, Step, TableRun, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.cut_off import Finish, cut_off, ledger_of, silence, staged

ROWS = 10_000
CHUNKS = 8
"""The table has so many at least."""

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


def test_run_goes_on_from_what_is_staged_and_catches_up(
    records: Add, start: Start, vault: Vault, finish: Finish
) -> None:
    records(ROWS)
    run = start()
    before = cut_off(run, 4)
    assert 4 <= len(before) < CHUNKS
    vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 100 = 0")
    records(500)
    table = finish(run)
    found = ledger_of(run)
    assert before.items() <= staged(run).items()
    assert {chunk.order for chunk in found} == {0, 1}
    assert sum(chunk.catches_up for chunk in found) == len(before)
    assert (table.chunks, table.chunks_staged) == (len(found), len(found))
    assert table.rows == sum(chunk.rows for chunk in found) > table.rows_in_target == ROWS + 500


def test_run_without_changes_meanwhile_reads_every_row_once(
    records: Add, start: Start, finish: Finish
) -> None:
    records(ROWS)
    run = start()
    cut_off(run, 4)
    assert finish(run).rows == ROWS


def test_run_that_is_cut_off_twice_catches_up_from_the_first_time_on(
    records: Add, start: Start, vault: Vault, finish: Finish
) -> None:
    records(ROWS)
    run = start()
    cut_off(run, 3)
    vault.execute("UPDATE records SET amount = -1 WHERE key::int % 90 = 0")
    silence(run)
    before = cut_off(run, 5)
    vault.execute("UPDATE records SET amount = -2 WHERE key::int % 70 = 0")
    finish(run)
    found = ledger_of(run)
    assert before.items() <= staged(run).items()
    assert {chunk.order for chunk in found} == {0, 1, 2}
    assert sum(chunk.catches_up for chunk in found) == len(before)


def test_row_that_was_in_flight_in_the_first_snapshot_is_not_lost(
    records: Add, start: Start, finish: Finish, endpoints: dict[str, Any]
) -> None:
    records(ROWS)
    run = start()
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as late:
        late.execute("UPDATE records SET payload = 'late' WHERE key::int % 100 = 0")
        cut_off(run, 4)
        late.commit()
    finish(run)


def test_run_of_what_is_new_goes_on_likewise(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, finish: Finish
) -> None:
    records(ROWS)
    finish(start())
    vault.execute("UPDATE records SET amount = 0 WHERE key::int % 10 = 0")
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    before = cut_off(run, 4)
    vault.execute("UPDATE records SET amount = 1 WHERE key::int % 15 = 0")
    assert finish(run).rows < ROWS
    assert before.items() <= staged(run).items()


def test_run_that_compares_keys_does_so_in_its_last_snapshot(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, target_table: str, finish: Finish
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
    table = finish(run)
    kept = {chunk.number for chunk in ledger_of(run) if not chunk.keys and not chunk.catches_up}
    assert {n: claim for n, claim in before.items() if n in kept}.items() <= staged(run).items()
    assert all(chunk.order == 1 for chunk in ledger_of(run) if chunk.keys)
    vault.execute("DELETE FROM records WHERE key LIKE 'm%'")
    assert finish(pipelines.request_run(pipeline, Trigger.COMMAND)).rows < table.rows


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
    records: Add, start: Start, vault: Vault, finish: Finish, change: str
) -> None:
    records(ROWS)
    run = start()
    before = cut_off(run, 4)
    # Where rows are moved, those of later pages come to the place of these.
    vault.execute("DELETE FROM records WHERE ctid < '(60,0)'")
    for statement in change.split("; "):
        vault.execute(statement.encode())
    finish(run)
    assert not before.items() & staged(run).items()
    assert {chunk.order for chunk in ledger_of(run)} == {0}


def test_run_begins_anew_when_the_target_is_gone(
    records: Add, start: Start, pipeline: Pipeline, vault: Vault, lake: Any, finish: Finish
) -> None:
    records(ROWS)
    finish(start())
    vault.execute("UPDATE records SET amount = 0")
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    cut_off(run, 4)
    lake.cursor().execute(f'DROP TABLE "{pipeline.tables.get().destination_table}"')
    finish(run)
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
    records: Add, start: Start, vault: Vault, finish: Finish, endpoints: dict[str, Any]
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
    finish(run)
    assert len(before) == 4
    assert before.items() <= staged(run).items()


def test_of_two_leaders_one_ends_the_run_and_each_chunk_is_staged_once(
    records: Add, start: Start, vault: Vault, finish: Finish
) -> None:
    """A paused leader wakes after another has taken over, while it was between two chunks."""
    records(ROWS)
    run = start()

    def taken_over(table: TableRun) -> None:
        if table.step == Step.EXTRACTING and len(staged(run)) == 4:
            vault.execute("UPDATE records SET payload = 'newer' WHERE key::int % 50 = 0")
            finish(run)

    assert runner.execute(run.pk, taken_over) is None
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCEEDED, 2)


def test_writers_who_never_rest_lose_nothing_to_a_run_that_is_cut_off(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, finish: Finish, endpoints: Any
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
    finish(pipelines.request_run(pipeline, Trigger.COMMAND))
