"""An object that is sent while it is written: whole, or not there."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from etl.stage import Stage
from etl.upload import Upload

TEAM = "00000000-0000-0000-0000-00000000000b"
MB = 2**20


@pytest.fixture
def s3(endpoints: dict[str, Any]) -> Any:
    found = endpoints["s3"]
    return boto3.client(
        "s3",
        endpoint_url=found["endpoint"],
        region_name=found["region"],
        aws_access_key_id=found["access_key"],
        aws_secret_access_key=found["secret_key"],
    )


@pytest.fixture
def bucket(endpoints: dict[str, Any]) -> str:
    return str(endpoints["s3"]["bucket"])


def unfinished(s3: Any, bucket: str, prefix: str) -> list[str]:
    answer = s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for found in answer.get("Uploads", ())]


def there(s3: Any, bucket: str, prefix: str) -> list[str]:
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for found in answer.get("Contents", ())]


@pytest.mark.parametrize("sizes", [[], [10], [8 * MB], [5 * MB] * 7, [1, 30 * MB, 1]])
def test_what_was_written_is_what_is_there(s3: Any, bucket: str, sizes: list[int]) -> None:
    written = [bytes([number + 65]) * size for number, size in enumerate(sizes)]
    with Upload(s3, bucket, "u/whole") as sent:
        for data in written:
            assert sent.write(data) == len(data)
        assert sent.tell() == sum(sizes)
    assert s3.get_object(Bucket=bucket, Key="u/whole")["Body"].read() == b"".join(written)
    assert not unfinished(s3, bucket, "u/whole")


@pytest.mark.parametrize("size", [10, 30 * MB])
def test_writer_that_fails_leaves_nothing(s3: Any, bucket: str, size: int) -> None:
    def write() -> None:
        with Upload(s3, bucket, "u/broken") as sent:
            sent.write(bytes(size))
            raise RuntimeError("the source went away")

    with pytest.raises(RuntimeError, match="the source"):
        write()
    assert not there(s3, bucket, "u/broken")
    assert not unfinished(s3, bucket, "u/broken")


def test_refused_piece_ends_the_writing(s3: Any, bucket: str) -> None:
    def write() -> None:
        with Upload(s3, bucket, "u/aborted") as sent:
            sent.write(bytes(9 * MB))
            for found in s3.list_multipart_uploads(Bucket=bucket, Prefix="u/aborted")["Uploads"]:
                s3.abort_multipart_upload(
                    Bucket=bucket, Key=found["Key"], UploadId=found["UploadId"]
                )
            for _ in range(9):
                sent.write(bytes(9 * MB))

    with pytest.raises(ClientError):
        write()
    assert not there(s3, bucket, "u/aborted")


def test_what_a_killed_worker_has_sent_goes_with_its_folder(s3: Any, bucket: str) -> None:
    key = f"{TEAM}/killed/run-1/part"
    s3.create_multipart_upload(Bucket=bucket, Key=key)
    stage = Stage(TEAM)
    assert stage.folders("killed") == {"killed/run-1"}
    assert stage.remove("killed/run-1") == 0
    assert not unfinished(s3, bucket, key)
    assert stage.folders("killed") == set()
