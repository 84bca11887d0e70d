"""Following a Postgres table through its log: what is read, applied in order, is the table."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.abilities import Changes, FollowChanges
from connectors.errors import ChangesLost, ObjectNotFound, SchemaChanged, Unsupported
from connectors.postgres import window as windows
from connectors.types import Watermark

Owner = psycopg.Connection[Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
NAME = "wh_changes_test"


class Follower:
    """Follows one table and keeps a copy of it, as a destination would."""

    def __init__(self, connector: FollowChanges, schema: str, table: str = "orders") -> None:
        self._connector = connector
        self._place = (NAME, schema, table)
        self.rows: Rows = {}
        self.watermark = Watermark("0/0", "")

    def follow(self) -> None:
        self.watermark = self._connector.follow(*self._place)

    def changes(self) -> Changes:
        return self._connector.changes(*self._place, self.watermark)

    def apply(self) -> int:
        """Read what is new and put it into the copy; how many windows it came in."""
        found, count = self.changes(), 0
        keys = [found.schema.names.index(name) for name in found.primary_key]
        for window in found.windows:
            count += 1
            if window.is_emptied:
                self.rows.clear()
            for row in _tuples(window.upserts):
                self.rows[tuple(row[place] for place in keys)] = row
            for key in _tuples(window.deletes):
                self.rows.pop(key, None)
        self.watermark = found.watermark
        return count

    def arrived(self) -> None:
        self._connector.arrived(*self._place, self.watermark)

    def unfollow(self) -> None:
        self._connector.unfollow(*self._place)

    def retained_bytes(self) -> int | None:
        return self._connector.retained_bytes(*self._place)


def _tuples(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in batch.to_pylist()]


@pytest.fixture
def orders(owner: Owner, source: str) -> str:
    name = f"{source}.orders"
    owner.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, word text, big text)")
    owner.execute(f"ALTER TABLE {name} ALTER big SET STORAGE EXTERNAL")
    return name


@pytest.fixture
def follower(
    opened: Callable[..., Connector], source: str, orders: str, endpoints: dict[str, Any]
) -> Iterator[Follower]:
    """As the owner: making a publication takes the table's owner, a slot REPLICATION."""
    connector = opened("postgres", **_owner_form(endpoints))
    assert isinstance(connector, FollowChanges)
    found = Follower(connector, source)
    yield found
    found.unfollow()


def _owner_form(endpoints: dict[str, Any]) -> dict[str, Any]:
    parts = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    database = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["datavault_dsn"])["dbname"]
    return {"user": parts["user"], "password": parts["password"], "database": database}


def in_source(owner: Owner, table: str) -> Rows:
    return {(row[0],): row for row in owner.execute(f"SELECT * FROM {table}").fetchall()}


def test_changes_applied_in_order_are_the_table(
    follower: Follower, owner: Owner, orders: str
) -> None:
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'before', NULL)")
    follower.follow()
    assert follower.apply() == 0
    owner.execute(f"INSERT INTO {orders} VALUES (2, 'b', ''), (3, 'c', NULL), (4, 'ü', 'd')")
    owner.execute(f"UPDATE {orders} SET word = 'B' WHERE id = 2")
    owner.execute(f"DELETE FROM {orders} WHERE id = 3")
    owner.execute(f"UPDATE {orders} SET id = 40 WHERE id = 4")
    follower.apply()
    assert follower.rows == {(2,): (2, "B", ""), (40,): (40, "ü", "d")}
    owner.execute(f"UPDATE {orders} SET word = 'seen' WHERE id = 1")
    owner.execute(f"DELETE FROM {orders} WHERE id = 2")
    follower.apply()
    assert follower.rows == in_source(owner, orders)


def test_value_stored_out_of_line_is_kept(follower: Follower, owner: Owner, orders: str) -> None:
    long = "x" * 20_000
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', '{long}'), (2, 'a', '{long}')")
    follower.follow()
    owner.execute(f"UPDATE {orders} SET word = 'b' WHERE id = 1")
    owner.execute(f"UPDATE {orders} SET word = 'c', id = 20 WHERE id = 2")
    owner.execute(f"INSERT INTO {orders} VALUES (3, 'a', '{long}y')")
    owner.execute(f"UPDATE {orders} SET word = 'd' WHERE id = 3")
    follower.apply()
    assert follower.rows == in_source(owner, orders)
    assert follower.rows[(1,)] == (1, "b", long)


def test_row_that_is_not_whole_and_gone_since_is_told_as_gone(
    follower: Follower, owner: Owner, orders: str
) -> None:
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', '{'x' * 20_000}')")
    follower.follow()
    owner.execute(f"UPDATE {orders} SET word = 'b' WHERE id = 1")
    found = follower.changes()
    owner.execute(f"DELETE FROM {orders}")
    assert [window.upserts.num_rows for window in found.windows] == [0]
    follower.apply()
    assert follower.rows == {}


def test_table_that_was_emptied_is_empty(follower: Follower, owner: Owner, orders: str) -> None:
    follower.follow()
    follower.rows = {(9,): (9, "stale", None)}
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', NULL)")
    owner.execute(f"TRUNCATE {orders}")
    owner.execute(f"INSERT INTO {orders} VALUES (2, 'b', NULL)")
    follower.apply()
    assert follower.rows == {(2,): (2, "b", None)}


def test_rolled_back_and_nested_transactions(
    follower: Follower, owner: Owner, orders: str, endpoints: dict[str, Any]
) -> None:
    follower.follow()
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as writer:
        writer.execute(f"INSERT INTO {orders} VALUES (1, 'kept', NULL)")
        writer.execute("SAVEPOINT s")
        writer.execute(f"INSERT INTO {orders} VALUES (2, 'taken back', NULL)")
        writer.execute("ROLLBACK TO s")
        follower.apply()
        assert follower.rows == {}
        writer.commit()
        writer.execute(f"INSERT INTO {orders} VALUES (3, 'never', NULL)")
        writer.rollback()
    follower.apply()
    assert follower.rows == {(1,): (1, "kept", None)}


def test_nothing_is_forgotten_before_it_has_arrived(
    follower: Follower, owner: Owner, orders: str
) -> None:
    follower.follow()
    start = follower.watermark
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', NULL)")
    follower.apply()
    follower.rows, follower.watermark = {}, start
    follower.apply()
    assert follower.rows == {(1,): (1, "a", None)}
    follower.arrived()
    follower.arrived()
    owner.execute(f"INSERT INTO {orders} VALUES (2, 'b', NULL)")
    follower.rows, follower.watermark = {}, start
    follower.apply()
    assert follower.rows == {(2,): (2, "b", None)}


def test_windows_are_bounded_and_the_later_counts(
    follower: Follower, owner: Owner, orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "WINDOW_ROWS", 100)
    follower.follow()
    owner.execute(f"INSERT INTO {orders} SELECT n, 'a', NULL FROM generate_series(1, 1000) AS n")
    owner.execute(f"UPDATE {orders} SET word = 'b' WHERE id % 2 = 0")
    owner.execute(f"DELETE FROM {orders} WHERE id % 3 = 0")
    assert follower.apply() >= 10
    assert follower.rows == in_source(owner, orders)


def test_column_added_on_the_way_is_there_for_every_row(
    follower: Follower, owner: Owner, orders: str
) -> None:
    follower.follow()
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', NULL)")
    owner.execute(f"ALTER TABLE {orders} ADD more int DEFAULT 7")
    owner.execute(f"INSERT INTO {orders} VALUES (2, 'b', NULL, 8)")
    owner.execute(f"ALTER TABLE {orders} DROP COLUMN word")
    follower.apply()
    assert follower.rows == {(1,): (1, None, 7), (2,): (2, None, 8)}


def test_primary_key_that_changed_on_the_way_is_said(
    follower: Follower, owner: Owner, orders: str
) -> None:
    follower.follow()
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', NULL)")
    owner.execute(f"ALTER TABLE {orders} RENAME id TO number")
    with pytest.raises(SchemaChanged):
        follower.apply()


def test_every_type_is_as_it_is_when_the_table_is_read(
    opened: Callable[..., Connector], owner: Owner, source: str, endpoints: dict[str, Any]
) -> None:
    owner.execute(
        f"""CREATE TABLE {source}.kinds (
            id uuid PRIMARY KEY, b bool, s smallint, l bigint, r real, d double precision,
            n numeric(20, 5), m numeric, t timestamptz, ts timestamp, da date, ti time,
            i interval, j jsonb, a int[], by bytea, ip inet, o oid, c char(4), x bit(4))"""
    )
    connector = opened("postgres", **_owner_form(endpoints))
    assert isinstance(connector, FollowChanges)
    follower = Follower(connector, source, "kinds")
    try:
        follower.follow()
        owner.execute(
            f"""INSERT INTO {source}.kinds VALUES
            ('11111111-1111-1111-1111-111111111111', true, -1, 9223372036854775807, 0.1, 'NaN',
             -12345.67890, 1.50, '2026-01-01 00:30:00.5+02', '0001-01-01 00:00:00', '9999-12-31',
             '24:00', '1 year 2 days', '{{"a": 1.10}}', '{{1,NULL}}', '\\x00ff', '10.0.0.0/8',
             4294967295, 'ab', '1010'),
            ('22222222-2222-2222-2222-222222222222', NULL, NULL, NULL, NULL, '-Infinity', NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL)"""
        )
        (window,) = follower.changes().windows
        read = opened("postgres").query(f"SELECT * FROM {source}.kinds ORDER BY id").read_all()
        told = pa.Table.from_batches([window.upserts]).sort_by("id")
        assert str(told.to_pylist()) == str(read.to_pylist())
        assert told.schema.equals(read.schema, check_metadata=True)
    finally:
        follower.unfollow()


def test_random_work_is_followed(
    follower: Follower, owner: Owner, orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "WINDOW_ROWS", 7)
    chance = random.Random(20261120)
    follower.follow()
    for _ in range(30):
        with owner.transaction():
            for _ in range(chance.randrange(1, 12)):
                _change_something(chance, owner, orders)
        if chance.random() < 0.3:
            follower.apply()
            assert follower.rows == in_source(owner, orders)
        if chance.random() < 0.3:
            follower.arrived()
    follower.apply()
    assert follower.rows == in_source(owner, orders)


def _change_something(chance: random.Random, owner: Owner, orders: str) -> None:
    key, other = chance.randrange(20), chance.randrange(20)
    long = "repeat('z', 5000)" if chance.random() < 0.5 else "NULL"
    match chance.choices(["put", "touch", "move", "drop", "empty"], [8, 6, 3, 4, 0.2])[0]:
        case "put":
            owner.execute(
                f"INSERT INTO {orders} VALUES ({key}, 'p', {long}) "
                f"ON CONFLICT (id) DO UPDATE SET big = {long}"
            )
        case "touch":
            owner.execute(f"UPDATE {orders} SET word = word || 't' WHERE id = {key}")
        case "move":
            owner.execute(f"DELETE FROM {orders} WHERE id = {other}")
            owner.execute(f"UPDATE {orders} SET id = {other} WHERE id = {key}")
        case "drop":
            owner.execute(f"DELETE FROM {orders} WHERE id = {key}")
        case _:
            owner.execute(f"TRUNCATE {orders}")


def test_partitioned_table_is_one_table(
    opened: Callable[..., Connector], owner: Owner, source: str, endpoints: dict[str, Any]
) -> None:
    name = f"{source}.parts"
    owner.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)")
    owner.execute(f"CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (0) TO (10)")
    owner.execute(f"CREATE TABLE {name}_2 PARTITION OF {name} FOR VALUES FROM (10) TO (20)")
    connector = opened("postgres", **_owner_form(endpoints))
    assert isinstance(connector, FollowChanges)
    follower = Follower(connector, source, "parts")
    try:
        follower.follow()
        owner.execute(f"INSERT INTO {name} VALUES (1, 'a'), (11, 'b')")
        owner.execute(f"UPDATE {name} SET id = 12 WHERE id = 1")
        follower.apply()
        assert follower.rows == in_source(owner, name)
    finally:
        follower.unfollow()


def test_slot_and_publication_are_made_once_and_dropped(
    follower: Follower, owner: Owner, orders: str
) -> None:
    assert follower.retained_bytes() is None
    follower.follow()
    follower.follow()
    assert follower.retained_bytes() is not None
    found = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s"
    assert owner.execute(found, [NAME]).fetchone() == (1,)
    follower.unfollow()
    assert owner.execute(found, [NAME]).fetchone() == (0,)
    published = "SELECT count(*) FROM pg_publication WHERE pubname = %s"
    assert owner.execute(published, [NAME]).fetchone() == (0,)
    follower.unfollow()


def test_slot_that_is_gone_is_changes_lost(follower: Follower, owner: Owner, orders: str) -> None:
    follower.follow()
    follower.unfollow()
    with pytest.raises(ChangesLost):
        follower.changes()


def test_table_made_anew_is_another_one(follower: Follower, owner: Owner, orders: str) -> None:
    follower.follow()
    owner.execute(f"DROP TABLE {orders}")
    with pytest.raises(ObjectNotFound):
        follower.changes()
    owner.execute(f"CREATE TABLE {orders} (id int PRIMARY KEY)")
    with pytest.raises(ChangesLost):
        follower.changes()


@pytest.mark.parametrize(
    ("alteration", "sentence"),
    [
        ("DROP CONSTRAINT orders_pkey", "no primary key"),
        ("REPLICA IDENTITY NOTHING", "REPLICA IDENTITY"),
        ("ADD made int GENERATED ALWAYS AS (id * 2) STORED", "generated columns"),
    ],
)
def test_table_that_cannot_be_followed_is_refused_and_left_alone(
    follower: Follower, owner: Owner, orders: str, alteration: str, sentence: str
) -> None:
    owner.execute(f"ALTER TABLE {orders} {alteration}")
    with pytest.raises(Unsupported, match=sentence):
        follower.follow()
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', NULL)")
    owner.execute(f"UPDATE {orders} SET word = 'b'")
    owner.execute(f"DELETE FROM {orders}")


def test_whole_row_as_identity(follower: Follower, owner: Owner, orders: str) -> None:
    owner.execute(f"ALTER TABLE {orders} REPLICA IDENTITY FULL")
    owner.execute(f"INSERT INTO {orders} VALUES (1, 'a', '{'x' * 20_000}'), (2, NULL, NULL)")
    follower.follow()
    owner.execute(f"UPDATE {orders} SET word = 'b'")
    owner.execute(f"UPDATE {orders} SET id = id + 10")
    follower.apply()
    assert follower.rows == in_source(owner, orders)
    owner.execute(f"DELETE FROM {orders}")
    follower.apply()
    assert follower.rows == {}
