"""Loading a manifest into Snowflake: exactly its files, exactly once, all or nothing."""

import dataclasses
import datetime
import io
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

from connectors import Connector
from connectors.abilities import BulkLoad
from connectors.errors import (
    ConnectorError,
    DataError,
    LoadMismatch,
    LoadSuperseded,
    ObjectNotFound,
    PermissionDenied,
    SchemaChanged,
    Unsupported,
)
from connectors.types import LoadTarget, Manifest, StagedFile
from tests.connectors.matrix import snowflake_session

Rows = list[tuple[Any, ...]]
SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("word", pa.string())])


@pytest.fixture(scope="module")
def lake(endpoints: dict[str, Any]) -> Iterator[Any]:
    """The destination through the vendor's own client, past everything of ours."""
    with snowflake_session(endpoints) as cursor:
        yield cursor


@pytest.fixture
def schema(lake: Any, endpoints: dict[str, Any]) -> Iterator[str]:
    """An empty schema with a stage on the bucket, dropped at the end."""
    name = f"T_{uuid.uuid4().hex[:12].upper()}"
    lake.execute(f"CREATE SCHEMA {name}")
    lake.execute(f"CREATE STAGE {name}.LAKE URL = 's3://{endpoints['s3']['bucket']}/'")
    yield name
    lake.execute(f"DROP SCHEMA {name}")


@pytest.fixture(scope="module")
def bucket(endpoints: dict[str, Any]) -> Any:
    there = endpoints["s3"]
    resource: Any = boto3.resource(
        "s3",
        endpoint_url=there["endpoint"],
        region_name=there["region"],
        aws_access_key_id=there["access_key"],
        aws_secret_access_key=there["secret_key"],
        config=Config(request_checksum_calculation="when_required"),
    )
    return resource.Bucket(there["bucket"])


Stage = Callable[..., Manifest]


@pytest.fixture
def stage(bucket: Any) -> Iterator[Stage]:
    """Put one Parquet file for each list of rows into a folder; the manifest that lists them."""
    root = f"tests/{uuid.uuid4().hex[:12]}"

    def put(
        *parts: Rows,
        schema: pa.Schema = SCHEMA,
        key: tuple[str, ...] = ("id",),
        folder: str = "run-1",
    ) -> Manifest:
        files = []
        for number, rows in enumerate(parts):
            name = f"part-{number:05}.parquet"
            body = parquet(rows, schema)
            bucket.put_object(Key=f"{root}/{folder}/{name}", Body=body)
            files.append(StagedFile(name, len(rows), len(body), "not checked here"))
        return Manifest(uuid.uuid4().hex, f"{root}/{folder}", tuple(files), schema, key)

    yield put
    bucket.objects.filter(Prefix=f"{root}/").delete()


def parquet(rows: Rows, schema: pa.Schema) -> bytes:
    buffer = io.BytesIO()
    columns = [
        pa.array(of, kind) for of, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer)
    return buffer.getvalue()


@pytest.fixture
def loader(opened: Callable[..., Connector]) -> Any:
    connector = opened("snowflake")
    assert isinstance(connector, BulkLoad)
    return connector


@pytest.fixture
def target(schema: str) -> LoadTarget:
    return LoadTarget(schema=schema, table="ORDERS", stage="LAKE", fence=1)


@pytest.fixture
def stored(lake: Any, target: LoadTarget) -> Callable[..., Rows]:
    """What the target holds now, sorted by its first column."""

    def look(columns: str = "*") -> Rows:
        name = f'"{target.schema}"."{target.table}"'
        found: Rows = lake.execute(f"SELECT {columns} FROM {name} ORDER BY 1").fetchall()
        return found

    return look


@pytest.fixture
def ledger(lake: Any, target: LoadTarget) -> Callable[[], Rows]:
    def look() -> Rows:
        found: Rows = lake.execute(
            f"SELECT LOAD_ID, TARGET, FENCE, ROWS_LOADED, FILES FROM {target.schema}"
            ".WAREHOUSE_LOADS ORDER BY LOADED_AT"
        ).fetchall()
        return found

    return look


def test_files_of_the_manifest_arrive(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
) -> None:
    manifest = stage([(1, "a"), (2, "b")], [(3, "c")])
    outcome = loader.load(manifest, target)
    assert (outcome.rows_in_target, outcome.already_loaded) == (3, False)
    assert stored() == [(1, "a"), (2, "b"), (3, "c")]
    assert ledger() == [(manifest.load_id, "ORDERS", 1, 3, 2)]


def test_loading_again_changes_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any, lake: Any
) -> None:
    manifest = stage([(1, "a")])
    loader.load(manifest, target)
    lake.execute(f"UPDATE {target.schema}.ORDERS SET WORD = 'changed since'")
    again = loader.load(manifest, dataclasses.replace(target, fence=9))
    assert (again.rows_in_target, again.already_loaded) == (1, True)
    assert stored() == [(1, "changed since")]
    assert len(ledger()) == 1


def test_rows_are_updated_and_inserted_by_key(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any
) -> None:
    loader.load(stage([(1, "a"), (2, "b")], folder="run-1"), target)
    outcome = loader.load(stage([(2, "B"), (3, None)], folder="run-2"), target)
    assert outcome.rows_in_target == 3
    assert stored() == [(1, "a"), (2, "B"), (3, None)]


def test_key_of_several_columns(loader: Any, target: LoadTarget, stage: Stage, stored: Any) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.string())])
    key = ("b", "a")
    first = stage([(1, "x", "old"), (1, "y", "old")], schema=schema, key=key, folder="run-1")
    loader.load(first, target)
    loader.load(stage([(1, "y", "new")], schema=schema, key=key, folder="run-2"), target)
    assert sorted(stored()) == [(1, "x", "old"), (1, "y", "new")]


def test_table_that_is_all_key_can_be_loaded_twice(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any
) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    for folder in ("run-1", "run-2"):
        loader.load(stage([(1, 2), (3, 4)], schema=schema, key=("a", "b"), folder=folder), target)
    assert stored() == [(1, 2), (3, 4)]


def test_manifest_without_files_is_a_load_of_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
) -> None:
    assert loader.load(stage(), target).rows_in_target == 0
    assert stored() == []
    assert [row[3:] for row in ledger()] == [(0, 0)]


def test_neighbours_in_the_folder_are_not_loaded(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, bucket: Any
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
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any, rows: int
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
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
) -> None:
    manifest = stage([(1, "a")])
    missing = StagedFile("part-00009.parquet", 1, 1, "aa")
    broken = dataclasses.replace(manifest, files=(*manifest.files, missing))
    with pytest.raises(ConnectorError):
        loader.load(broken, target)
    assert (stored(), ledger()) == ([], [])


def test_key_twice_in_one_manifest_loads_nothing(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
) -> None:
    loader.load(stage([(1, "before")], folder="run-1"), target)
    with pytest.raises(ConnectorError):
        loader.load(stage([(1, "a"), (1, "b")], folder="run-2"), target)
    assert stored() == [(1, "before")]
    assert len(ledger()) == 1


def test_older_worker_commits_nothing_after_a_newer_one(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
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
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, ledger: Any
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


@pytest.mark.parametrize(
    ("columns", "at_fault"),
    [
        ("ID NUMBER(38,0)", {"WORD": "The target has no such column."}),
        ("ID NUMBER(38,0), WORD VARCHAR, MORE INT", {"MORE": "The source has no such column."}),
        ("ID NUMBER(38,0), WORD DATE", {"WORD": "The target has DATE, the source needs VARCHAR."}),
        (
            "ID NUMBER(10,2), WORD VARCHAR",
            {"ID": "The target has NUMBER(10,2), the source needs NUMBER(38,0)."},
        ),
    ],
)
def test_target_of_another_shape_is_left_alone(
    loader: Any,
    target: LoadTarget,
    stage: Stage,
    stored: Any,
    ledger: Any,
    lake: Any,
    columns: str,
    at_fault: dict[str, str],
) -> None:
    lake.execute(f"CREATE TABLE {target.schema}.ORDERS ({columns})")
    with pytest.raises(SchemaChanged) as caught:
        loader.load(stage([(1, "a")]), target)
    assert caught.value.fields == at_fault
    assert (stored(), ledger()) == ([], [])


def test_target_knows_whether_anything_was_loaded_into_it(
    loader: Any, target: LoadTarget, stage: Stage, lake: Any
) -> None:
    assert not loader.has_loaded(target)
    loader.load(stage([(1, "a")]), target)
    assert loader.has_loaded(target)
    assert not loader.has_loaded(dataclasses.replace(target, table="OTHERS"))
    # Rows that are gone with their table have to come again, whatever the ledger says.
    lake.execute(f"DROP TABLE {target.schema}.ORDERS")
    assert not loader.has_loaded(target)


def test_table_without_a_key_is_refused(loader: Any, target: LoadTarget, stage: Stage) -> None:
    with pytest.raises(Unsupported):
        loader.load(stage([(1, "a")], key=()), target)


def test_unknown_stage_is_not_found(loader: Any, target: LoadTarget, stage: Stage) -> None:
    with pytest.raises(ObjectNotFound):
        loader.load(stage([(1, "a")]), dataclasses.replace(target, stage="NO_STAGE"))


def test_role_that_may_not_write_is_denied(
    opened: Callable[..., Connector],
    endpoints: dict[str, Any],
    target: LoadTarget,
    stage: Stage,
) -> None:
    reader = opened("snowflake", role=endpoints["snowflake"]["read_only_role"])
    assert isinstance(reader, BulkLoad)
    with pytest.raises(PermissionDenied):
        reader.load(stage([(1, "a")]), target)


# Types


def test_values_arrive_exactly(
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, lake: Any
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
    loader: Any, target: LoadTarget, stage: Stage, stored: Any, lake: Any
) -> None:
    schema = pa.schema(
        [pa.field("id", pa.int64()), pa.field("doc", pa.string(), metadata={"native": "jsonb"})]
    )
    rows: Rows = [(1, '{"a": {"b": [1, "x"]}}'), (2, None), (3, "12345678901234567890")]
    loader.load(stage(rows, schema=schema), target)
    assert stored("ID, DOC:a.b[1]::VARCHAR") == [(1, "x"), (2, None), (3, None)]
    assert stored("ID, DOC::VARCHAR")[2] == (3, "12345678901234567890")
    described = lake.execute(f"DESCRIBE TABLE {target.schema}.ORDERS").fetchall()
    assert [row[1] for row in described] == ["NUMBER(38,0)", "VARIANT"]
