"""The calls of S3 that loads are made of, within a prefix of one bucket."""

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow.parquet as pq

from connectors.errors import LoadMismatch
from connectors.types import StagedFile

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PIECE_BYTES = 8 * 2**20
"""How much of a file is in memory; S3 takes 10,000 such pieces."""
FOOTER_BYTES = 64 * 2**10
TAKEN = frozenset({409, 412})
"""What S3 says where an object is there already, or is just being made."""


class Bucket:
    """Keys are those below the prefix. Raises what botocore raises."""

    def __init__(self, s3: "S3Client", bucket: str, prefix: str) -> None:
        self.s3 = s3
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""

    def url(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._root}{key}"

    def keys(self, folder: str) -> Iterator[str]:
        """The keys that begin so, in order."""
        pages = self.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._root + folder):
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(self._root)

    def look(self) -> None:
        """Have S3 judge the key that we sign with, and the bucket."""
        self.s3.list_objects_v2(Bucket=self._bucket, Prefix=self._root, MaxKeys=1)

    def read(self, key: str) -> bytes:
        return self.s3.get_object(**self._place(key))["Body"].read()

    def put_new(self, key: str, body: bytes) -> bool:
        """Make an object that is not there; false where somebody else has made it."""
        from botocore.exceptions import ClientError

        try:
            self.s3.put_object(
                **self._place(key), Body=body, ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] not in TAKEN:
                raise
            return False
        return True

    def copy(self, source: BinaryIO, file: StagedFile, key: str) -> None:
        """Send a staged file; raises LoadMismatch where it is not what the manifest says."""
        from boto3.s3.transfer import TransferConfig

        # One piece after the other: more at once would all be in memory.
        in_pieces = TransferConfig(
            multipart_threshold=PIECE_BYTES, multipart_chunksize=PIECE_BYTES, use_threads=False
        )
        read: Any = _Hashed(source)
        self.s3.upload_fileobj(read, self._bucket, self._root + key, Config=in_pieces)
        if (read.size, read.hash.hexdigest()) != (file.bytes, file.sha256):
            raise LoadMismatch(f"The staged file {file.name} is not the one in the manifest.")
        rows = self._rows(key)
        if rows != file.rows:
            raise LoadMismatch(
                f"{rows:,} rows are in {file.name} where {file.rows:,} are in the manifest."
            )

    def remove(self, key: str) -> None:
        self.s3.delete_object(**self._place(key))

    def unfinished(self, folder: str) -> Iterator[tuple[str, str]]:
        """Key and id of each upload that was neither completed nor aborted."""
        pages = self.s3.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._root + folder):
            for upload in page.get("Uploads", ()):
                yield upload["Key"].removeprefix(self._root), upload["UploadId"]

    def abort(self, key: str, upload: str) -> None:
        self.s3.abort_multipart_upload(**self._place(key), UploadId=upload)

    def _rows(self, key: str) -> int:
        """How many rows a Parquet object says that it has, at its end."""
        tail = self._tail(key, FOOTER_BYTES)
        footer = int.from_bytes(tail[-8:-4], "little") + 8
        if footer > len(tail):
            tail = self._tail(key, footer)
        return int(pq.read_metadata(io.BytesIO(tail)).num_rows)

    def _tail(self, key: str, size: int) -> bytes:
        return self.s3.get_object(**self._place(key), Range=f"bytes=-{size}")["Body"].read()

    def _place(self, key: str) -> Any:
        return {"Bucket": self._bucket, "Key": self._root + key}


class _Hashed:
    """Reads a file, and knows what it has read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        found = self._source.read(size)
        self.hash.update(found)
        self.size += len(found)
        return found
