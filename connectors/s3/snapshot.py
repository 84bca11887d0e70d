"""What a table of a bucket is: a snapshot names its files, columns and loads.

A table's folder has ``_snapshots/<version>.json`` and ``data/<load>-<fence>/<number>.parquet``. A
snapshot is made once and never changed, so of two loads that would follow the same one, one is
refused by S3 and looks again. The newest is the table.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from connectors import ledger
from connectors.ledger import Load, Loads
from connectors.types import LoadMode, LoadTarget, Manifest

SNAPSHOTS, DATA = "_snapshots/", "data/"
VERSION = re.compile(r"(\d{12})\.json")
ATTEMPT = re.compile(r"[^/]+-(\d+)/\d{5,}\.parquet")


@dataclass(frozen=True)
class DataFile:
    """A Parquet object, by its key in the table's folder."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Snapshot:
    """One version of a table; version 0 is the table before its first load."""

    version: int = 0
    schema: pa.Schema = ledger.NO_COLUMNS
    files: tuple[DataFile, ...] = ()
    loads: Loads = ledger.NO_LOADS

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def followed_by(
        self, manifest: Manifest, target: LoadTarget, schema: pa.Schema, files: list[DataFile]
    ) -> "Snapshot":
        """The table after a load of these files."""
        there = self.files if target.mode is LoadMode.APPEND else ()
        load = Load(manifest.load_id, target.fence, manifest.rows, len(files))
        return Snapshot(self.version + 1, schema, (*there, *files), self.loads.followed_by(load))

    def dump(self) -> bytes:
        """As it is stored: what a reader needs, in JSON."""
        found = {
            "version": self.version,
            "rows": self.rows,
            "columns": {field.name: str(field.type) for field in self.schema},
            "files": [vars(file) for file in self.files],
            "loads": [vars(load) for load in self.loads],
            "arrow_schema": ledger.dumped(self.schema),
        }
        return json.dumps(found, indent=1).encode()

    @classmethod
    def load(cls, text: bytes) -> "Snapshot":
        found: dict[str, Any] = json.loads(text)
        schema = ledger.loaded(found["arrow_schema"])
        files = tuple(DataFile(**file) for file in found["files"])
        loads = Loads(Load(**one) for one in found["loads"])
        return cls(found["version"], schema, files, loads)


@dataclass(frozen=True)
class Folder:
    """Where a table's objects are; any name of a table makes one folder."""

    schema: str
    table: str

    def key(self, name: str = "") -> str:
        return f"{_part(self.schema)}/{_part(self.table)}/{name}"

    def snapshot(self, version: int) -> str:
        return self.key(f"{SNAPSHOTS}{version:012}.json")

    def version(self, key: str) -> int | None:
        """Of the snapshot that has this key; ``None`` for what is not ours."""
        found = VERSION.fullmatch(key.removeprefix(self.key(SNAPSHOTS)))
        return int(found[1]) if found else None

    def fence(self, key: str) -> int | None:
        """Of the load that has put a data file there; ``None`` for what is not ours."""
        found = ATTEMPT.fullmatch(key.removeprefix(self.key(DATA)))
        return int(found[1]) if found else None


def data_folder(manifest: Manifest, target: LoadTarget) -> str:
    """Of one attempt alone: what a worker that was given up for dead still sends, nobody reads."""
    return f"{DATA}{manifest.load_id}-{target.fence}/"


def _part(name: str) -> str:
    """A name as one part of a key; two names never make the same."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
