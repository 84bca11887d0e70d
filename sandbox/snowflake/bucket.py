"""The sandbox's S3, as stages see it: files by prefix or by name, with their ETags."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.client import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.snowflake.config import Storage
from sandbox.snowflake.errors import SqlError, unsupported


@dataclass(frozen=True)
class StagedFile:
    """One object in S3."""

    url: str
    key: str
    size: int
    etag: str
    modified: str


class Bucket:
    """One S3, asked only when a statement needs it."""

    def __init__(self, storage: Storage | None) -> None:
        """Connect when first asked."""
        self._storage = storage
        self._made: Any = None
        self._making = threading.Lock()

    def files(self, url: str) -> Iterator[StagedFile]:
        """Yield the objects whose URL begins with `url`, by name; raises SqlError."""
        bucket, prefix = _split(url)
        try:
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    yield _file(bucket, entry["Key"], entry["Size"], entry)
        except (BotoCoreError, ClientError) as error:
            raise _failure(error) from error

    def file(self, url: str) -> StagedFile | None:
        """Return one object, None when it is not there; raises SqlError."""
        bucket, key = _split(url)
        try:
            found = self._client().head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise _failure(error) from error
        except BotoCoreError as error:
            raise _failure(error) from error
        return _file(bucket, key, found["ContentLength"], found)

    def remove(self, url: str) -> None:
        """Delete one object; raises SqlError."""
        bucket, key = _split(url)
        try:
            self._client().delete_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise _failure(error) from error

    def _client(self) -> Any:
        if self._storage is None:
            raise unsupported("stages without an S3 in the sandbox")
        with self._making:
            if self._made is None:
                self._made = boto3.client(
                    "s3",
                    endpoint_url=self._storage.endpoint,
                    region_name=self._storage.region,
                    aws_access_key_id=self._storage.access_key,
                    aws_secret_access_key=self._storage.secret_key,
                    config=BotoConfig(
                        connect_timeout=5,
                        read_timeout=30,
                        retries={"total_max_attempts": 2},
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._made


def _split(url: str) -> tuple[str, str]:
    # Not urlsplit: a key may hold '#' and '?'.
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def _file(bucket: str, key: str, size: int, entry: dict[str, Any]) -> StagedFile:
    modified = entry["LastModified"].strftime("%a, %d %b %Y %H:%M:%S GMT")
    return StagedFile(f"s3://{bucket}/{key}", key, size, entry["ETag"].strip('"'), modified)


def _failure(error: Exception) -> SqlError:
    cause = str(error) if isinstance(error, ClientError) else type(error).__name__
    return SqlError("091003", "22000", f"Failure using stage area. Cause: [{cause}]")
