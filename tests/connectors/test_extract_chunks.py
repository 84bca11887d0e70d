"""Many sessions read one table in one snapshot: every row once, whatever others do meanwhile."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import Connector
from connectors.abilities import Bounds, ReadPlan
from connectors.errors import ConnectionLost, ConnectorError, QueryCancelled, SnapshotGone
from connectors.postgres.chunks import Leaf, chunked
from connectors.providers.postgres import Postgres
from connectors.types import Watermark
from tests.connectors.reading import CHUNK_BYTES, read_table
from tests.waiting import wait_for

Owner = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]

SMALL = 64 * 2**10


@pytest.fixture
def session(opened: Callable[..., Connector]) -> Callable[[], Postgres]:
    """Makes sessions with the source."""

    def make() -> Postgres:
        connector = opened("postgres")
        assert isinstance(connector, Postgres)
        return connector

    return make


@pytest.fixture
def leader(session: Callable[[], Postgres]) -> Iterator[Postgres]:
    """The session that keeps the snapshot; let go before the tables are dropped."""
    made = session()
    yield made
    made.release()


@pytest.fixture
def numbers(owner: Owner, source: str) -> str:
    """A table of 20,000 rows, of about 2 MB; its qualified name."""
    owner.execute(f"CREATE TABLE {source}.numbers (n int PRIMARY KEY, word text)")
    owner.execute(
        f"INSERT INTO {source}.numbers SELECT g, repeat('x', 60) FROM generate_series(1, 20000) g"
    )
    return f"{source}.numbers"


def rows_of(reader: Postgres, plan: ReadPlan, bounds: Bounds, since: Any = None) -> Rows:
    with closing(reader.read(plan, bounds, since)) as batches:
        return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


# How a table is cut


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 60_000), st.booleans()), max_size=8),
    st.integers(1, 10**8),
)
def test_every_page_lies_in_one_chunk(facts: list[tuple[int, int, bool]], chunk_bytes: int) -> None:
    leaves = [
        Leaf(oid, pages, pages * 8192 + aside, has_pages)
        for oid, (pages, aside, has_pages) in enumerate(facts)
    ]
    found: dict[int, list[tuple[int | None, int | None]]] = {}
    for bounds in chunked(leaves, chunk_bytes):
        assert bounds
        for oid, first, end in bounds:
            assert oid is not None
            found.setdefault(oid, []).append((first, end))
    assert set(found) == {leaf.oid for leaf in leaves}
    for ranges in found.values():
        assert ranges[0][0] == 0
        assert ranges[-1][1] is None
        assert [end for _, end in ranges[:-1]] == [first for first, _ in ranges[1:]]


@pytest.mark.parametrize(
    ("megabytes", "chunks"), [(0, 1), (100, 1), (383, 1), (385, 2), (1024, 4), (10_240, 40)]
)
def test_a_table_of_a_gigabyte_gives_four_readers_work(megabytes: int, chunks: int) -> None:
    leaf = Leaf(1, megabytes * 128, megabytes * 2**20, has_pages=True)
    assert len(list(chunked([leaf], 256 * 2**20))) == chunks


def test_values_stored_aside_count() -> None:
    assert len(list(chunked([Leaf(1, 10, 10 * 2**20, has_pages=True)], 2**20))) == 10


# One snapshot, many sessions


def test_sessions_that_come_later_see_what_the_leader_saw(
    numbers: str, owner: Owner, source: str, leader: Postgres, session: Any
) -> None:
    plan = leader.plan(source, "numbers", None, SMALL)
    assert len(plan.chunks) > 10
    expected = {(n, "x" * 60) for n in range(1, 20_001)}
    readers = [leader, session(), session()]
    rows: Rows = []
    for number, bounds in enumerate(plan.chunks):
        # Rows leave their pages for others, which are read later or have been read.
        owner.execute(f"UPDATE {numbers} SET word = 'new' WHERE n % 10 = {number % 10}")
        owner.execute(f"DELETE FROM {numbers} WHERE n % 10 = {(number + 5) % 10}")
        owner.execute(f"INSERT INTO {numbers} SELECT 30000 + {number}, 'late'")
        rows += rows_of(readers[number % 3], plan, bounds)
    assert len(rows) == len(expected)
    assert set(rows) == expected
    for reader in readers:
        reader.release()


def test_what_was_written_since_is_found_in_the_same_chunks(
    numbers: str, owner: Owner, source: str, leader: Postgres, session: Any
) -> None:
    first, _ = read_table(leader, source, "numbers", None, SMALL)
    owner.execute(f"UPDATE {numbers} SET word = 'new' WHERE n % 1000 = 0")
    plan = leader.plan(source, "numbers", first.watermark, SMALL)
    assert plan.since == first.watermark
    rows = [row for bounds in plan.chunks for row in rows_of(leader, plan, bounds, plan.since)]
    assert {row for row in rows if row[1] == "new"} == {(n * 1000, "new") for n in range(1, 21)}
    other = session()
    assert sorted(rows_of(other, plan, plan.whole, plan.since)) == sorted(rows)
    other.release()


def test_table_cannot_be_rewritten_while_it_is_read(
    numbers: str, owner: Owner, source: str, leader: Postgres
) -> None:
    before = leader.plan(source, "numbers", None, SMALL)
    owner.execute("SET lock_timeout = '100ms'")
    for statement in (f"VACUUM FULL {numbers}", f"TRUNCATE {numbers}", f"DROP TABLE {numbers}"):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            owner.execute(statement.encode())
    owner.execute("RESET lock_timeout")
    leader.release()
    owner.execute(f"VACUUM FULL {numbers}")
    after = leader.plan(source, "numbers", before.watermark, SMALL)
    # The rows are the same, and they lie elsewhere.
    assert after.since == before.watermark
    assert after.layout != before.layout


def test_session_that_comes_while_a_change_waits_goes_and_the_leader_reads_on(
    numbers: str, owner: Owner, source: str, leader: Postgres, session: Any
) -> None:
    """It would wait for the change, which waits for the leader, who would wait for it."""
    plan = leader.plan(source, "numbers", None, SMALL)
    late = session()
    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(owner.execute, f"ALTER TABLE {numbers} ADD COLUMN extra int".encode())
        with psycopg.connect(owner.info.dsn, password=owner.info.password) as server:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
            wait_for(lambda: server.execute(waits, [numbers]).fetchone() == (1,))
        with pytest.raises(SnapshotGone):
            rows_of(late, plan, plan.chunks[0])
        rows = [row for bounds in plan.chunks for row in rows_of(leader, plan, bounds)]
        assert len(rows) == 20_000
        leader.release()
        change.result(5)


def test_snapshot_ends_with_its_leader(
    numbers: str, source: str, leader: Postgres, session: Any, endpoints: dict[str, Any]
) -> None:
    plan = leader.plan(source, "numbers", None, SMALL)
    early, late = session(), session()
    assert rows_of(early, plan, plan.chunks[0])
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        pid = leader._connection.info.backend_pid
        server.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(ConnectionLost):
        leader.hold()
    with pytest.raises(SnapshotGone):
        leader.hold()
    with pytest.raises(SnapshotGone):
        rows_of(late, plan, plan.chunks[1])
    with pytest.raises(SnapshotGone):
        rows_of(leader, plan, plan.chunks[1])
    # Who had joined before still has it.
    assert rows_of(early, plan, plan.chunks[1])
    early.release()


def test_server_with_short_patience_keeps_the_snapshot(
    numbers: str, source: str, leader: Postgres, endpoints: dict[str, Any]
) -> None:
    patience = "idle_in_transaction_session_timeout"
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        server.execute(f"ALTER ROLE etl_reader SET {patience} = '50ms'")
        try:
            plan = leader.plan(source, "numbers", None, SMALL)
        finally:
            server.execute(f"ALTER ROLE etl_reader RESET {patience}")
    slow_until = time.monotonic() + 0.2
    wait_for(lambda: time.monotonic() > slow_until)
    assert rows_of(leader, plan, plan.chunks[0])


def test_reading_is_cancelled_from_another_thread(
    owner: Owner, numbers: str, source: str, leader: Postgres
) -> None:
    # More than sockets hold, so that the server is not done before it is told.
    owner.execute(
        f"INSERT INTO {numbers} SELECT n + 20000 * g, word FROM {numbers}, generate_series(1, 20) g"
    )
    plan = leader.plan(source, "numbers", None, CHUNK_BYTES)
    batches = leader.read(plan, plan.whole, None, run_id="a reader")
    next(batches)
    assert leader.cancel("a reader")
    with pytest.raises(QueryCancelled):
        list(batches)
    assert not leader.cancel("a reader")


def test_watermark_of_another_table_is_not_covered(
    numbers: str, owner: Owner, source: str, leader: Postgres
) -> None:
    owner.execute(f"CREATE TABLE {source}.other (id int)")
    other, _ = read_table(leader, source, "other")
    plan = leader.plan(source, "numbers", None, SMALL)
    assert leader.covers(plan.watermark)
    assert not leader.covers(other.watermark)


# Partitions


@pytest.fixture
def parts(owner: Owner, source: str) -> str:
    """Two partitions, one with its columns in another order and one column that is no more."""
    owner.execute(
        f"""CREATE TABLE {source}.parts (id int, word text) PARTITION BY RANGE (id);
        CREATE TABLE {source}.low PARTITION OF {source}.parts FOR VALUES FROM (0) TO (10000);
        CREATE TABLE {source}.high (gone int, word text, id int);
        ALTER TABLE {source}.high DROP COLUMN gone;
        ALTER TABLE {source}.parts ATTACH PARTITION {source}.high
            FOR VALUES FROM (10000) TO (20000);
        INSERT INTO {source}.parts SELECT g, 'w' || g FROM generate_series(0, 19999) AS g;
        GRANT SELECT ON ALL TABLES IN SCHEMA {source} TO etl_reader"""
    )
    return f"{source}.parts"


EVERYTHING = {(n, f"w{n}") for n in range(20_000)}


def test_partitions_are_read_one_by_one(parts: str, source: str, leader: Postgres) -> None:
    plan, rows = read_table(leader, source, "parts", None, SMALL)
    assert len(plan.chunks) > 10
    assert len(rows) == len(EVERYTHING)
    assert set(rows) == EVERYTHING


def test_small_partitions_share_a_chunk(parts: str, source: str, leader: Postgres) -> None:
    plan, rows = read_table(leader, source, "parts")
    assert [len(bounds) for bounds in plan.chunks] == [2]
    assert set(rows) == EVERYTHING


@pytest.mark.parametrize(
    "change",
    [
        "REVOKE ALL ON {source}.low FROM etl_reader",
        "ALTER TABLE {source}.low ENABLE ROW LEVEL SECURITY",
    ],
    ids=["no right to a partition", "a rule for rows of a partition"],
)
def test_partition_that_may_not_be_read_alone_is_read_through_its_table(
    parts: str, owner: Owner, source: str, leader: Postgres, change: str
) -> None:
    owner.execute(change.format(source=source).encode())
    plan, rows = read_table(leader, source, "parts", None, SMALL)
    assert len(plan.chunks) == 1
    assert set(rows) == EVERYTHING


def test_rule_for_rows_of_the_whole_holds_for_its_partitions(
    parts: str, owner: Owner, source: str, leader: Postgres
) -> None:
    owner.execute(f"ALTER TABLE {parts} ENABLE ROW LEVEL SECURITY")
    owner.execute(f"CREATE POLICY first_five ON {parts} TO etl_reader USING (id < 5)")
    _, rows = read_table(leader, source, "parts", None, SMALL)
    assert set(rows) == {(n, f"w{n}") for n in range(5)}


def test_partition_that_comes_meanwhile_is_read_by_the_next_plan(
    parts: str, owner: Owner, source: str, leader: Postgres
) -> None:
    owner.execute(f"CREATE TABLE {source}.more AS SELECT 20000 AS id, 'w20000' AS word")
    owner.execute(f"GRANT SELECT ON {source}.more TO etl_reader")
    plan = leader.plan(source, "parts", None, SMALL)
    owner.execute(
        f"ALTER TABLE {parts} ATTACH PARTITION {source}.more FOR VALUES FROM (20000) TO (30000)"
    )
    rows = {row for bounds in plan.chunks for row in rows_of(leader, plan, bounds)}
    assert rows == EVERYTHING
    leader.release()
    again, rows_again = read_table(leader, source, "parts", plan.watermark, SMALL)
    assert again.since is None
    assert set(rows_again) == EVERYTHING | {(20_000, "w20000")}


def test_partitioned_table_without_partitions_has_no_chunks(
    owner: Owner, source: str, leader: Postgres
) -> None:
    owner.execute(f"CREATE TABLE {source}.hollow (id int) PARTITION BY RANGE (id)")
    plan, rows = read_table(leader, source, "hollow")
    assert (plan.chunks, rows) == ((), [])


def test_rows_of_tables_that_inherit_come_once(owner: Owner, source: str, leader: Postgres) -> None:
    owner.execute(
        f"""CREATE TABLE {source}.parent (id int);
        CREATE TABLE {source}.child () INHERITS ({source}.parent);
        INSERT INTO {source}.parent SELECT generate_series(1, 20000);
        INSERT INTO {source}.child SELECT generate_series(20001, 60000)"""
    )
    plan, rows = read_table(leader, source, "parent", None, SMALL)
    assert len(plan.chunks) > 5
    assert sorted(rows) == [(n,) for n in range(1, 60_001)]


def test_plan_is_read_by_oid_when_names_have_changed_hands(
    numbers: str, owner: Owner, source: str, leader: Postgres
) -> None:
    """A ledger's chunks outlive the lock under which names cannot change."""
    old = leader.plan(source, "numbers", None, SMALL)
    leader.release()
    owner.execute(f"ALTER TABLE {numbers} RENAME TO older")
    new = leader.plan(source, "older", None, SMALL)
    assert (new.layout, new.watermark.origin) == (old.layout, old.watermark.origin)
    assert len({row for bounds in old.chunks for row in rows_of(leader, new, bounds)}) == 20_000


def test_errors_leave_the_session_usable(numbers: str, source: str, leader: Postgres) -> None:
    plan = leader.plan(source, "numbers", None, SMALL)
    with pytest.raises(ConnectorError):
        rows_of(leader, plan, plan.whole, Watermark("nonsense", plan.watermark.origin))
    with pytest.raises(SnapshotGone):
        leader.hold()
    assert len(read_table(leader, source, "numbers")[1]) == 20_000
