"""Rows whose key the source has no more leave the target, unless they are too many."""

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import TooManyDeletes, Unsupported
from connectors.types import LoadMode, LoadTarget
from tests.connectors_snowflake.load.loads import Look, Stage

WORDS = [(n, "old") for n in range(1, 11)]


@pytest.fixture
def filled(loader: Any, target: LoadTarget, stage: Stage) -> LoadTarget:
    """The target with ten rows."""
    loader.load(stage(WORDS, folder="run-0"), target)
    return target


def limit(target: LoadTarget, percent: int) -> LoadTarget:
    return dataclasses.replace(target, delete_limit_percent=percent)


def test_rows_of_other_keys_leave_with_the_rows_that_come(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    manifest = stage.compared(stage([(2, "new"), (11, "new")]), *range(1, 10), 11)
    assert loader.load(manifest, filled).rows_in_target == 10
    assert stored() == [(1, "old"), (2, "new"), *WORDS[2:9], (11, "new")]
    assert ledger()[1][3] == 2
    assert loader.load(manifest, filled).already_loaded


def test_without_keys_all_rows_stay(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(11, "new")]), filled)
    assert stored() == [*WORDS, (11, "new")]


def test_rows_leave_when_none_come(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look
) -> None:
    nothing = dataclasses.replace(stage([(1, "x")]), files=())
    loader.load(stage.compared(nothing, *range(2, 11)), filled)
    assert stored() == WORDS[1:]


@pytest.mark.parametrize(("percent", "gone"), [(0, 0), (10, 1), (29, 2), (30, 3), (100, 10)])
def test_as_many_rows_leave_as_the_limit_allows_and_not_one_more(
    loader: Any,
    filled: LoadTarget,
    stage: Stage,
    stored: Look,
    ledger: Look,
    percent: int,
    gone: int,
) -> None:
    if gone < 10:
        too_few = stage.compared(stage([(50, "new")], folder="run-1"), *range(gone + 2, 11), 50)
        with pytest.raises(TooManyDeletes) as caught:
            loader.load(too_few, limit(filled, percent))
        assert caught.value.detail == (
            f"{gone + 1} of 10 rows in the target are not in the source any more, which is more "
            f"than {percent} %; nothing was loaded."
        )
        assert (stored(), len(ledger())) == (WORDS, 1)
    enough = stage.compared(stage([(60, "new")], folder="run-2"), *range(gone + 1, 11), 60)
    loader.load(enough, limit(filled, percent))
    assert stored() == [*WORDS[gone:], (60, "new")]


def test_source_without_rows_is_all_of_them(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look
) -> None:
    empty = stage.compared(dataclasses.replace(stage([(1, "x")]), files=()))
    assert empty.keys == ()
    with pytest.raises(TooManyDeletes, match="10 of 10 rows"):
        loader.load(empty, limit(filled, 99))
    assert stored() == WORDS
    assert loader.load(empty, limit(filled, 100)).rows_in_target == 0
    # Of no rows, none are too many.
    assert loader.load(stage.compared(empty), limit(filled, 0)).rows_in_target == 0


def test_row_of_an_earlier_order_that_is_gone_since_does_not_stay(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look
) -> None:
    manifest = stage.changes((0, [(20, "gone"), (21, "a")], []), (2, [(21, "b")], []))
    loader.load(stage.compared(manifest, *range(1, 11), 21), filled)
    assert stored() == [*WORDS, (21, "b")]


def test_key_of_several_columns_is_compared_as_a_whole(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    rows = [(1, "x"), (1, "y"), (2, "x")]
    loader.load(stage(rows, schema=schema, key=("a", "b"), folder="run-1"), target)
    manifest = stage([(3, "z")], schema=schema, key=("a", "b"), folder="run-2")
    keys = stage.put([(1, "y"), (2, "x"), (3, "z")], schema, "run-2/keys.parquet")
    loader.load(dataclasses.replace(manifest, keys=(keys,)), limit(target, 50))
    assert stored() == [(1, "y"), (2, "x"), (3, "z")]


@pytest.mark.parametrize("mode", [LoadMode.SWAP, LoadMode.APPEND])
def test_only_rows_that_are_merged_are_compared(
    loader: Any, filled: LoadTarget, stage: Stage, stored: Look, mode: LoadMode
) -> None:
    manifest = stage.compared(stage([(1, "new")]), 1)
    with pytest.raises(Unsupported):
        loader.load(manifest, dataclasses.replace(filled, mode=mode))
    assert stored() == WORDS
