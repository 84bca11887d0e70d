"""Reading a Postgres table in full and what is new since: no row is ever lost."""

import dataclasses
from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.abilities import Extract, ReadPlan
from connectors.errors import DataError, ObjectNotFound, PermissionDenied
from connectors.types import Watermark
from tests.connectors.reading import CHUNK_BYTES, batches_of, read_table
from tests.waiting import wait_for

Owner = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]


@pytest.fixture
def orders(owner: Owner, source: str) -> str:
    """A table of three rows; its qualified name."""
    name = f"{source}.orders"
    owner.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, word text)")
    owner.execute(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return name


@pytest.fixture
def extract(opened: Callable[..., Connector], source: str) -> Callable[..., tuple[ReadPlan, Rows]]:
    """Extract a table of the test's schema; the extraction and its rows, sorted."""
    connector = opened("postgres")
    assert isinstance(connector, Extract)

    def run(since: Watermark | None = None, table: str = "orders") -> tuple[ReadPlan, Rows]:
        plan, rows = read_table(connector, source, table, since)
        return plan, sorted(rows, key=str)

    return run


@pytest.fixture
def settled(extract: Any) -> Callable[..., tuple[ReadPlan, Rows]]:
    """Extract at a moment when nobody writes, in any database: those rows would come again."""

    def run(since: Watermark | None = None, table: str = "orders") -> tuple[ReadPlan, Rows]:
        while True:
            found: tuple[ReadPlan, Rows] = extract(since, table)
            low, high, _ = found[0].watermark.snapshot.split(":")
            if low == high:
                return found

    return run


def test_first_extraction_is_full(orders: str, owner: Owner, extract: Any) -> None:
    owner.execute(f"ANALYZE {orders}")
    plan, rows = extract()
    assert plan.since is None
    assert plan.primary_key == ("id",)
    assert plan.estimated_rows == 3
    assert plan.columns == pa.schema([("id", pa.int32()), ("word", pa.string())])
    assert rows == [(1, "a"), (2, "b"), (3, "c")]


def test_table_that_was_never_analyzed_has_no_estimate(orders: str, extract: Any) -> None:
    assert extract()[0].estimated_rows is None


def test_second_extraction_is_empty_when_nothing_changed(orders: str, settled: Any) -> None:
    first, _ = settled()
    second, rows = settled(first.watermark)
    assert second.since is not None
    assert rows == []
    assert second.columns == first.columns
    assert settled(second.watermark)[1] == []


def test_new_and_changed_rows_come(orders: str, owner: Owner, settled: Any) -> None:
    first, _ = settled()
    owner.execute(f"INSERT INTO {orders} VALUES (4, 'd')")
    owner.execute(f"UPDATE {orders} SET word = 'B' WHERE id = 2")
    second, rows = settled(first.watermark)
    assert second.since is not None
    assert second.estimated_rows is None
    assert rows == [(2, "B"), (4, "d")]
    assert settled(second.watermark)[1] == []


def test_watermark_survives_storing(orders: str, owner: Owner, settled: Any) -> None:
    first, _ = settled()
    stored = Watermark(**first.watermark.as_json())
    owner.execute(f"INSERT INTO {orders} VALUES (4, 'd')")
    assert settled(stored)[1] == [(4, "d")]


def test_frozen_rows_are_not_read_again(orders: str, owner: Owner, settled: Any) -> None:
    first, _ = settled()
    owner.execute(f"VACUUM (FULL, FREEZE) {orders}")
    assert settled(first.watermark)[1] == []


LATE = {
    "plain": "INSERT INTO {table} VALUES (9, 'late')",
    "savepoint": """
        SAVEPOINT a; INSERT INTO {table} VALUES (9, 'late'); RELEASE a;
        SAVEPOINT b; INSERT INTO {table} VALUES (8, 'gone'); ROLLBACK TO b
    """,
    "exception block": """
        DO $$ BEGIN
            BEGIN
                INSERT INTO {table} VALUES (9, 'late');
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
            BEGIN
                INSERT INTO {table} VALUES (8, 'gone');
                PERFORM 1 / 0;
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
        END $$
    """,
    "update": "UPDATE {table} SET id = 9, word = 'late' WHERE id = 3",
}


@pytest.mark.parametrize("way", LATE)
def test_row_that_commits_late_is_not_lost(
    orders: str, owner: Owner, extract: Any, settled: Any, writer: Any, way: str
) -> None:
    session = writer()
    session.execute(LATE[way].format(table=orders))
    first, rows = extract()
    assert (9, "late") not in rows
    # What others commit meanwhile must not hide it.
    owner.execute(f"INSERT INTO {orders} VALUES (4, 'd')")
    second, rows = extract(first.watermark)
    assert (4, "d") in rows
    assert (9, "late") not in rows
    session.commit()
    third, rows = settled(second.watermark)
    assert (9, "late") in rows
    assert (8, "gone") not in rows
    assert settled(third.watermark)[1] == []


def test_row_written_under_a_savepoint_after_the_extraction_is_not_lost(
    orders: str, extract: Any, writer: Any
) -> None:
    session = writer()
    session.execute(f"INSERT INTO {orders} VALUES (7, 'before')")
    first, _ = extract()
    session.execute("SAVEPOINT a")
    session.execute(f"INSERT INTO {orders} VALUES (9, 'late')")
    second, _ = extract(first.watermark)
    session.commit()
    assert {(7, "before"), (9, "late")} <= set(extract(second.watermark)[1])


def test_row_that_was_rolled_back_never_comes(orders: str, extract: Any, writer: Any) -> None:
    session = writer()
    session.execute(f"INSERT INTO {orders} VALUES (9, 'late')")
    first, _ = extract()
    session.rollback()
    assert (9, "late") not in extract(first.watermark)[1]


def test_rows_read_while_others_write_are_of_one_snapshot(
    orders: str, owner: Owner, opened: Callable[..., Connector], source: str
) -> None:
    connector = opened("postgres")
    assert isinstance(connector, Extract)
    plan = connector.plan(source, "orders", None, CHUNK_BYTES)
    owner.execute(f"UPDATE {orders} SET word = 'changed'")
    owner.execute(f"INSERT INTO {orders} VALUES (4, 'd')")
    rows = [row for batch in batches_of(connector, plan) for row in batch.to_pylist()]
    assert {row["word"] for row in rows} == {"a", "b", "c"}
    _, following = read_table(connector, source, "orders", plan.watermark)
    assert len(following) == 4
    assert {word for _, word in following} == {"changed", "d"}


# When the watermark no longer fits


@pytest.mark.parametrize(
    "changed",
    [
        lambda mark: {"origin": "7000000000000000000/" + mark.origin.split("/", 1)[1]},
        lambda mark: {"origin": mark.origin.replace("/1/", "/2/", 1)},
        lambda mark: {"snapshot": _shifted(mark.snapshot, 1_000_000)},
    ],
    ids=["another cluster", "another timeline", "a server put back"],
)
def test_watermark_that_no_longer_fits_means_all_rows(
    orders: str, extract: Any, changed: Callable[[Watermark], dict[str, str]]
) -> None:
    first, everything = extract()
    stale = dataclasses.replace(first.watermark, **changed(first.watermark))
    assert stale != first.watermark
    second, rows = extract(stale)
    assert second.since is None
    assert rows == everything


def test_table_made_anew_under_its_old_name_is_read_in_full(
    orders: str, owner: Owner, extract: Any
) -> None:
    first, _ = extract()
    owner.execute(f"ALTER TABLE {orders} RENAME TO older; CREATE TABLE {orders} (id int)")
    owner.execute(f"INSERT INTO {orders} VALUES (1)")
    second, rows = extract(first.watermark)
    assert second.since is None
    assert rows == [(1,)]


def test_partition_that_was_filled_elsewhere_is_read_in_full(
    owner: Owner, source: str, extract: Any
) -> None:
    owner.execute(
        f"CREATE TABLE {source}.parts (id int) PARTITION BY RANGE (id);"
        f"CREATE TABLE {source}.ready AS SELECT 1 AS id"
    )
    first, rows = extract(table="parts")
    assert rows == []
    owner.execute(
        f"ALTER TABLE {source}.parts ATTACH PARTITION {source}.ready FOR VALUES FROM (0) TO (9)"
    )
    second, rows = extract(first.watermark, "parts")
    assert second.since is None
    assert rows == [(1,)]


def test_watermark_that_is_none_is_an_error(orders: str, extract: Any) -> None:
    first, _ = extract()
    with pytest.raises(DataError):
        extract(dataclasses.replace(first.watermark, snapshot="nonsense"))
    assert extract(first.watermark)[0].since is not None


def _shifted(snapshot: str, by: int) -> str:
    low, high, _ = snapshot.split(":")
    return f"{int(low) + by}:{int(high) + by}:"


# Tables


def test_table_without_a_key_says_so(owner: Owner, source: str, extract: Any) -> None:
    owner.execute(f"CREATE TABLE {source}.log AS SELECT 1 AS a")
    plan, rows = extract(table="log")
    assert plan.primary_key == ()
    assert rows == [(1,)]


def test_key_keeps_its_own_order(owner: Owner, source: str, extract: Any) -> None:
    owner.execute(
        f"CREATE TABLE {source}.lines (a int, b int, c int, PRIMARY KEY (c, a) INCLUDE (b))"
    )
    assert extract(table="lines")[0].primary_key == ("c", "a")


@pytest.mark.parametrize("name", ["Mixed Case", 'quo"te', "semi; colon", "ünïcode", "select", "%s"])
def test_table_may_be_called_anything(owner: Owner, source: str, extract: Any, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    owner.execute(f"CREATE TABLE {source}.{quoted} (id int PRIMARY KEY, {quoted} text)".encode())
    owner.execute(f"INSERT INTO {source}.{quoted} VALUES (1, 'x')".encode())
    owner.execute(f"ANALYZE {source}.{quoted}".encode())
    plan, rows = extract(table=name)
    assert plan.columns.names == ["id", name]
    assert (rows, plan.estimated_rows) == ([(1, "x")], 1)


@pytest.mark.parametrize("name", ["missing", "ORDERS", "", 'x" OR 1=1', "orders "])
def test_table_that_is_not_there(orders: str, extract: Any, name: str) -> None:
    with pytest.raises(ObjectNotFound):
        extract(table=name)
    assert extract()[1]


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_view_has_no_key_and_is_read(
    orders: str, owner: Owner, source: str, extract: Any, kind: str
) -> None:
    owner.execute(f"CREATE {kind} {source}.seen AS SELECT * FROM {orders}")
    plan, rows = extract(table="seen")
    assert (plan.primary_key, len(plan.chunks)) == ((), 1)
    assert rows == [(1, "a"), (2, "b"), (3, "c")]
    again, rows = extract(plan.watermark, "seen")
    assert (again.since is None) == (kind == "VIEW")


def test_table_that_may_not_be_read(orders: str, owner: Owner, extract: Any) -> None:
    owner.execute(f"REVOKE ALL ON {orders} FROM etl_reader")
    with pytest.raises(PermissionDenied):
        extract()


def test_partitions_are_read_through_their_table(owner: Owner, source: str, settled: Any) -> None:
    owner.execute(
        f"CREATE TABLE {source}.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        f"CREATE TABLE {source}.low PARTITION OF {source}.parts FOR VALUES FROM (0) TO (10);"
        f"CREATE TABLE {source}.high PARTITION OF {source}.parts FOR VALUES FROM (10) TO (20);"
        f"INSERT INTO {source}.parts VALUES (1), (11)"
    )
    first, rows = settled(table="parts")
    assert rows == [(1,), (11,)]
    owner.execute(f"INSERT INTO {source}.parts VALUES (12)")
    assert settled(first.watermark, "parts")[1] == [(12,)]


def test_empty_table_has_a_schema(owner: Owner, source: str, extract: Any) -> None:
    owner.execute(f"CREATE TABLE {source}.empty (a int, b numeric(5,2))")
    plan, rows = extract(table="empty")
    assert plan.columns == pa.schema([("a", pa.int32()), ("b", pa.decimal128(5, 2))])
    assert rows == []


def test_session_is_free_again_after_every_extraction(
    orders: str, opened: Callable[..., Connector], source: str, endpoints: dict[str, Any]
) -> None:
    connector = opened("postgres")
    assert isinstance(connector, Extract)
    next(batches_of(connector, connector.plan(source, "orders", None, CHUNK_BYTES)))
    with pytest.raises(ObjectNotFound):
        connector.plan(source, "missing", None, CHUNK_BYTES)
    read_table(connector, source, "orders")
    info = connector._connection.info  # type: ignore[attr-defined]
    wait_for(lambda: info.transaction_status == psycopg.pq.TransactionStatus.IDLE)
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
