"""Staged files and looks at a target, for the tests of loading."""

import io
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config

from connectors.types import Manifest, StagedFile

Rows = Sequence[tuple[Any, ...]]
Look = Callable[..., list[tuple[Any, ...]]]
SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("word", pa.string())])


def bucket_of(there: dict[str, Any]) -> Any:
    """The sandbox's bucket, for writing."""
    resource: Any = boto3.resource(
        "s3",
        endpoint_url=there["endpoint"],
        region_name=there["region"],
        aws_access_key_id=there["access_key"],
        aws_secret_access_key=there["secret_key"],
        config=Config(request_checksum_calculation="when_required"),
    )
    return resource.Bucket(there["bucket"])


def parquet(rows: Rows, schema: pa.Schema) -> bytes:
    """Rows as one Parquet file."""
    buffer = io.BytesIO()
    columns = [pa.array([row[n] for row in rows], kind) for n, kind in enumerate(schema.types)]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer)
    return buffer.getvalue()


class Stage:
    """Puts files under a root in the bucket."""

    def __init__(self, bucket: Any, root: str) -> None:
        self._bucket = bucket
        self._root = root

    def __call__(
        self,
        *parts: Rows,
        schema: pa.Schema = SCHEMA,
        key: tuple[str, ...] = ("id",),
        folder: str = "run-1",
    ) -> Manifest:
        """One Parquet file for each list of rows, and the manifest that lists them."""
        files = [
            self.put(rows, schema, f"{folder}/part-{n:05}.parquet") for n, rows in enumerate(parts)
        ]
        return Manifest(uuid.uuid4().hex, f"{self._root}/{folder}", tuple(files), schema, key)

    def changes(
        self,
        *parts: tuple[int, Rows, Sequence[int]],
        folder: str = "run-1",
        schema: pa.Schema = SCHEMA,
    ) -> Manifest:
        """The manifest of parts that are each an order, its rows, and the ids that it deletes."""
        files, deletes = [], []
        for order, rows, ids in parts:
            at = f"{folder}/order-{order}"
            if rows:
                files.append(self.put(rows, schema, f"{at}.parquet", order))
            if ids:
                gone = pa.schema([schema.field("id")])
                deletes.append(self.put([(i,) for i in ids], gone, f"{at}-gone.parquet", order))
        location = f"{self._root}/{folder}"
        return Manifest(
            uuid.uuid4().hex, location, tuple(files), schema, ("id",), deletes=tuple(deletes)
        )

    def compared(self, manifest: Manifest, *ids: int) -> Manifest:
        """The manifest with the ids that there are at the source."""
        folder = manifest.location.removeprefix(f"{self._root}/")
        key = pa.schema([manifest.schema.field("id")])
        keys = [self.put([(i,) for i in ids], key, f"{folder}/keys.parquet")] if ids else []
        return replace(manifest, keys=tuple(keys))

    def put(self, rows: Rows, schema: pa.Schema, key: str, order: int = 0) -> StagedFile:
        body = parquet(rows, schema)
        self._bucket.put_object(Key=f"{self._root}/{key}", Body=body)
        name = key.rpartition("/")[2]
        return StagedFile(name, len(rows), len(body), "not checked here", order)
