"""Parts and manifests in the bucket."""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.types import Manifest
from etl import parquet
from etl.errors import StageFailed
from etl.stage import Stage

TEAM = "00000000-0000-0000-0000-00000000000a"
SCHEMA = pa.schema(
    [pa.field("id", pa.int64()), pa.field("doc", pa.string(), metadata={"native": "jsonb"})]
)


def batches(count: int, rows: int = 1_000) -> Iterator[pa.RecordBatch]:
    for number in range(count):
        ids = range(number * rows, (number + 1) * rows)
        yield pa.record_batch([list(ids), [f"{i:064x}" for i in ids]], schema=SCHEMA)


@pytest.fixture
def bucket(endpoints: dict[str, Any]) -> Any:
    """The bucket, looked at past everything of ours."""
    s3 = endpoints["s3"]
    return boto3.resource(
        "s3",
        endpoint_url=s3["endpoint"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
    ).Bucket(s3["bucket"])


def ignore(rows: int, size: int) -> None:
    """Progress that nobody looks at."""


def test_parts_hold_every_row_once_and_the_manifest_describes_them(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "PART_BYTES", 10_000)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2_500)
    told: list[tuple[int, int]] = []
    files = Stage(TEAM).write("t/write", SCHEMA, batches(10), lambda *now: told.append(now))
    assert len(files) > 1
    ids: list[int] = []
    for file in files:
        body = bucket.Object(f"{TEAM}/t/write/{file.name}").get()["Body"].read()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (file.bytes, file.sha256)
        table = pq.read_table(io.BytesIO(body))
        assert table.num_rows == file.rows
        ids += table.column("id").to_pylist()
    assert ids == list(range(10_000))
    assert sum(rows for rows, _ in told) == 10_000
    assert sum(size for _, size in told) == sum(file.bytes for file in files)


def test_manifest_comes_back_as_it_was_written() -> None:
    files = Stage(TEAM).write("t/manifest", SCHEMA, batches(1), ignore)
    manifest = Manifest("load-1", "t/manifest", files, SCHEMA, ("id",))
    Stage(TEAM).write_manifest(manifest)
    read = Stage(TEAM).read_manifest("t/manifest")
    assert read == manifest
    assert read.schema.field("doc").metadata == {b"native": b"jsonb"}


def test_no_rows_are_no_files() -> None:
    assert Stage(TEAM).write("t/none", SCHEMA, batches(0), ignore) == ()


def test_extraction_that_breaks_leaves_no_part_of_the_broken_piece(bucket: Any) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(2)
        raise RuntimeError("the source went away")

    with pytest.raises(RuntimeError, match="went away"):
        Stage(TEAM).write("t/broken", SCHEMA, broken(), ignore)
    assert not list(bucket.objects.filter(Prefix=f"{TEAM}/t/broken/"))


def test_one_folder_is_removed_and_neighbours_with_a_common_prefix_stay(bucket: Any) -> None:
    for key in ("p/run-1/a", "p/run-1/b", "p/run-10/a", "p2/run-1/a"):
        bucket.put_object(Key=f"{TEAM}/{key}", Body=b"x")
    assert Stage(TEAM).folders("p") == {"p/run-1", "p/run-10"}
    assert Stage(TEAM).remove("p/run-1") == 2
    left = {found.key.removeprefix(f"{TEAM}/") for found in bucket.objects.filter(Prefix=TEAM)}
    assert {"p/run-10/a", "p2/run-1/a"} <= left
    assert not any(key.startswith("p/run-1/") for key in left)


def test_refused_secret_is_a_retryable_error_without_the_servers_text(settings: Any) -> None:
    settings.STAGE_S3_SECRET_KEY = "wrong"
    with pytest.raises(StageFailed) as failed:
        Stage(TEAM).read_manifest("t/manifest")
    assert failed.value.retryable
    assert "Signature" not in str(failed.value)


def test_no_bucket_is_said_before_anything_is_read(settings: Any) -> None:
    settings.STAGE_S3_BUCKET = ""
    with pytest.raises(StageFailed, match="No staging bucket"):
        Stage(TEAM)
