"""Loading a manifest into Snowflake: exactly its files, exactly once, all or nothing."""

import dataclasses
import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.errors import (
    ConnectorError,
    DataError,
    LoadMismatch,
    LoadSuperseded,
    ObjectNotFound,
    PermissionDenied,
    Unsupported,
)
from connectors.types import LoadTarget, StagedFile
from tests.connectors_snowflake.load.loads import SCHEMA, Look, Rows, Stage, parquet


def test_files_of_the_manifest_arrive(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    manifest = stage([(1, "a"), (2, "b")], [(3, "c")])
    outcome = loader.load(manifest, target)
    assert (outcome.rows_in_target, outcome.already_loaded) == (3, False)
    assert stored() == [(1, "a"), (2, "b"), (3, "c")]
    assert ledger() == [(manifest.load_id, "ORDERS", 1, 3, 2)]


def test_loading_again_changes_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, keeper: Any
) -> None:
    manifest = stage([(1, "a")])
    loader.load(manifest, target)
    keeper.execute(f"UPDATE {target.schema}.ORDERS SET WORD = 'changed since'")
    again = loader.load(manifest, dataclasses.replace(target, fence=9))
    assert (again.rows_in_target, again.already_loaded) == (1, True)
    assert stored() == [(1, "changed since")]
    assert len(ledger()) == 1


def test_rows_are_updated_and_inserted_by_key(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    loader.load(stage([(1, "a"), (2, "b")], folder="run-1"), target)
    outcome = loader.load(stage([(2, "B"), (3, None)], folder="run-2"), target)
    assert outcome.rows_in_target == 3
    assert stored() == [(1, "a"), (2, "B"), (3, None)]


def test_key_of_several_columns(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.string())])
    key = ("b", "a")
    first = stage([(1, "x", "old"), (1, "y", "old")], schema=schema, key=key, folder="run-1")
    loader.load(first, target)
    loader.load(stage([(1, "y", "new")], schema=schema, key=key, folder="run-2"), target)
    assert sorted(stored()) == [(1, "x", "old"), (1, "y", "new")]


def test_table_that_is_all_key_can_be_loaded_twice(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look
) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    for folder in ("run-1", "run-2"):
        loader.load(stage([(1, 2), (3, 4)], schema=schema, key=("a", "b"), folder=folder), target)
    assert stored() == [(1, 2), (3, 4)]


def test_manifest_without_files_is_a_load_of_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    assert loader.load(stage(), target).rows_in_target == 0
    assert stored() == []
    assert [row[3:] for row in ledger()] == [(0, 0)]


def test_neighbours_in_the_folder_are_not_loaded(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, bucket: Any
) -> None:
    manifest = stage([(1, "a")])
    stray = parquet([(9, "stray")], SCHEMA)
    for name in ("part-00001.parquet", "part-00000.parquet.old", "more/part-00000.parquet"):
        bucket.put_object(Key=f"{manifest.location}/{name}", Body=stray)
    bucket.put_object(Key=f"{manifest.location}-2/part-00000.parquet", Body=stray)
    loader.load(manifest, target)
    assert stored() == [(1, "a")]


# Nothing, rather than something wrong


@pytest.mark.parametrize("rows", [1, 3])
def test_manifest_that_counts_otherwise_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look, rows: int
) -> None:
    loader.load(stage([(1, "before")], folder="run-1"), target)
    manifest = stage([(1, "a"), (2, "b")], folder="run-2")
    wrong = dataclasses.replace(
        manifest, files=(dataclasses.replace(manifest.files[0], rows=rows),)
    )
    with pytest.raises(LoadMismatch):
        loader.load(wrong, target)
    assert stored() == [(1, "before")]
    assert len(ledger()) == 1
    assert loader.load(manifest, target).rows_in_target == 2


def test_file_that_is_not_there_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    manifest = stage([(1, "a")])
    missing = StagedFile("part-00009.parquet", 1, 1, "aa")
    broken = dataclasses.replace(manifest, files=(*manifest.files, missing))
    with pytest.raises(ConnectorError):
        loader.load(broken, target)
    assert (stored(), ledger()) == ([], [])


def test_key_twice_in_one_manifest_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    loader.load(stage([(1, "before")], folder="run-1"), target)
    with pytest.raises(ConnectorError):
        loader.load(stage([(1, "a"), (1, "b")], folder="run-2"), target)
    assert stored() == [(1, "before")]
    assert len(ledger()) == 1


def test_older_worker_commits_nothing_after_a_newer_one(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    loader.load(stage([(1, "new")], folder="run-2"), dataclasses.replace(target, fence=5))
    with pytest.raises(LoadSuperseded):
        loader.load(
            stage([(1, "old"), (2, "old")], folder="run-1"), dataclasses.replace(target, fence=4)
        )
    assert stored() == [(1, "new")]
    assert [row[2] for row in ledger()] == [5]
    following = dataclasses.replace(target, fence=5)
    assert loader.load(stage([(3, "next")], folder="run-3"), following).rows_in_target == 2


def test_fence_of_one_table_does_not_hold_another(
    loader: Any, target: LoadTarget, stage: Stage
) -> None:
    loader.load(stage([(1, "a")], folder="run-1"), dataclasses.replace(target, fence=5))
    other = dataclasses.replace(target, table="OTHERS", fence=1)
    assert loader.load(stage([(1, "a")], folder="run-2"), other).rows_in_target == 1


def test_failure_inside_of_the_transaction_leaves_the_target_as_it_was(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, ledger: Look
) -> None:
    schema = pa.schema(
        [pa.field("id", pa.int64()), pa.field("doc", pa.string(), metadata={"native": "json"})]
    )
    loader.load(stage([(1, "1")], schema=schema, folder="run-1"), target)
    # What is no JSON shows when the rows are merged.
    with pytest.raises(DataError):
        loader.load(stage([(1, "2"), (2, "{broken")], schema=schema, folder="run-2"), target)
    assert stored() == [(1, "1")]
    assert len(ledger()) == 1
    # The session is free again, outside of any transaction.
    following = stage([(2, "3")], schema=schema, folder="run-3")
    assert loader.load(following, target).rows_in_target == 2


def test_target_knows_whether_anything_was_loaded_into_it(
    loader: Any, target: LoadTarget, stage: Stage, keeper: Any
) -> None:
    assert not loader.has_loaded(target)
    loader.load(stage([(1, "a")]), target)
    assert loader.has_loaded(target)
    assert not loader.has_loaded(dataclasses.replace(target, table="OTHERS"))
    # Rows that are gone with their table have to come again, whatever the ledger says.
    keeper.execute(f"DROP TABLE {target.schema}.ORDERS")
    assert not loader.has_loaded(target)


def test_target_knows_its_last_load(
    loader: Any, target: LoadTarget, stage: Stage, keeper: Any
) -> None:
    assert loader.last_load(target) is None
    for fence, folder in ((7, "run-1"), (9, "run-2")):
        manifest = stage([(fence, "a")], folder=folder)
        loader.load(manifest, dataclasses.replace(target, fence=fence))
        assert loader.last_load(target) == manifest.load_id
    other = dataclasses.replace(target, table="OTHERS", fence=8)
    loader.load(stage([(1, "a")], folder="run-3"), other)
    assert loader.last_load(target) == manifest.load_id
    keeper.execute(f"DROP TABLE {target.schema}.ORDERS")
    assert loader.last_load(target) is None


def test_table_without_a_key_is_refused(loader: Any, target: LoadTarget, stage: Stage) -> None:
    with pytest.raises(Unsupported):
        loader.load(stage([(1, "a")], key=()), target)


def test_unknown_stage_is_not_found(loader: Any, target: LoadTarget, stage: Stage) -> None:
    with pytest.raises(ObjectNotFound):
        loader.load(stage([(1, "a")]), dataclasses.replace(target, stage="NO_STAGE"))


def test_role_that_may_not_write_is_denied(
    open_one: Callable[..., Connector], target: LoadTarget, stage: Stage
) -> None:
    reader: Any = open_one(role="READER")
    with pytest.raises(PermissionDenied):
        reader.load(stage([(1, "a")]), target)


# Types


def test_values_arrive_exactly(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any
) -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("price", pa.decimal128(38, 10)),
            pa.field("raw", pa.binary()),
            pa.field("day", pa.date32()),
            pa.field("local", pa.timestamp("us")),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("ratio", pa.float64()),
            pa.field("yes", pa.bool_()),
            pa.field("Mixed Case", pa.string()),
        ]
    )
    local = datetime.datetime.fromisoformat("2026-01-02T03:04:05.123456")
    at = datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=datetime.UTC)
    price = Decimal("9999999999999999999999999999.0000000001")
    everything = bytes(range(256)) * 4096
    rows: Rows = [
        (
            9223372036854775807,
            price,
            everything,
            datetime.date(2026, 1, 2),
            local,
            at,
            0.1,
            True,
            "x",
        ),
        (2, None, b"", None, None, None, None, None, ""),
        (3, -price, None, datetime.date(1, 1, 1), local, at, -1e308, False, "ünï\n'\"\\"),
    ]
    loader.load(stage(rows, schema=schema), target)
    assert sorted(stored(), key=lambda row: row[0]) == sorted(rows, key=lambda row: row[0])


def test_json_becomes_variant(
    loader: Any, target: LoadTarget, stage: Stage, stored: Look, keeper: Any
) -> None:
    schema = pa.schema(
        [pa.field("id", pa.int64()), pa.field("doc", pa.string(), metadata={"native": "jsonb"})]
    )
    rows: Rows = [(1, '{"a": {"b": [1, "x"]}}'), (2, None), (3, "12345678901234567890")]
    loader.load(stage(rows, schema=schema), target)
    assert stored("ID, DOC:a.b[1]::VARCHAR") == [(1, "x"), (2, None), (3, None)]
    assert stored("ID, DOC::VARCHAR")[2] == (3, "12345678901234567890")
    described = keeper.execute(f"DESCRIBE TABLE {target.schema}.ORDERS").fetchall()
    assert [row[1] for row in described] == ["NUMBER(38,0)", "VARIANT"]
