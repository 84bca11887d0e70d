"""The S3 stage: Parquet parts of one extraction, and the manifest that lists them."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.types import Manifest, StagedFile
from etl import conf
from etl.errors import StageFailed

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PART_BYTES = 128 * 2**20
"""Snowflake loads files of 100–250 MB best. Source: its guide on preparing data files."""
MANIFEST = "manifest.json"

Progress = Callable[[int, int], None]
"""Called with rows and bytes added since the last call."""


class Stage:
    """One bucket. Locations are folders in it; raises StageFailed."""

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config

        if not conf.stage_bucket():
            raise StageFailed("No staging bucket is configured.", hint="Set STAGE_S3_BUCKET.")
        self.bucket = conf.stage_bucket()
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
        with TemporaryDirectory(prefix="stage-") as folder:
            batch = next(batches, None)
            while batch is not None:
                path = Path(folder) / f"part-{len(parts):05}.parquet"
                rows, batch = _write_part(path, schema, batch, batches, progress)
                parts.append(self._upload(path, location, rows))
                progress(0, parts[-1].bytes)
                path.unlink()
        return tuple(parts)

    def _upload(self, path: Path, location: str, rows: int) -> StagedFile:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        key = f"{location}/{path.name}"
        with _failures():
            # Multipart above 8 MB; an upload that fails is aborted and leaves no object.
            self._s3.upload_file(
                str(path), self.bucket, key, ExtraArgs={"Metadata": {"sha256": digest}}
            )
            stored = self._s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        if stored != size:
            raise StageFailed(f"A staged part has {stored:,} bytes where {size:,} were sent.")
        return StagedFile(path.name, rows, size, digest)

    def write_manifest(self, manifest: Manifest) -> None:
        """Store it last: a location with a manifest is complete."""
        with _failures():
            self._s3.put_object(
                Bucket=self.bucket,
                Key=f"{manifest.location}/{MANIFEST}",
                Body=json.dumps(_as_json(manifest), indent=1).encode(),
                ContentType="application/json",
            )

    def read_manifest(self, location: str) -> Manifest:
        """The manifest of a complete location."""
        with _failures():
            answer = self._s3.get_object(Bucket=self.bucket, Key=f"{location}/{MANIFEST}")
            return _from_json(json.loads(answer["Body"].read()))

    def remove_all_but(self, prefix: str, keep: str) -> int:
        """Remove what lies under ``prefix`` outside of ``keep``; the number of objects removed."""
        removed = 0
        with _failures():
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{prefix}/"
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    if not found["Key"].startswith(f"{keep}/"):
                        self._s3.delete_object(Bucket=self.bucket, Key=found["Key"])
                        removed += 1
        return removed


def _write_part(
    path: Path,
    schema: pa.Schema,
    batch: pa.RecordBatch,
    batches: Iterator[pa.RecordBatch],
    progress: Progress,
) -> tuple[int, pa.RecordBatch | None]:
    """Fill one part up to PART_BYTES; its rows, and the first batch of the next part."""
    rows = 0
    following: pa.RecordBatch | None = batch
    with (
        path.open("wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
    ):
        while following is not None and file.tell() < PART_BYTES:
            writer.write_batch(following)
            rows += following.num_rows
            progress(following.num_rows, 0)
            following = next(batches, None)
    return rows, following


def _as_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "load_id": manifest.load_id,
        "location": manifest.location,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "primary_key": list(manifest.primary_key),
        "columns": {field.name: str(field.type) for field in manifest.schema},
        "files": [vars(file) for file in manifest.files],
        "arrow_schema": base64.b64encode(manifest.schema.serialize().to_pybytes()).decode(),
    }


def _from_json(data: dict[str, Any]) -> Manifest:
    return Manifest(
        load_id=data["load_id"],
        location=data["location"],
        files=tuple(StagedFile(**file) for file in data["files"]),
        schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(data["arrow_schema"]))),
        primary_key=tuple(data["primary_key"]),
    )


@contextmanager
def _failures() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as exc:
        raise StageFailed() from exc
