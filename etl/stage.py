"""The S3 stage: Parquet parts of one extraction, and the manifest that lists them."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.types import Manifest, StagedFile
from etl import conf
from etl.errors import StageFailed

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PART_BYTES = 128 * 2**20
"""Snowflake loads files of 100–250 MB best. Source: its guide on preparing data files."""
GROUP_ROWS = 65_536
GROUP_BYTES = 16 * 2**20
"""A row group is held in memory while it is gathered and encoded."""
MANIFEST = "manifest.json"

Progress = Callable[[int, int], None]
"""Called with rows and bytes added since the last call."""


class Stage:
    """One team's folder of the bucket; locations lie in it. Raises StageFailed.

    A destination's external stage is rooted at that folder, so that a warehouse of one team
    cannot read another's.
    """

    def __init__(self, team_id: str) -> None:
        import boto3
        from botocore.config import Config

        if not conf.stage_bucket():
            raise StageFailed("No staging bucket is configured.", hint="Set STAGE_S3_BUCKET.")
        self.bucket = conf.stage_bucket()
        self._root = team_id
        options: dict[str, Any] = conf.stage_client_options()
        bounded = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 4, "mode": "standard"},
            # Other S3 servers than AWS's do not know the newer trailing checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._s3: S3Client = boto3.client("s3", config=bounded, **options)

    def write(
        self,
        location: str,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        progress: Progress,
    ) -> tuple[StagedFile, ...]:
        """Write the batches as Parquet parts; holds one batch and one part on disk at a time."""
        parts: list[StagedFile] = []
        batch = next(batches, None)
        while batch is not None:
            # Without a name: a worker that is killed leaves no rows of a customer on its disk.
            with TemporaryFile(prefix="stage-") as file:
                rows, batch = _write_part(file, schema, batch, batches, progress)
                name = f"part-{len(parts):05}.parquet"
                parts.append(self._upload(file, location, name, rows))
            progress(0, parts[-1].bytes)
        return tuple(parts)

    def _upload(self, file: IO[bytes], location: str, name: str, rows: int) -> StagedFile:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0)
        key = self._key(location, name)
        with _failures():
            # Multipart above 8 MB; an upload that fails is aborted and leaves no object. boto3
            # closes what it is given, so it gets a second handle.
            with os.fdopen(os.dup(file.fileno()), "rb") as body:
                self._s3.upload_fileobj(
                    body, self.bucket, key, ExtraArgs={"Metadata": {"sha256": digest}}
                )
            stored = self._s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        if stored != size:
            raise StageFailed(f"A staged part has {stored:,} bytes where {size:,} were sent.")
        return StagedFile(name, rows, size, digest)

    def write_manifest(self, manifest: Manifest, name: str = MANIFEST) -> None:
        """Store it last: a location with a manifest is complete."""
        with _failures():
            self._s3.put_object(
                Bucket=self.bucket,
                Key=self._key(manifest.location, name),
                Body=json.dumps(_as_json(manifest), indent=1).encode(),
                ContentType="application/json",
            )

    def read_manifest(self, location: str, name: str = MANIFEST) -> Manifest:
        """The manifest of a complete location."""
        with _failures():
            answer = self._s3.get_object(Bucket=self.bucket, Key=self._key(location, name))
            return _from_json(json.loads(answer["Body"].read()))

    def folders(self, location: str) -> set[str]:
        """The folders right under a location."""
        with _failures():
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(location, ""), Delimiter="/"
            )
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ())]
        return {prefix.removeprefix(f"{self._root}/").rstrip("/") for prefix in found}

    def remove(self, location: str) -> int:
        """Remove everything under a location; the number of objects removed."""
        removed = 0
        with _failures():
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(location, "")
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    self._s3.delete_object(Bucket=self.bucket, Key=found["Key"])
                    removed += 1
        return removed

    def _key(self, location: str, name: str) -> str:
        return f"{self._root}/{location}/{name}"


def schema_text(schema: pa.Schema) -> str:
    """A schema as it goes into JSON, whole: types, order, metadata."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_of(text: str) -> pa.Schema:
    """The schema that became this text."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def _write_part(
    file: IO[bytes],
    schema: pa.Schema,
    batch: pa.RecordBatch,
    batches: Iterator[pa.RecordBatch],
    progress: Progress,
) -> tuple[int, pa.RecordBatch | None]:
    """Fill one part up to PART_BYTES; its rows, and the first batch of the next part."""
    rows = 0
    following: pa.RecordBatch | None = batch
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
        while following is not None and file.tell() < PART_BYTES:
            group, following = _row_group(following, batches)
            writer.write_table(pa.Table.from_batches(group, schema=schema))
            added = sum(part.num_rows for part in group)
            rows += added
            progress(added, 0)
    return rows, following


def _row_group(
    first: pa.RecordBatch, batches: Iterator[pa.RecordBatch]
) -> tuple[list[pa.RecordBatch], pa.RecordBatch | None]:
    """Batches that make one row group, and the batch after them."""
    group = [first]
    following = next(batches, None)
    while following is not None and _fits(group, following):
        group.append(following)
        following = next(batches, None)
    return group, following


def _fits(group: list[pa.RecordBatch], batch: pa.RecordBatch) -> bool:
    rows = sum(part.num_rows for part in group) + batch.num_rows
    size = sum(part.nbytes for part in group) + batch.nbytes
    return bool(rows <= GROUP_ROWS and size <= GROUP_BYTES)


def _as_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "load_id": manifest.load_id,
        "location": manifest.location,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "primary_key": list(manifest.primary_key),
        "columns": {field.name: str(field.type) for field in manifest.schema},
        "files": [vars(file) for file in manifest.files],
        "deletes": [vars(file) for file in manifest.deletes],
        "arrow_schema": schema_text(manifest.schema),
    }


def _from_json(data: dict[str, Any]) -> Manifest:
    return Manifest(
        load_id=data["load_id"],
        location=data["location"],
        files=tuple(StagedFile(**file) for file in data["files"]),
        schema=schema_of(data["arrow_schema"]),
        primary_key=tuple(data["primary_key"]),
        # A manifest written before there were deletes has none.
        deletes=tuple(StagedFile(**file) for file in data.get("deletes", ())),
    )


@contextmanager
def _failures() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as exc:
        raise StageFailed() from exc
