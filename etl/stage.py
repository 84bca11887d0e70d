"""The S3 stage: Parquet parts of one extraction, and the manifest that lists them."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from connectors.types import Manifest, StagedFile
from etl import conf
from etl.errors import StageFailed
from etl.parquet import Progress, Written, write_parts
from etl.upload import Upload

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

MANIFEST = "manifest.json"
READ_BYTES = 2**20


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
        """Write the batches as Parquet parts, which are sent while the next rows are read.

        Iterates and tells progress in the caller's thread; nothing of the rows is on a disk here.
        A part that is not complete is no object.
        """
        uploads: list[Upload] = []

        def open_part(part: Written, stack: ExitStack) -> Upload:
            key = self._key(location, part.name)
            uploads.append(stack.enter_context(Upload(self._s3, self.bucket, key)))
            return uploads[-1]

        with _failures():
            parts = write_parts(schema, batches, open_part, progress)
        return tuple(
            StagedFile(part.name, part.rows, part.bytes, upload.sha256)
            for part, upload in zip(parts, uploads, strict=True)
        )

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

    def url(self, location: str, name: str) -> str:
        """Where an object of a location is, as ``s3://…``."""
        return f"s3://{self.bucket}/{self._key(location, name)}"

    def open(self, location: str, name: str) -> BinaryIO:
        """An object's bytes, which are read as they come; to be closed."""
        with _failures():
            answer = self._s3.get_object(Bucket=self.bucket, Key=self._key(location, name))
        return io.BufferedReader(_Body(answer["Body"]), READ_BYTES)

    def put(self, location: str, name: str, body: bytes) -> None:
        """Put a small object into a location, which goes with it."""
        with _failures():
            self._s3.put_object(Bucket=self.bucket, Key=self._key(location, name), Body=body)

    def folders(self, location: str) -> set[str]:
        """The folders right under a location, be it of objects that were never completed."""
        root = self._key(location, "")
        with _failures():
            keys = [*self._keys(root), *(key for key, _ in self._unfinished(root))]
        names = {key.removeprefix(root).partition("/") for key in keys}
        return {f"{location}/{name}" for name, slash, _ in names if slash}

    def remove(self, location: str) -> int:
        """Remove everything under a location; the number of objects removed.

        Also what a worker that was killed has sent of an object.
        """
        root, removed = self._key(location, ""), 0
        with _failures():
            for key, upload in self._unfinished(root):
                self._s3.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
            for key in self._keys(root):
                self._s3.delete_object(Bucket=self.bucket, Key=key)
                removed += 1
        return removed

    def _keys(self, root: str) -> Iterator[str]:
        found = self._s3.get_paginator("list_objects_v2")
        for page in found.paginate(Bucket=self.bucket, Prefix=root):
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def _unfinished(self, root: str) -> list[tuple[str, str]]:
        """Key and id of each upload that was neither completed nor aborted."""
        found = self._s3.get_paginator("list_multipart_uploads")
        pages = found.paginate(Bucket=self.bucket, Prefix=root)
        return [(up["Key"], up["UploadId"]) for page in pages for up in page.get("Uploads", ())]

    def _key(self, location: str, name: str) -> str:
        return f"{self._root}/{location}/{name}"


class _Body(io.RawIOBase):
    """An object on its way here. Raises StageFailed."""

    def __init__(self, body: "StreamingBody") -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _failures():
            found = self._body.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._body.close()
        super().close()


def schema_text(schema: pa.Schema) -> str:
    """A schema as it goes into JSON, whole: types, order, metadata."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_of(text: str) -> pa.Schema:
    """The schema that became this text."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


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
        "keys": None if manifest.keys is None else [vars(file) for file in manifest.keys],
        "arrow_schema": schema_text(manifest.schema),
    }


def _from_json(data: dict[str, Any]) -> Manifest:
    # A manifest written before there were deletes, or keys, has none.
    keys = data.get("keys")
    return Manifest(
        load_id=data["load_id"],
        location=data["location"],
        files=tuple(StagedFile(**file) for file in data["files"]),
        schema=schema_of(data["arrow_schema"]),
        primary_key=tuple(data["primary_key"]),
        deletes=tuple(StagedFile(**file) for file in data.get("deletes", ())),
        keys=None if keys is None else tuple(StagedFile(**file) for file in keys),
    )


@contextmanager
def _failures() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as exc:
        raise StageFailed() from exc
