"""Every destination in turn, with files that the pipelines' own stage has put into the bucket."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from connectors import NetworkPolicy
from connectors.types import Manifest, StagedFile
from etl.stage import Stage
from tests.destinations.end import End, Row
from tests.destinations.ends import ENDS, Store

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("word", pa.string())])


class Staged:
    """Makes manifests of rows."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(
        self, *parts: Sequence[Row], schema: pa.Schema = SCHEMA, key: tuple[str, ...] = ("id",)
    ) -> Manifest:
        """Of one file for each list of rows."""
        folder, load_id = uuid.uuid4().hex, uuid.uuid4().hex
        files = [self._file(folder, f"part-{n}", rows, schema) for n, rows in enumerate(parts)]
        return Manifest(load_id, folder, tuple(files), schema, key)

    def changes(
        self,
        *parts: tuple[int, Sequence[Row], Sequence[Row]],
        schema: pa.Schema = SCHEMA,
        key: tuple[str, ...] = ("id",),
    ) -> Manifest:
        """Of parts that are each an order, its rows, and the keys that it deletes."""
        folder, load_id = uuid.uuid4().hex, uuid.uuid4().hex
        keys = pa.schema([schema.field(name) for name in key])
        files, deletes = [], []
        for order, rows, gone in parts:
            if rows:
                files.append(self._file(folder, f"{order}", rows, schema, order))
            if gone:
                deletes.append(self._file(folder, f"{order}-gone", gone, keys, order))
        return Manifest(load_id, folder, tuple(files), schema, key, tuple(deletes))

    def _file(
        self, folder: str, name: str, rows: Sequence[Row], schema: pa.Schema, order: int = 0
    ) -> StagedFile:
        columns = [pa.array([row[n] for row in rows], kind) for n, kind in enumerate(schema.types)]
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        (file,) = self.stage.write(f"{folder}/{name}", schema, iter([batch]), lambda *_: None)
        return StagedFile(f"{name}/{file.name}", file.rows, file.bytes, file.sha256, order)


@pytest.fixture
def root() -> str:
    """The folder of the bucket that a team would have."""
    return uuid.uuid4().hex


@pytest.fixture
def stage(root: str) -> Iterator[Stage]:
    found = Stage(root)
    yield found
    for folder in found._s3.list_objects_v2(Bucket=found.bucket, Prefix=f"{root}/").get(
        "Contents", ()
    ):
        found._s3.delete_object(Bucket=found.bucket, Key=folder["Key"])


@pytest.fixture
def staged(stage: Stage) -> Staged:
    return Staged(stage)


@pytest.fixture(params=ENDS, ids=lambda end: end.provider)
def end(
    request: pytest.FixtureRequest, endpoints: dict[str, Any], network: NetworkPolicy, root: str
) -> Iterator[End]:
    kind: type[End] = request.param
    if kind is Store:
        request.getfixturevalue("own_store")
    made = kind(endpoints, network, root)
    made.make()
    yield made
    made.close()
    made.drop()


@pytest.fixture
def loader(end: End) -> Any:
    return end.connect()
