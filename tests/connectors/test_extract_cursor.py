"""Reading by a column of times: where the next reading starts, and when it is a sweep instead."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from connectors import Connector
from connectors.abilities import Extract, Increment, ReadPlan
from connectors.errors import CursorUnfit
from connectors.postgres import cursor
from connectors.types import Watermark
from tests.connectors.reading import CHUNK_BYTES, batches_of
from tests.waiting import wait_for

Owner = psycopg.Connection[Any]
Ids = list[int]
DAY_S = 86_400.0
LONG_AGO = "2001-02-03"
NOBODY_ELSE = """
SELECT count(*) FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture
def orders(owner: Owner, source: str) -> str:
    """A table of three rows, two of them written long ago; its qualified name."""
    owner.execute(
        f"CREATE TABLE {source}.orders (id int PRIMARY KEY, at timestamptz DEFAULT now());"
        f"CREATE INDEX ON {source}.orders (at)"
    )
    owner.execute(f"INSERT INTO {source}.orders VALUES (1, '{LONG_AGO}'), (2, NULL), (3, now())")
    return f"{source}.orders"


@pytest.fixture
def extract(opened: Callable[..., Connector], source: str) -> Callable[..., tuple[ReadPlan, Ids]]:
    """Read what is new by the column; the plan and the ids, sorted."""
    connector = opened("postgres")
    assert isinstance(connector, Extract)

    def run(
        since: Watermark | None = None, column: str = "at", sweep_after_s: float = DAY_S
    ) -> tuple[ReadPlan, Ids]:
        since = since and Watermark(**since.as_json())
        plan = connector.plan(
            source, "orders", since, CHUNK_BYTES, Increment(False, column, sweep_after_s)
        )
        return plan, sorted(
            row["id"] for batch in batches_of(connector, plan) for row in batch.to_pylist()
        )

    return run


@pytest.fixture
def writer(owner: Owner, endpoints: dict[str, Any]) -> Iterator[Callable[[], Owner]]:
    """Makes sessions whose transactions stay open until they are ended, the only ones there are."""
    wait_for(lambda: owner.execute(NOBODY_ELSE).fetchone() == (0,), 60)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(endpoints["postgres"]["datavault_dsn"]))


def later(mark: Watermark, seconds: float) -> Watermark:
    """As if so much time had passed at the source before its bound."""
    at = datetime.fromisoformat(mark.cursor) + timedelta(seconds=seconds)
    return dataclasses.replace(mark, cursor=at.strftime("%Y-%m-%d %H:%M:%S.%f"))


def test_first_reading_is_of_all_rows_and_the_next_by_the_column(
    orders: str, owner: Owner, extract: Any
) -> None:
    first, ids = extract()
    assert (first.since, first.cursor, first.note, ids) == (None, "", "", [1, 2, 3])
    owner.execute(f"INSERT INTO {orders} VALUES (4)")
    owner.execute(f"UPDATE {orders} SET at = now() WHERE id = 1")
    second, ids = extract(first.watermark)
    assert (second.cursor, second.note, ids) == ("at", "", [1, 3, 4])
    assert second.watermark.swept_at == first.watermark.swept_at
    assert second.watermark.snapshot == first.watermark.snapshot
    # What was written before the margin does not come again.
    assert extract(later(second.watermark, cursor.MARGIN_S + 60))[1] == []


def test_row_of_a_transaction_that_was_open_comes_when_it_is_committed(
    orders: str, owner: Owner, extract: Any, writer: Any
) -> None:
    late = writer()
    (began,) = late.execute("SELECT now()").fetchone()
    first, _ = extract()
    bound = datetime.fromisoformat(first.watermark.cursor).replace(tzinfo=UTC)
    assert bound == began - timedelta(seconds=cursor.MARGIN_S)
    late.execute(f"INSERT INTO {orders} VALUES (9)")
    second, ids = extract(first.watermark)
    assert 9 not in ids
    assert datetime.fromisoformat(second.watermark.cursor).replace(tzinfo=UTC) == bound
    late.commit()
    third, ids = extract(second.watermark)
    assert (third.cursor, 9 in ids) == ("at", True)
    assert datetime.fromisoformat(third.watermark.cursor).replace(tzinfo=UTC) > bound


def test_transaction_that_writes_nothing_yet_is_seen_in_any_state(
    orders: str, extract: Any, writer: Any
) -> None:
    """It has no id so far; its time is that of its beginning all the same."""
    idle = writer()
    (began,) = idle.execute("SELECT now()").fetchone()
    first, _ = extract()
    assert first.watermark.cursor.startswith(
        (began - timedelta(seconds=cursor.MARGIN_S)).strftime("%Y-%m-%d %H:%M:%S")
    )


def test_bound_keeps_microseconds(orders: str, owner: Owner, extract: Any) -> None:
    first, _ = extract()
    mark = dataclasses.replace(first.watermark, cursor="2026-01-02 03:04:05.000123")
    owner.execute(
        f"UPDATE {orders} SET at = '2026-01-02 03:04:05.000123+00' WHERE id = 1;"
        f"UPDATE {orders} SET at = '2026-01-02 03:04:05.000122+00' WHERE id = 2;"
        f"UPDATE {orders} SET at = '2026-01-02 04:04:05.000122+01' WHERE id = 3"
    )
    assert extract(mark)[1] == [1]


@pytest.mark.parametrize("kind", ["timestamp", "date", "timestamptz(0)", "stamp"])
def test_column_may_be_of_any_type_that_tells_a_time(
    orders: str, owner: Owner, source: str, extract: Any, writer: Any, kind: str
) -> None:
    """The writer's zone is as far behind as there is one."""
    owner.execute(f"CREATE DOMAIN stamp AS timestamptz CHECK (VALUE > '{LONG_AGO}'::date - 1)")
    try:
        owner.execute(f"ALTER TABLE {orders} ALTER at TYPE {kind}")
        late = writer()
        late.execute("SET TimeZone = 'Etc/GMT+12'")
        late.execute("SELECT 1")
        first, _ = extract()
        late.execute(f"INSERT INTO {orders} VALUES (9, now())")
        late.commit()
        second, ids = extract(first.watermark)
        assert (second.cursor, second.note) == ("at", "")
        assert 9 in ids
        assert 1 not in ids
    finally:
        owner.execute(f"DROP TABLE {orders}")
        owner.execute("DROP DOMAIN stamp")


# Sweeps


def test_what_is_dated_back_or_not_dated_comes_with_the_sweep(
    orders: str, owner: Owner, extract: Any
) -> None:
    first, _ = extract()
    owner.execute(f"INSERT INTO {orders} VALUES (4, '{LONG_AGO}'), (5, NULL)")
    second, ids = extract(first.watermark)
    assert second.cursor == "at"
    assert not {4, 5} & set(ids)
    third, ids = extract(second.watermark, sweep_after_s=0)
    assert (third.cursor, third.note, third.since) == ("", "", second.watermark)
    assert {4, 5} <= set(ids)
    assert third.watermark.swept_at > second.watermark.swept_at
    assert third.watermark.snapshot != second.watermark.snapshot
    assert extract(third.watermark)[0].cursor == "at"


def test_sweep_is_due_when_the_time_has_passed_or_the_clock_was_put_back(
    orders: str, extract: Any
) -> None:
    mark = extract()[0].watermark
    for passed_s, column in ((3_500, "at"), (3_700, ""), (-60, "")):
        swept = datetime.fromisoformat(mark.swept_at) - timedelta(seconds=passed_s)
        stored = dataclasses.replace(mark, swept_at=str(swept))
        assert extract(stored, sweep_after_s=3_600)[0].cursor == column


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ("REVOKE pg_read_all_stats FROM etl_reader", cursor.HIDDEN),
        ("ALTER ROLE datavault SET track_activities = off", cursor.UNTRACKED),
    ],
    ids=["hidden", "untracked"],
)
def test_where_open_transactions_are_not_shown_rows_are_told_by_them(
    orders: str, owner: Owner, extract: Any, writer: Any, endpoints: Any, change: str, note: str
) -> None:
    first, _ = extract()
    owner.execute(f"INSERT INTO {orders} VALUES (4, '{LONG_AGO}')")
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        server.execute(change.encode())
        try:
            unseen = writer()
            unseen.execute(f"INSERT INTO {orders} VALUES (9)")
            second, ids = extract(first.watermark)
            assert (second.cursor, second.note, 4 in ids) == ("", note, True)
            unseen.commit()
            third, ids = extract(second.watermark)
            assert (third.cursor, third.note, 9 in ids) == ("", note, True)
            unseen.close()
        finally:
            server.execute("GRANT pg_read_all_stats TO etl_reader")
            server.execute("ALTER ROLE datavault RESET track_activities")
    gone = "SELECT count(*) FROM pg_stat_activity WHERE state = 'disabled'"
    wait_for(lambda: owner.execute(gone).fetchone() == (0,))
    fourth, _ = extract(third.watermark)
    assert (fourth.cursor, fourth.note) == ("", cursor.NO_BOUND)
    assert extract(fourth.watermark)[0].cursor == "at"


def test_prepared_transaction_does_not_tell_its_time_and_loses_no_row(
    orders: str, owner: Owner, extract: Any, writer: Any
) -> None:
    first, _ = extract()
    prepared = writer()
    prepared.tpc_begin(prepared.xid(1, "orders", "9"))
    prepared.execute(f"INSERT INTO {orders} VALUES (9)")
    prepared.tpc_prepare()
    try:
        second, ids = extract(first.watermark)
        assert (second.cursor, second.note) == ("", cursor.WITHOUT_TIME)
        assert 9 not in ids
    finally:
        prepared.tpc_commit()
    third, ids = extract(second.watermark)
    assert (third.note, 9 in ids) == (cursor.NO_BOUND, True)


@pytest.mark.parametrize(
    "index",
    ["", "(id, at)", "(at) WHERE id > 1", "(date_trunc('day', at, 'UTC'))"],
    ids=["none", "second", "partial", "expression"],
)
def test_without_an_index_rows_are_told_by_transactions(
    orders: str, owner: Owner, source: str, extract: Any, index: str
) -> None:
    owner.execute(f"DROP INDEX {source}.orders_at_idx")
    if index:
        owner.execute(f"CREATE INDEX ON {orders} {index}")
    first, _ = extract()
    assert first.note == cursor.NO_INDEX.format("at")
    assert extract(first.watermark)[0].cursor == ""
    owner.execute(f"CREATE INDEX ON {orders} USING brin (at)")
    assert extract(first.watermark)[0].cursor == "at"


@pytest.mark.parametrize(
    ("column", "sentence"),
    [("missing", "The table has no column missing."), ("id", "id does not tell a time.")],
)
def test_column_that_cannot_be_read_by_is_named(
    orders: str, extract: Any, column: str, sentence: str
) -> None:
    with pytest.raises(CursorUnfit) as caught:
        extract(column=column)
    assert caught.value.fields == {"cursor_column": sentence}
    assert extract()[1] == [1, 2, 3]


def test_reading_by_the_column_uses_its_index(
    orders: str, owner: Owner, extract: Any, opened: Callable[..., Connector], source: str
) -> None:
    owner.execute(f"INSERT INTO {orders} SELECT n, '{LONG_AGO}' FROM generate_series(10, 50000) n")
    owner.execute(f"ANALYZE {orders}")
    first, _ = extract()
    reader: Any = opened("postgres")
    plan = reader.plan(
        source, "orders", first.watermark, CHUNK_BYTES, Increment(False, "at", DAY_S)
    )
    query = reader._query(plan, plan.whole[0], plan.since)
    reader.release()
    shown = "\n".join(line for (line,) in owner.execute(f"EXPLAIN {query}".encode()).fetchall())
    assert "orders_at_idx" in shown


def test_partitions_are_read_by_the_index_of_the_whole(
    owner: Owner, source: str, extract: Any
) -> None:
    owner.execute(
        f"CREATE TABLE {source}.orders (id int, at timestamptz DEFAULT now(), PRIMARY KEY (id)) "
        f"PARTITION BY RANGE (id);"
        f"CREATE TABLE {source}.low PARTITION OF {source}.orders FOR VALUES FROM (0) TO (10);"
        f"CREATE TABLE {source}.high PARTITION OF {source}.orders FOR VALUES FROM (10) TO (20);"
        f"CREATE INDEX ON {source}.orders (at);"
        f"INSERT INTO {source}.orders VALUES (1, '{LONG_AGO}'), (11, '{LONG_AGO}')"
    )
    first, _ = extract()
    owner.execute(f"INSERT INTO {source}.orders VALUES (2), (12)")
    second, ids = extract(first.watermark)
    assert (second.cursor, ids) == ("at", [2, 12])
