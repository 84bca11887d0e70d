"""Loads versions of one table of a team's store that can be told apart."""

import uuid
from typing import Any, ClassVar

import pyarrow as pa

from connectors.types import LoadMode, LoadTarget, Manifest
from etl.stage import Stage
from warehouse.store.load.loader import StoreLoad

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("v", pa.int64())])


class Swapper:
    """Called with a number, it puts so many rows and 1,000 in place, each with that number."""

    TABLE: ClassVar = "swapped"

    def __init__(self, team_id: Any) -> None:
        self._stage, self._load = Stage(str(team_id)), StoreLoad(team_id)

    def __call__(self, version: int) -> None:
        rows = 1000 + version
        ids = pa.array(range(rows), pa.int64())
        versions = pa.array([version] * rows, pa.int64())
        batch = pa.RecordBatch.from_arrays([ids, versions], schema=SCHEMA)
        name = uuid.uuid4().hex
        files = self._stage.write(name, SCHEMA, iter([batch]), lambda *_: None)
        target = LoadTarget("", self.TABLE, stage="", fence=version + 1, mode=LoadMode.SWAP)
        self._load.load(Manifest(name, name, files, SCHEMA, ("id",)), target, self._stage)
