"""What a load does with the rows that are there: merge in several orders, append, swap, delete."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.errors import ConnectorError, LoadMismatch, LoadSuperseded, Unsupported
from connectors.types import LoadMode, LoadTarget
from tests.connectors_snowflake.load.loads import Look, Stage

Open = Callable[..., Connector]


def mode(target: LoadTarget, mode: LoadMode, **changes: Any) -> LoadTarget:
    return dataclasses.replace(target, mode=mode, **changes)


# Several orders


def test_row_of_the_greatest_order_is_kept_for_each_key(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    loader.load(stage([(1, "there"), (9, "other")], folder="run-1"), target)
    manifest = stage.changes(
        (2, [(3, "of 2"), (1, "of 2")], []),
        (0, [(1, "of 0"), (2, "of 0"), (3, "of 0")], []),
        (1, [(2, "of 1"), (3, "of 1")], []),
        folder="run-2",
    )
    assert loader.load(manifest, target).rows_in_target == 4
    assert stored() == [(1, "of 2"), (2, "of 1"), (3, "of 2"), (9, "other")]
    assert ledger()[1][3:] == (7, 3)


@pytest.mark.parametrize("there", [[], [(1, "there")]], ids=["new-key", "known-key"])
def test_key_twice_in_its_newest_order_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, there: Any
) -> None:
    loader.load(stage(there), target)
    manifest = stage.changes((0, [(1, "old")], []), (1, [(1, "a"), (1, "b")], []), folder="run-2")
    with pytest.raises(ConnectorError):
        loader.load(manifest, target)
    assert (stored(), len(ledger())) == (there, 1)


def test_key_twice_in_one_order_loads_nothing_even_when_it_is_new(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    with pytest.raises(LoadMismatch, match="2 rows were written to the target where 1 are staged"):
        loader.load(stage([(1, "a")], [(1, "b")]), target)
    assert (stored(), ledger()) == ([], [])


# Deletes


def test_deleted_keys_leave_and_the_newest_order_decides(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(n, "there") for n in range(1, 7)]), target)
    manifest = stage.changes(
        (0, [(2, "then deleted"), (7, "new, then deleted")], [3]),
        (1, [(3, "back again"), (4, "changed")], [1, 2, 7]),
        (2, [], [4, 99]),
        (3, [(5, "same order: the row")], [5]),
        folder="run-2",
    )
    assert loader.load(manifest, target).rows_in_target == 3
    assert stored() == [(3, "back again"), (5, "same order: the row"), (6, "there")]


def test_deletes_alone_are_a_load(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    loader.load(stage([(1, "a"), (2, "b")]), target)
    loader.load(stage.changes((0, [], [2, 3]), folder="run-2"), target)
    assert stored() == [(1, "a")]
    assert ledger()[1][3:] == (0, 1)


def test_file_of_deletes_that_counts_otherwise_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(1, "a"), (2, "b")]), target)
    manifest = stage.changes((0, [(3, "c")], [2]), folder="run-2")
    wrong = dataclasses.replace(manifest.deletes[0], rows=2)
    with pytest.raises(LoadMismatch):
        loader.load(dataclasses.replace(manifest, deletes=(wrong,)), target)
    assert stored() == [(1, "a"), (2, "b")]


def test_every_type_of_column_survives_orders_and_deletes(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    """A column may have the name that is ours, and a staging table of deletes lacks most."""
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("doc", pa.string(), metadata={"native": "jsonb"}),
            pa.field("raw", pa.binary()),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("warehouse_place", pa.decimal128(10, 2)),
        ]
    )
    row = ('{"a":1}', b"\x00", None, None)
    manifest = stage.changes(
        (0, [(1, *row), (2, *row)], [3]), (1, [(1, '{"a":2}', b"", None, None)], [2]), schema=schema
    )
    loader.load(manifest, target)
    assert stored("ID, DOC:a::VARCHAR, RAW, WAREHOUSE_PLACE") == [(1, "2", b"", None)]


# Append and swap


def test_append_adds_every_row_once_and_needs_no_key(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    adding = mode(target, LoadMode.APPEND)
    first = stage([(1, "a"), (1, "a")], key=(), folder="run-1")
    for _ in range(2):
        loader.load(first, adding)
    assert loader.load(stage([(1, "a")], key=(), folder="run-2"), adding).rows_in_target == 3
    assert stored() == [(1, "a")] * 3
    assert len(ledger()) == 2


def test_swap_leaves_nothing_of_what_was_there(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any
) -> None:
    whole = mode(target, LoadMode.SWAP)
    loader.load(stage([(1, "a"), (2, "b")], key=(), folder="run-1"), whole)
    keeper.execute(f"COMMENT ON TABLE {target.schema}.ORDERS IS 'ours'")
    again = stage([(2, "B"), (2, "B"), (3, "c")], key=(), folder="run-2")
    assert loader.load(again, whole).rows_in_target == 3
    assert stored() == [(2, "B"), (2, "B"), (3, "c")]
    # The table is the same one: whatever hangs on it is still there.
    keeper.execute(f"SHOW TABLES LIKE 'ORDERS' IN SCHEMA {target.schema}")
    assert "ours" in keeper.fetchone()


def test_swap_with_nothing_empties_the_target(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    whole = mode(target, LoadMode.SWAP)
    loader.load(stage([(1, "a")]), whole)
    assert loader.load(stage(folder="run-2"), whole).rows_in_target == 0
    assert stored() == []


def test_swap_is_seen_by_others_all_at_once(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, open_one: Open
) -> None:
    whole = mode(target, LoadMode.SWAP)
    loader.load(stage([(1, "before")]), whole)
    seen = []
    other: Any = open_one()
    run = other._run

    def watched(sql: str, *rest: Any, **named: Any) -> Any:
        seen.append(stored())
        return run(sql, *rest, **named)

    other._run = watched
    other.load(stage([(1, "after"), (2, "after")], folder="run-2"), whole)
    assert {tuple(rows) for rows in seen} == {
        ((1, "before"),),
        ((1, "after"), (2, "after")),
    }


def test_orders_and_deletes_are_for_rows_with_a_key(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    for manifest in (
        stage.changes((0, [(1, "a")], []), (1, [(1, "b")], [])),
        stage.changes((0, [(1, "a")], [2])),
    ):
        with pytest.raises(Unsupported):
            loader.load(manifest, mode(target, LoadMode.APPEND))
        keyless = dataclasses.replace(manifest, primary_key=())
        with pytest.raises(Unsupported):
            loader.load(keyless, mode(target, LoadMode.SWAP))
    assert stored() == []


def test_swap_of_several_orders_leaves_the_newest_rows_alone(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(1, "old"), (9, "ghost")]), target)
    windows = (0, [(1, "a"), (2, "a"), (3, "a")], []), (1, [(1, "b")], [2])
    loader.load(stage.changes(*windows), mode(target, LoadMode.SWAP))
    assert stored() == [(1, "b"), (3, "a")]


@pytest.mark.parametrize("how", LoadMode)
def test_older_worker_writes_nothing_after_a_newer_one(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, how: LoadMode
) -> None:
    loader.load(stage([(1, "new")], folder="run-2"), mode(target, how, fence=5))
    with pytest.raises(LoadSuperseded):
        loader.load(stage([(2, "old")]), mode(target, how, fence=4))
    assert stored() == [(1, "new")]


@pytest.mark.parametrize("how", LoadMode)
def test_two_workers_with_the_same_load_write_it_once(
    open_one: Open,
    target: LoadTarget,
    stage: Stage,
    stored: Look,
    ledger: Look,
    how: LoadMode,
    loader: Any,
) -> None:
    """Both have asked the ledger before either has written."""
    loader.load(stage([], folder="run-0"), mode(target, how))
    manifest = stage([(n, "a") for n in range(500)], folder="run-1")
    together = threading.Barrier(2, timeout=30)
    already_loaded: list[bool] = []

    def work() -> None:
        worker: Any = open_one()
        run = worker._run

        def in_step(sql: str, *rest: Any, **named: Any) -> Any:
            if sql == "BEGIN":
                together.wait()
            return run(sql, *rest, **named)

        worker._run = in_step
        already_loaded.append(worker.load(manifest, mode(target, how)).already_loaded)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(already_loaded) == [False, True]
    assert [row[0] for row in stored()] == list(range(500))
    assert len(ledger()) == 2
