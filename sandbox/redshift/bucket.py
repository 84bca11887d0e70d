"""What a COPY reads: the files that a manifest or a prefix names, as rows of Postgres' own text."""

import json
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from typing import IO, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.redshift.copying import Copy, CopyFailed
from sandbox.redshift.settings import Storage

BATCH_ROWS = 5000
_PIECE_BYTES = 1024 * 1024
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_S3_FAILED, _NO_ROLE, _NO_PARQUET = 8001, 30000, 15001


def rows(copy: Copy, storage: Storage | None) -> Iterator[bytes]:
    """The rows of every file, piece by piece; raises CopyFailed."""
    if storage is None:
        raise CopyFailed(_S3_FAILED, "There is no S3 in this sandbox.", copy.url)
    allowed = storage.roles.get(copy.role)
    if allowed is None:
        raise CopyFailed(
            _NO_ROLE, "Not authorized to get credentials of role " + copy.role, copy.role
        )
    bucket = _Bucket(storage, allowed)
    try:
        for url, size in bucket.listed(copy):
            with tempfile.TemporaryFile() as file:
                bucket.download(url, size, file)
                yield from _rows_of(file, url)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        text = f"S3ServiceException:{code},Status {status},Error {code}"
        raise CopyFailed(_S3_FAILED, text, copy.url) from error
    except BotoCoreError as error:
        raise CopyFailed(_S3_FAILED, type(error).__name__, copy.url) from error


class _Bucket:
    def __init__(self, storage: Storage, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region,
            aws_access_key_id=storage.access_key,
            aws_secret_access_key=storage.secret_key,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path"},
            ),
        )

    def listed(self, copy: Copy) -> Iterator[tuple[str, int | None]]:
        """URL of each file, and its size where a manifest tells it."""
        bucket, key = self._place(copy.url)
        if not copy.has_manifest:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            found = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
            if not found:
                raise CopyFailed(
                    _S3_FAILED, f"The specified S3 prefix '{key}' does not exist", copy.url
                )
            yield from ((f"s3://{bucket}/{one}", None) for one in found)
            return
        text = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            entries = json.loads(text)["entries"]
            named = [(one["url"], one["meta"]["content_length"]) for one in entries]
        except (ValueError, KeyError, TypeError) as error:
            raise CopyFailed(
                _S3_FAILED, "Manifest file is not in correct json format", copy.url
            ) from error
        yield from named

    def download(self, url: str, size: int | None, file: IO[bytes]) -> None:
        bucket, key = self._place(url)
        answer = self._s3.get_object(Bucket=bucket, Key=key)
        if size is not None and answer["ContentLength"] != size:
            text = "The size of the file is not the one in the manifest"
            raise CopyFailed(_S3_FAILED, text, url)
        for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
            file.write(piece)
        file.seek(0)

    def _place(self, url: str) -> tuple[str, str]:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket not in self._allowed:
            text = "S3ServiceException:Access Denied,Status 403,Error AccessDenied"
            raise CopyFailed(_S3_FAILED, text, url)
        return bucket, key


def _rows_of(file: IO[bytes], url: str) -> Iterator[bytes]:
    try:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
            columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
            yield "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)).encode()
    except pa.ArrowInvalid as error:
        raise CopyFailed(_NO_PARQUET, "Spectrum Scan Error: no Parquet file", url) from error


def _text(value: object) -> str:
    """A value as COPY FROM STDIN takes it."""
    match value:
        case None:
            return "\\N"
        case bytes():
            return "\\\\x" + value.hex()
        case str():
            return value.translate(_ESCAPED)
        case datetime():
            # The instant, in UTC, whatever the column: as a cluster reads such a file.
            return value.replace(tzinfo=None).isoformat(sep=" ")
        case date():
            return value.isoformat()
        case _:
            return str(value)
