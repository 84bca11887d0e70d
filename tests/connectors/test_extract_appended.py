"""Rows of a table without a key that only grows: each comes once, whatever its writers do."""

import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from connectors import Connector
from connectors.abilities import Extract, Increment, ReadPlan
from connectors.postgres import appended
from connectors.types import Watermark
from tests.connectors.reading import CHUNK_BYTES, batches_of

Owner = psycopg.Connection[Any]
Words = list[str]
ONCE = Increment(once=True)


@pytest.fixture
def events(owner: Owner, source: str) -> str:
    """A table of two rows that are the same; its qualified name."""
    owner.execute(f"CREATE TABLE {source}.events (word text)")
    owner.execute(f"INSERT INTO {source}.events VALUES ('a'), ('a')")
    return f"{source}.events"


@pytest.fixture
def extract(opened: Callable[..., Connector], source: str) -> Callable[..., tuple[ReadPlan, Words]]:
    """Read what is new; the plan and the words, sorted."""
    connector = opened("postgres")
    assert isinstance(connector, Extract)

    def run(since: Watermark | None = None, chunk_bytes: int = CHUNK_BYTES) -> tuple[ReadPlan, Any]:
        # Stored and read again, as between two runs.
        since = since and Watermark(**since.as_json())
        plan = connector.plan(source, "events", since, chunk_bytes, ONCE)
        return plan, sorted(
            row["word"] for batch in batches_of(connector, plan) for row in batch.to_pylist()
        )

    return run


def test_what_is_new_comes_once_beside_a_transaction_that_stays_open(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    late = writer()
    late.execute(f"INSERT INTO {events} VALUES ('late')")
    first, words = extract()
    assert (first.since, first.estimated_rows, words) == (None, 2, ["a", "a"])
    owner.execute(f"INSERT INTO {events} VALUES ('b')")
    second, words = extract(first.watermark)
    assert (second.note, second.estimated_rows, words) == ("", 1, ["b"])
    # Its transaction is younger than the one that is open, and has been seen.
    assert second.watermark.seen
    assert extract(second.watermark)[1] == []
    late.commit()
    third, words = extract(second.watermark)
    assert words == ["late"]
    assert extract(third.watermark)[1] == []


def test_parts_of_a_transaction_come_once(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    """Parts have ids of their own, which do not stand in a snapshot."""
    outer, inner = writer(), writer()
    outer.execute(f"INSERT INTO {events} VALUES ('outer')")
    inner.execute(f"INSERT INTO {events} VALUES ('whole')")
    for word in ("one", "two"):
        inner.execute("SAVEPOINT part")
        inner.execute(f"INSERT INTO {events} VALUES ('{word}')")
    inner.execute("SAVEPOINT gone")
    inner.execute(f"INSERT INTO {events} VALUES ('gone')")
    inner.execute("ROLLBACK TO gone")
    first, _ = extract()
    outer.execute("SAVEPOINT part")
    outer.execute(f"INSERT INTO {events} VALUES ('outer part')")
    inner.commit()
    second, words = extract(first.watermark)
    assert words == ["one", "two", "whole"]
    outer.commit()
    third, words = extract(second.watermark)
    assert words == ["outer", "outer part"]
    assert extract(third.watermark)[1] == []


def test_transaction_that_is_rolled_back_costs_nothing(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    failed = writer()
    failed.execute(f"INSERT INTO {events} VALUES ('gone')")
    first, _ = extract()
    failed.rollback()
    owner.execute(f"INSERT INTO {events} VALUES ('b')")
    second, words = extract(first.watermark)
    assert (second.note, words) == ("", ["b"])


@pytest.mark.parametrize(
    "settle",
    ["VACUUM (FREEZE) {0}", "VACUUM FULL {0}", "VACUUM (FULL, FREEZE) {0}"],
    ids=["frozen", "moved", "moved and frozen"],
)
def test_rows_that_are_frozen_or_moved_do_not_come_again(
    events: str, owner: Owner, extract: Any, writer: Any, settle: str
) -> None:
    late = writer()
    late.execute("SELECT pg_current_xact_id()")
    owner.execute(f"INSERT INTO {events} VALUES ('seen')")
    first, words = extract()
    assert "seen" in words
    late.commit()
    owner.execute(settle.format(events).encode())
    second, words = extract(first.watermark)
    assert (second.note, words) == ("", [])


def test_rows_that_were_frozen_as_they_came_come_once(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    owner.execute(f"TRUNCATE {events}")
    late = writer()
    late.execute("SELECT pg_current_xact_id()")
    first, _ = extract()
    with owner.transaction():
        owner.execute(f"TRUNCATE {events}")
        with owner.cursor().copy(f"COPY {events} FROM STDIN (FREEZE)") as copy:
            copy.write("frozen\n")
    second, words = extract(first.watermark)
    assert words == ["frozen"]
    assert extract(second.watermark)[1] == []
    late.commit()
    assert extract(second.watermark)[1] == []


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("UPDATE {0} SET word = 'z' WHERE ctid = '(0,1)'", ["a", "z"]),
        ("DELETE FROM {0} WHERE ctid = '(0,1)'", ["a"]),
        ("TRUNCATE {0}", []),
        ("DELETE FROM {0} WHERE ctid = '(0,1)'; INSERT INTO {0} VALUES ('b')", ["a", "b"]),
    ],
    ids=["updated", "deleted", "emptied", "one out, one in"],
)
def test_table_that_does_not_only_grow_is_read_in_full_which_is_said(
    events: str, owner: Owner, extract: Any, change: str, left: Words
) -> None:
    first, _ = extract()
    for statement in change.format(events).split("; "):
        owner.execute(statement.encode())
    second, words = extract(first.watermark)
    assert (second.since, second.note, words) == (None, appended.CHANGED, left)
    third, words = extract(second.watermark)
    assert (third.note, words) == ("", [])


def test_rows_beside_too_many_young_transactions_wait_and_come_once(
    events: str, owner: Owner, extract: Any, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appended, "MAX_SEEN", 3)
    late = writer()
    late.execute(f"INSERT INTO {events} VALUES ('late')")
    owner.execute(f"INSERT INTO {events} VALUES ('b')")
    first, words = extract()
    assert (first.note, words) == ("", ["a", "a", "b"])
    for word in "cdefg":
        owner.execute(f"INSERT INTO {events} VALUES ('{word}')")
    second, words = extract(first.watermark)
    assert (second.note, second.since) == (appended.HELD_BACK, first.watermark)
    assert words == []
    # A first run of the same moment holds them back as well.
    assert extract()[1] == ["a", "a"]
    late.commit()
    third, words = extract(second.watermark)
    assert (third.note, words) == ("", [*"cdefg", "late"])
    assert extract(third.watermark)[1] == []


def test_rows_held_back_are_no_sign_of_a_delete_nor_hide_one(
    events: str, owner: Owner, extract: Any, writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appended, "MAX_SEEN", 2)
    late = writer()
    late.execute(f"INSERT INTO {events} VALUES ('late')")
    owner.execute(f"INSERT INTO {events} VALUES ('seen')")
    first, _ = extract()
    for word in "cde":
        owner.execute(f"INSERT INTO {events} VALUES ('{word}')")
    owner.execute(f"DELETE FROM {events} WHERE ctid = '(0,1)'")
    second, words = extract(first.watermark)
    # What the target has already does not leave it for a while.
    assert (second.since, words) == (None, ["a", "seen"])
    late.commit()
    assert extract(second.watermark)[1] == ["c", "d", "e", "late"]


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_view_is_read_in_full_and_says_so(
    owner: Owner, source: str, extract: Any, kind: str
) -> None:
    owner.execute(f"CREATE TABLE {source}.base AS SELECT 'a' AS word")
    owner.execute(f"CREATE {kind} {source}.events AS SELECT * FROM {source}.base")
    first, words = extract()
    assert words == ["a"]
    second, words = extract(first.watermark)
    assert words == (["a"] if kind == "VIEW" else [])
    assert second.note == (appended.NO_IDS if kind == "VIEW" else "")


def test_table_in_many_chunks_and_partitions_grows_likewise(
    owner: Owner, source: str, extract: Any, writer: Any
) -> None:
    owner.execute(
        f"CREATE TABLE {source}.events (n int, word text) PARTITION BY RANGE (n);"
        f"CREATE TABLE {source}.low PARTITION OF {source}.events FOR VALUES FROM (0) TO (10000);"
        f"CREATE TABLE {source}.high PARTITION OF {source}.events FOR VALUES FROM (10000) TO "
        f"(20000); INSERT INTO {source}.events SELECT n, 'w' || n FROM generate_series(0, 14999) n;"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {source} TO etl_reader"
    )
    late = writer()
    late.execute(f"INSERT INTO {source}.events VALUES (1, 'late')")
    first, words = extract(chunk_bytes=2**16)
    assert (len(first.chunks) > 5, len(words)) == (True, 15_000)
    owner.execute(f"INSERT INTO {source}.events VALUES (2, 'x'), (19999, 'y')")
    second, words = extract(first.watermark, 2**16)
    assert words == ["x", "y"]
    late.commit()
    assert extract(second.watermark, 2**16)[1] == ["late"]


def test_random_histories_leave_no_row_out_and_double_none(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    for seed in range(6):
        chance = random.Random(seed)
        owner.execute(f"TRUNCATE {events}")
        plan, arrived = extract()
        sessions = [writer() for _ in range(4)]
        for step in range(60):
            session = chance.choice(sessions)
            match chance.randrange(6):
                case 0:
                    session.commit()
                case 1:
                    session.rollback()
                case 2:
                    session.execute("SAVEPOINT part")
                case 3 if session.info.transaction_status:
                    session.execute("SAVEPOINT undone")
                    session.execute(f"INSERT INTO {events} VALUES ('never {step}')")
                    session.execute("ROLLBACK TO undone")
                case _:
                    session.execute(f"INSERT INTO {events} VALUES ('{chance.randrange(9)}')")
            if step % 7 == 0:
                plan, words = extract(plan.watermark)
                assert plan.note == ""
                arrived += words
        for session in sessions:
            session.commit()
            session.close()
        arrived += extract(plan.watermark)[1]
        stored = [word for (word,) in owner.execute(f"SELECT word FROM {events}").fetchall()]
        assert sorted(arrived) == sorted(stored), f"seed {seed}"
