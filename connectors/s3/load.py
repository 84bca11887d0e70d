"""Loads a manifest into a folder of a bucket, once: the files first, then one snapshot of them.

A reader who follows the newest snapshot sees all of a load or nothing. What the load before has
replaced is removed after this one, so whoever is reading has from one load to the next.
"""

from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa

from connectors.abilities import StagedFiles
from connectors.drift import Kind, LoadPlan, decide
from connectors.errors import SchemaChanged, Unsupported, WarehouseBusy
from connectors.ledger import with_columns
from connectors.s3.bucket import Bucket
from connectors.s3.columns import alteration, differences
from connectors.s3.snapshot import (
    DATA,
    SNAPSHOTS,
    DataFile,
    Folder,
    Snapshot,
    data_folder,
)
from connectors.types import LoadMode, LoadOutcome, LoadTarget, Manifest

MODES = frozenset({LoadMode.APPEND, LoadMode.SWAP})
TRIES = 5
"""How often a load looks again when another snapshot has come before its own."""


class Loader:
    """One session's loads; the promises are those of ``BulkLoad``."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def load(self, manifest: Manifest, target: LoadTarget, files: StagedFiles) -> LoadOutcome:
        if target.mode not in MODES or manifest.deletes:
            raise Unsupported("Files in a bucket cannot be merged, nor rows of them deleted.")
        folder, sent = Folder(target.schema, target.table), list[DataFile]()
        for _ in range(TRIES):
            now = self._newest(folder)
            if now.loads.include(manifest.load_id):
                return LoadOutcome(now.rows, already_loaded=True)
            now.loads.refuse_older(target.fence)
            schema = self._columns(now, manifest.schema, target)
            sent = sent or list(self._send(folder, manifest, target, files))
            following = now.followed_by(manifest, target, schema, sent)
            if self._bucket.put_new(folder.snapshot(following.version), following.dump()):
                self._sweep(folder, now, following, target.fence)
                return LoadOutcome(following.rows)
        raise WarehouseBusy("Other loads into the same table came first.")

    def plan(self, schema: pa.Schema, target: LoadTarget) -> LoadPlan:
        folder = Folder(target.schema, target.table)
        return self._plan(self._newest(folder), schema, target)

    def has_loaded(self, target: LoadTarget) -> bool:
        return self._newest(Folder(target.schema, target.table)).version > 0

    def _newest(self, folder: Folder) -> Snapshot:
        newest = max(self._versions(folder), default=None)
        if newest is None:
            return Snapshot()
        return Snapshot.load(self._bucket.read(folder.snapshot(newest)))

    def _plan(self, now: Snapshot, schema: pa.Schema, target: LoadTarget) -> LoadPlan:
        if not now.version:
            place = self._bucket.url(Folder(target.schema, target.table).key())
            return LoadPlan(creates=f"-- the folder {place}")
        return LoadPlan(
            changes=decide(differences(schema, now.schema), target.contract, alteration)
        )

    def _columns(self, now: Snapshot, schema: pa.Schema, target: LoadTarget) -> pa.Schema:
        """The table's columns after the load, as the contract allows."""
        plan = self._plan(now, schema, target)
        if plan.stops:
            raise SchemaChanged(fields=plan.stops)
        kept = {c.difference.column for c in plan.changes if c.difference.kind is Kind.NARROWED}
        return with_columns(now.schema, schema, plan.left_out | kept)

    def _send(
        self, folder: Folder, manifest: Manifest, target: LoadTarget, files: StagedFiles
    ) -> Iterator[DataFile]:
        place = data_folder(manifest, target)
        for number, file in enumerate(manifest.files):
            key = f"{place}{number:05}.parquet"
            with closing(files.open(manifest.location, file.name)) as source:
                self._bucket.copy(source, file, folder.key(key))
            yield DataFile(key, file.rows, file.bytes, file.sha256)

    def _sweep(self, folder: Folder, before: Snapshot, now: Snapshot, fence: int) -> None:
        """Remove what only older snapshots have, and what loads that were cut off have left.

        Of a load of a greater fence nothing: it may be on its way. Should it fail, the next
        load's will do.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        kept = {folder.key(file.key) for file in (*before.files, *now.files)}
        data = folder.key(DATA)

        def is_older(key: str) -> bool:
            found = folder.fence(key)
            return found is not None and found < fence

        try:
            for key in filter(is_older, list(self._bucket.keys(data))):
                if key not in kept:
                    self._bucket.remove(key)
            for key, upload in list(self._bucket.unfinished(data)):
                if is_older(key):
                    self._bucket.abort(key, upload)
            for version in self._versions(folder):
                if version < before.version:
                    self._bucket.remove(folder.snapshot(version))
        except (BotoCoreError, ClientError):
            return

    def _versions(self, folder: Folder) -> list[int]:
        found = map(folder.version, self._bucket.keys(folder.key(SNAPSHOTS)))
        return [version for version in found if version is not None]
