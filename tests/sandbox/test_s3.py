import hashlib
import secrets
import socket
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

from sandbox.services.s3 import NoExtendedAttributes, check_extended_attributes
from sandbox.state import read_states
from sandbox.supervisor import Sandbox

from .conftest import command_lines

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024


def client_of(endpoint: dict[str, Any], **changes: str) -> "S3Client":
    settings = endpoint | changes
    return boto3.client(
        "s3",
        endpoint_url=settings["endpoint"],
        region_name=settings["region"],
        aws_access_key_id=settings["access_key"],
        aws_secret_access_key=settings["secret_key"],
        config=Config(signature_version="s3v4", proxies={}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(box: Sandbox) -> Iterator["S3Client"]:
    client = client_of(box.endpoints["s3"])
    yield client
    client.close()


@pytest.fixture
def bucket(box: Sandbox) -> str:
    return str(box.endpoints["s3"]["bucket"])


def refused(client: "S3Client", bucket: str) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket=bucket)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_a_wrong_secret_is_refused(box: Sandbox, bucket: str) -> None:
    wrong = client_of(box.endpoints["s3"], secret_key="wrong")
    assert refused(wrong, bucket) == (403, "SignatureDoesNotMatch")


def test_an_unknown_key_is_refused(box: Sandbox, bucket: str) -> None:
    unknown = client_of(box.endpoints["s3"], access_key="lake:nobody")
    status, _ = refused(unknown, bucket)
    assert status == 403


def test_no_signature_is_refused(box: Sandbox, bucket: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{box.endpoints['s3']['endpoint']}/{bucket}", timeout=10)
    # Real S3 says 403; see the README's table.
    assert caught.value.code == 412


def test_it_puts_lists_gets_and_deletes(client: "S3Client", bucket: str) -> None:
    body = secrets.token_bytes(1000)
    put = client.put_object(Bucket=bucket, Key="run/a b+ü.parquet", Body=body)
    assert put["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    listed = client.list_objects_v2(Bucket=bucket, Prefix="run/")
    assert [(item["Key"], item["Size"]) for item in listed["Contents"]] == [
        ("run/a b+ü.parquet", 1000)
    ]
    assert client.get_object(Bucket=bucket, Key="run/a b+ü.parquet")["Body"].read() == body
    part = client.get_object(Bucket=bucket, Key="run/a b+ü.parquet", Range="bytes=10-19")
    assert part["Body"].read() == body[10:20]
    client.delete_object(Bucket=bucket, Key="run/a b+ü.parquet")
    assert client.list_objects_v2(Bucket=bucket, Prefix="run/")["KeyCount"] == 0


def test_it_takes_20_mb_in_parts(client: "S3Client", bucket: str, tmp_path: Path) -> None:
    body = secrets.token_bytes(20 * MIB)
    (tmp_path / "up").write_bytes(body)
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    client.upload_file(str(tmp_path / "up"), bucket, "big", Config=parts)
    head = client.head_object(Bucket=bucket, Key="big")
    assert head["ContentLength"] == 20 * MIB
    assert head["ETag"].strip('"').endswith("-4")
    client.download_file(bucket, "big", str(tmp_path / "down"), Config=parts)
    assert (tmp_path / "down").read_bytes() == body


def test_an_aborted_upload_leaves_nothing(client: "S3Client", bucket: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="never")["UploadId"]
    client.upload_part(
        Bucket=bucket, Key="never", UploadId=upload, PartNumber=1, Body=b"x" * 5 * MIB
    )
    client.abort_multipart_upload(Bucket=bucket, Key="never", UploadId=upload)
    assert client.list_objects_v2(Bucket=bucket, Prefix="never")["KeyCount"] == 0
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_presigned_urls_work_until_altered(client: "S3Client", bucket: str) -> None:
    put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "signed"})
    request = urllib.request.Request(put, data=b"by url", method="PUT")
    assert urllib.request.urlopen(request, timeout=10).status == 200
    get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "signed"})
    assert urllib.request.urlopen(get, timeout=10).read() == b"by url"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(get.replace("/signed?", "/other?"), timeout=10)
    assert caught.value.code == 403


def test_an_object_is_written_once_if_none_match(client: "S3Client", bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_a_long_list_comes_in_pages(client: "S3Client", bucket: str) -> None:
    names = [f"page/{number:03}" for number in range(25)]
    for name in names:
        client.put_object(Bucket=bucket, Key=name, Body=b"")
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="page/", PaginationConfig={"PageSize": 10}
    )
    found = [[item["Key"] for item in page["Contents"]] for page in pages]
    assert [len(page) for page in found] == [10, 10, 5]
    assert [name for page in found for name in page] == names


def test_objects_survive_a_restart_that_finds_the_port_taken(root: Path) -> None:
    with Sandbox(root, ("s3",)) as box:
        before = box.endpoints["s3"]
        client_of(before).put_object(Bucket=before["bucket"], Key="kept", Body=b"still here")
    port = urllib.parse.urlsplit(before["endpoint"]).port
    taken = socket.create_server(("127.0.0.1", port))
    with taken, Sandbox(root, ("s3",)) as box:
        after = box.endpoints["s3"]
        assert after["endpoint"] != before["endpoint"]
        assert after["secret_key"] == before["secret_key"]
        found = client_of(after).get_object(Bucket=after["bucket"], Key="kept")
        assert found["Body"].read() == b"still here"


def test_the_secret_is_in_no_command_line_and_no_readable_file(box: Sandbox) -> None:
    assert box.endpoints["s3"]["secret_key"] not in command_lines()
    for path in (box.root / "s3" / "etc").glob("*.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_needs_little_memory(box: Sandbox) -> None:
    (state,) = [state for state in read_states(box.root) if state.service == "s3"]
    assert state.rss_mb is not None
    assert state.rss_mb < 400


def test_a_file_system_without_attributes_is_explained() -> None:
    with pytest.raises(NoExtendedAttributes, match=r"refuses extended attributes .*ext4"):
        check_extended_attributes(Path("/proc"))
