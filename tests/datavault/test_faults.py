"""Kills and stand-bys: nothing lost, nothing doubled, nothing overtaken."""

import signal
import subprocess

from sandbox.datavault.backend import Totals, drain
from sandbox.datavault.backend.store import Store
from sandbox.datavault.backend.writer import ENTRIES_PER_COMMIT
from sandbox.datavault.ingest import ingest
from sandbox.datavault.stream import CONSUMER, GROUP, STREAM, Stream

from .conftest import Vault

RECORDS = 20_000


def pending(vault: Vault) -> int:
    groups = vault.redis().xinfo_groups(STREAM) if vault.redis().exists(STREAM) else []
    return sum(group["pending"] for group in groups)


def make_table(vault: Vault) -> None:
    with Store(vault.database_url) as store:
        store.migrate()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=10) == -signal.SIGKILL


def assert_each_record_is_there_once_and_untouched_since(vault: Vault) -> None:
    assert vault.rows(
        "select count(*), count(distinct key), count(*) filter (where updated_at > created_at)"
        " from records"
    ) == [(RECORDS, RECORDS, 0)]
    assert vault.redis().xlen(STREAM) == 0
    assert pending(vault) == 0


def test_kill_9_before_the_commit_loses_and_doubles_nothing(vault: Vault, until):
    make_table(vault)
    ingest(vault.redis_url, vault.key, first=0, count=RECORDS, seed=1)
    with vault.writes_held_up():
        backend = vault.start("backend.main")
        until(lambda: vault.writes_waiting() and pending(vault) == ENTRIES_PER_COMMIT)
        kill(backend)
        assert vault.count() == 0

    code, out, _ = vault.run("backend.main", "--until-idle")

    assert (code, out) == (0, "20,000 records stored, 0 dead letters\n")
    assert_each_record_is_there_once_and_untouched_since(vault)


def test_kill_9_between_commit_and_acknowledgement_doubles_nothing(vault: Vault, until):
    make_table(vault)
    ingest(vault.redis_url, vault.key, first=0, count=RECORDS, seed=1)
    try:
        with vault.writes_held_up():
            backend = vault.start("backend.main")
            until(lambda: vault.writes_waiting() and pending(vault) == ENTRIES_PER_COMMIT)
            vault.redis().client_pause(60_000, all=False)
        until(lambda: vault.count() == ENTRIES_PER_COMMIT * 250)
        kill(backend)
    finally:
        vault.redis().client_unpause()
    assert pending(vault) == ENTRIES_PER_COMMIT

    totals = drain(vault.redis_url, vault.database_url)

    assert totals == Totals(stored=RECORDS, refused=0)
    assert_each_record_is_there_once_and_untouched_since(vault)


def test_kills_while_records_stream_in_lose_and_double_nothing(vault: Vault, until):
    producer = vault.start("ingest", "--records", str(RECORDS), "--seed", "1")
    make_table(vault)
    for reached in (1, 8_000, 14_000):
        backend = vault.start("backend.main")
        until(lambda reached=reached: vault.count() >= reached)
        kill(backend)
    assert producer.wait(timeout=30) == 0

    drain(vault.redis_url, vault.database_url)

    assert_each_record_is_there_once_and_untouched_since(vault)


def test_what_a_dead_backend_left_is_never_stored_over_something_newer(vault: Vault, until):
    make_table(vault)
    ingest(vault.redis_url, vault.key, first=0, count=5_000, seed=1)
    with vault.writes_held_up():
        backend = vault.start("backend.main")
        until(lambda: vault.writes_waiting() and pending(vault) == ENTRIES_PER_COMMIT)
        ingest(vault.redis_url, vault.key, first=0, count=5_000, seed=1, revision=1)
        kill(backend)

    drain(vault.redis_url, vault.database_url)

    assert vault.rows("select metadata->>'revision', count(*) from records group by 1") == [
        ("1", 5_000)
    ]


def test_an_entry_taken_by_a_backend_that_hangs_is_not_overtaken(vault: Vault):
    with Stream(vault.redis_url) as stream:
        stream.join_group()
        old, new = (vault.redis().xadd(STREAM, {"batch": word}) for word in ("old", "new"))
        vault.redis().xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=1)

        assert [entry.id for entry in stream.oldest(count=10, wait_ms=None)] == [old, new]


def test_a_second_backend_stands_by_and_takes_over(vault: Vault, until):
    first = vault.start("backend.main")
    ingest(vault.redis_url, vault.key, first=0, count=1_000, seed=1)
    until(lambda: vault.redis().xlen(STREAM) == 0 and vault.count() == 1_000)
    second = vault.start("backend.main")
    assert "writer.standing_by" in next(line for line in second.stdout if "writer." in line)

    kill(first)
    ingest(vault.redis_url, vault.key, first=1_000, count=1_000, seed=1)

    until(lambda: vault.count() == 2_000)
    assert second.poll() is None


def test_draining_beside_a_running_backend_returns_when_that_one_is_done(vault: Vault, until):
    vault.start("backend.main")
    until(lambda: vault.redis().exists(STREAM) and vault.redis().xinfo_consumers(STREAM, GROUP))
    ingest(vault.redis_url, vault.key, first=0, count=5_000, seed=1)

    assert drain(vault.redis_url, vault.database_url) == Totals(stored=0, refused=0)
    assert vault.count() == 5_000


def test_sigterm_finishes_the_batch_in_hand(vault: Vault, until):
    make_table(vault)
    ingest(vault.redis_url, vault.key, first=0, count=RECORDS, seed=1)
    with vault.writes_held_up():
        backend = vault.start("backend.main")
        until(lambda: vault.writes_waiting() and pending(vault) == ENTRIES_PER_COMMIT)
        backend.terminate()

    assert backend.wait(timeout=20) == 0
    assert vault.count() == ENTRIES_PER_COMMIT * 250
    assert pending(vault) == 0
    assert vault.redis().xlen(STREAM) == RECORDS // 250 - ENTRIES_PER_COMMIT
