"""What every destination promises of a load: exactly its files, exactly once, all or nothing."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from connectors import loading
from connectors.drift import Outcome
from connectors.errors import (
    ConnectorError,
    LoadMismatch,
    LoadSuperseded,
    SchemaChanged,
    Unsupported,
)
from connectors.types import Contract, LoadMode, StagedFile
from tests.destinations.conftest import SCHEMA, Staged
from tests.destinations.end import End

MERGE, APPEND, SWAP = LoadMode.MERGE, LoadMode.APPEND, LoadMode.SWAP
WITH_PRICE = pa.schema([*SCHEMA, pa.field("price", pa.int32())])


def needs(end: End, mode: LoadMode) -> None:
    if mode not in end.modes:
        pytest.skip(f"{end.provider} does not load in mode {mode}.")


@pytest.mark.parametrize("mode", LoadMode)
def test_files_of_the_manifest_arrive_once(
    loader: Any, end: End, staged: Staged, mode: LoadMode
) -> None:
    needs(end, mode)
    manifest, target = staged([(1, "a"), (2, "b")], [(3, None)]), end.target(mode=mode)
    staged([(9, "of another run")])
    first = loader.load(manifest, target, staged.stage)
    assert (first.rows_in_target, first.already_loaded) == (3, False)
    again = loader.load(manifest, replace(target, fence=9), staged.stage)
    assert (again.rows_in_target, again.already_loaded) == (3, True)
    assert end.rows() == [(1, "a"), (2, "b"), (3, None)]
    assert end.ledger() == [(manifest.load_id, 1, 3, 2)]


@pytest.mark.parametrize("mode", LoadMode)
def test_no_files_are_a_load_of_nothing(
    loader: Any, end: End, staged: Staged, mode: LoadMode
) -> None:
    needs(end, mode)
    loader.load(staged([(1, "a")]), end.target(mode=mode), staged.stage)
    outcome = loader.load(staged(), end.target(mode=mode), staged.stage)
    assert outcome.rows_in_target == (0 if mode is SWAP else 1)
    assert [row[2:] for row in end.ledger()] == [(1, 1), (0, 0)]


def test_rows_are_updated_and_inserted_by_key(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.string())])
    key = ("b", "a")
    first = staged([(1, "x", "old"), (2, "y", "old")], schema=schema, key=key)
    loader.load(first, end.target(), staged.stage)
    second = staged([(2, "y", "new"), (2, "x", "new")], schema=schema, key=key)
    assert loader.load(second, end.target(), staged.stage).rows_in_target == 3
    assert sorted(end.rows()) == [(1, "x", "old"), (2, "x", "new"), (2, "y", "new")]


def test_table_that_is_all_key_can_be_loaded_twice(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    for _ in range(2):
        manifest = staged([(1, 2), (3, 4)], schema=schema, key=("a", "b"))
        loader.load(manifest, end.target(), staged.stage)
    assert end.rows() == [(1, 2), (3, 4)]


def test_newest_order_of_each_key_decides(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    loader.load(staged([(n, "there") for n in range(1, 7)]), end.target(), staged.stage)
    manifest = staged.changes(
        (2, [], [(4,), (99,)]),
        (0, [(2, "then deleted"), (7, "new, then deleted")], [(3,)]),
        (1, [(3, "back again"), (4, "changed")], [(1,), (2,), (7,)]),
        (3, [(5, "same order: the row"), (8, "new")], [(5,)]),
    )
    assert loader.load(manifest, end.target(), staged.stage).rows_in_target == 4
    assert end.rows() == [
        *[(3, "back again"), (5, "same order: the row"), (6, "there"), (8, "new")]
    ]
    assert end.ledger()[1][2:] == (6, 7)


def test_deletes_of_a_key_of_several_columns(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.string())])
    key = ("b", "a")
    rows = [(1, "x", "1"), (1, "y", "2"), (2, "x", "3")]
    loader.load(staged(rows, schema=schema, key=key), end.target(), staged.stage)
    gone = staged.changes((0, [], [("x", 1)]), schema=schema, key=key)
    loader.load(gone, end.target(), staged.stage)
    assert sorted(end.rows()) == rows[1:]


def test_swap_of_several_orders(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    loader.load(staged([(1, "there"), (9, "there")]), end.target(), staged.stage)
    manifest = staged.changes((0, [(1, "old"), (2, "old")], []), (1, [(1, "new")], [(2,)]))
    loader.load(manifest, end.target(mode=SWAP), staged.stage)
    assert end.rows() == [(1, "new")]


def test_swap_takes_the_place_of_all_rows_and_append_of_none(
    loader: Any, end: End, staged: Staged
) -> None:
    needs(end, SWAP)
    for rows in ([(1, "a"), (2, "b")], [(3, "c"), (3, "c")]):
        loader.load(staged(rows, key=()), end.target(mode=SWAP), staged.stage)
    assert end.rows() == [(3, "c"), (3, "c")]
    loader.load(staged([(3, "c")], key=()), end.target(mode=APPEND), staged.stage)
    assert end.rows() == [(3, "c")] * 3


# Nothing, rather than something wrong


@pytest.mark.parametrize("mode", LoadMode)
@pytest.mark.parametrize("rows", [1, 3])
def test_manifest_that_counts_otherwise_loads_nothing(
    loader: Any, end: End, staged: Staged, mode: LoadMode, rows: int
) -> None:
    needs(end, mode)
    target = end.target(mode=mode)
    loader.load(staged([(9, "before")]), target, staged.stage)
    manifest = staged([(1, "a"), (2, "b")])
    wrong = replace(manifest, files=(replace(manifest.files[0], rows=rows),))
    with pytest.raises(LoadMismatch):
        loader.load(wrong, target, staged.stage)
    assert end.rows() == [(9, "before")]
    assert len(end.ledger()) == 1
    loader.load(manifest, target, staged.stage)
    assert (2, "b") in end.rows()


@pytest.mark.parametrize("mode", LoadMode)
def test_file_that_is_not_there_loads_nothing(
    loader: Any, end: End, staged: Staged, mode: LoadMode
) -> None:
    needs(end, mode)
    manifest = staged([(1, "a")])
    missing = StagedFile("part-9/part-00000.parquet", 1, 1, "aa")
    with pytest.raises(ConnectorError):
        loader.load(
            replace(manifest, files=(*manifest.files, missing)),
            end.target(mode=mode),
            staged.stage,
        )
    assert (end.rows(), end.ledger()) == ([], [])


@pytest.mark.parametrize("there", [[], [(1, "there")]], ids=["new-key", "known-key"])
@pytest.mark.parametrize("orders", [1, 2])
def test_key_twice_loads_nothing(
    loader: Any, end: End, staged: Staged, there: Any, orders: int
) -> None:
    needs(end, MERGE)
    loader.load(staged(there), end.target(), staged.stage)
    parts = [(0, [(1, "old")], []), (1, [(1, "a"), (1, "b")], [])]
    with pytest.raises(ConnectorError):
        loader.load(staged.changes(*parts[-orders:]), end.target(), staged.stage)
    assert (end.rows(), len(end.ledger())) == (there, 1)


@pytest.mark.parametrize("mode", LoadMode)
def test_older_worker_commits_nothing_after_a_newer_one(
    loader: Any, end: End, staged: Staged, mode: LoadMode
) -> None:
    needs(end, mode)
    loader.load(staged([(1, "new")]), end.target(mode=mode, fence=5), staged.stage)
    with pytest.raises(LoadSuperseded):
        loader.load(staged([(2, "old")]), end.target(mode=mode, fence=4), staged.stage)
    assert end.rows() == [(1, "new")]
    assert [row[1] for row in end.ledger()] == [5]
    loader.load(staged([(3, "next")]), end.target(mode=mode, fence=5), staged.stage)
    other = replace(end.target(mode=mode, fence=1), table=end.target().table + "2")
    assert loader.load(staged([(1, "a")]), other, staged.stage).rows_in_target == 1


@pytest.mark.parametrize("mode", LoadMode)
def test_load_that_another_worker_commits_meanwhile_is_done_and_no_failure(
    loader: Any, end: End, staged: Staged, mode: LoadMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a run that was paused in its load, and resumed."""
    needs(end, mode)
    manifest, target, real = staged([(1, "a")]), end.target(mode=mode, fence=2), loading.stagings

    def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(loading, "stagings", real)
        end.connect().load(manifest, replace(target, fence=1), staged.stage)
        return real(*args)

    monkeypatch.setattr(loading, "stagings", overtaken)
    outcome = loader.load(manifest, target, staged.stage)
    assert outcome.rows_in_target == 1
    assert outcome.already_loaded == (loading.stagings is real)
    assert end.rows() == [(1, "a")]
    assert len(end.ledger()) == 1


def test_target_knows_whether_anything_was_loaded_into_it(
    loader: Any, end: End, staged: Staged
) -> None:
    target = end.target(mode=SWAP)
    assert not loader.has_loaded(target)
    loader.load(staged([(1, "a")]), target, staged.stage)
    assert loader.has_loaded(target)
    assert not loader.has_loaded(replace(target, table=target.table + "2"))


def test_table_without_a_key_is_not_merged(loader: Any, end: End, staged: Staged) -> None:
    with pytest.raises(Unsupported):
        loader.load(staged([(1, "a")], key=()), end.target(), staged.stage)


# Columns that differ


def test_added_column_arrives_under_evolve(loader: Any, end: End, staged: Staged) -> None:
    mode = MERGE if MERGE in end.modes else SWAP
    loader.load(staged([(1, "a"), (2, "b")]), end.target(mode=mode), staged.stage)
    manifest = staged([(2, "B", 5), (3, "c", None)], schema=WITH_PRICE)
    plan = loader.plan_load(manifest.schema, ("id",), end.target(mode=mode))
    assert [change.outcome for change in plan.changes] == [Outcome.ALTER]
    loader.load(manifest, end.target(mode=mode), staged.stage)
    kept = [(1, "a", None)] if mode is MERGE else []
    assert end.rows() == [*kept, (2, "B", 5), (3, "c", None)]
    assert not loader.plan_load(manifest.schema, ("id",), end.target(mode=mode)).changes


def test_added_column_stops_a_frozen_target(loader: Any, end: End, staged: Staged) -> None:
    frozen = end.target(mode=SWAP, contract=Contract.FREEZE)
    loader.load(staged([(1, "a")]), frozen, staged.stage)
    with pytest.raises(SchemaChanged):
        loader.load(staged([(1, "a", 5)], schema=WITH_PRICE), frozen, staged.stage)
    assert (end.rows(), len(end.ledger())) == ([(1, "a")], 1)


def test_added_column_is_left_out_under_quarantine(loader: Any, end: End, staged: Staged) -> None:
    aside = end.target(mode=SWAP, contract=Contract.QUARANTINE)
    loader.load(staged([(1, "a")]), aside, staged.stage)
    loader.load(staged([(1, "A", 5), (2, "b", 6)], schema=WITH_PRICE), aside, staged.stage)
    assert end.rows() == [(1, "A"), (2, "b")]


def test_dropped_column_stays_with_what_it_has(loader: Any, end: End, staged: Staged) -> None:
    needs(end, MERGE)
    first = staged([(1, "a", 1), (2, "b", 2)], schema=WITH_PRICE)
    loader.load(first, end.target(), staged.stage)
    loader.load(staged([(2, "B"), (3, "c")]), end.target(), staged.stage)
    assert end.rows() == [(1, "a", 1), (2, "B", 2), (3, "c", None)]


def test_column_of_another_type_stops(loader: Any, end: End, staged: Staged) -> None:
    loader.load(staged([(1, "a")]), end.target(mode=SWAP), staged.stage)
    other = pa.schema([SCHEMA.field("id"), pa.field("word", pa.date32())])
    with pytest.raises(SchemaChanged) as caught:
        loader.load(staged([(1, None)], schema=other), end.target(mode=SWAP), staged.stage)
    assert [name.lower() for name in caught.value.fields] == ["word"]
    assert (end.rows(), len(end.ledger())) == ([(1, "a")], 1)
