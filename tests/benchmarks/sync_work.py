"""Staged Parquet into the store: ``sync_work WHO SYNC ROWS``, WHO: ours, floor, clickhouse-connect.

Ours is the whole load of a manifest: checksums, counts, built aside, put in place. The floor is
chdb's own ``INSERT … SELECT FROM file(…)`` in the process that asks; the peer reads the files by
pyarrow and sends the rows by ``insert_arrow`` to the same engine as ours.
"""

import hashlib
import io
import os
import sys
import time
import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from connectors.types import LoadMode, LoadTarget, Manifest, StagedFile
from tests.benchmarks.contender import tell
from tests.benchmarks.store_work import COLUMNS, SCHEMA, batches

FILE_BATCHES = 64
"""Of BATCH rows: about four million in a file."""
READ_ROWS = 500_000
TEAM = uuid.UUID(int=1)


class Folder:
    """Staged files on this disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def url(self, location: str, name: str) -> str:
        return (self._path / location / name).as_uri()

    def open(self, location: str, name: str) -> BinaryIO:
        return io.BufferedReader(io.FileIO(self._path / location / name))

    def put(self, location: str, name: str, body: bytes) -> None:
        (self._path / location / name).write_bytes(body)


def staged(folder: Path, rows: int) -> list[Path]:
    """The files, made by whoever comes first."""
    found = folder / f"staged-{rows}"
    if not found.exists():
        making, left = folder / f"making-{rows}", batches(rows)
        making.mkdir()
        while part := list(islice(left, FILE_BATCHES)):
            name = f"part-{len(list(making.iterdir())):05}.parquet"
            pq.write_table(pa.Table.from_batches(part), making / name, compression="zstd")
        making.rename(found)
    return sorted(found.iterdir())


def ours(files: list[Path], folder: Path) -> Callable[[], int]:
    settings.configure(STORE_PATH=str(folder / "engine"))
    from warehouse.store.load.loader import StoreLoad

    def described(path: Path) -> StagedFile:
        body = path.read_bytes()
        count = pq.read_metadata(path).num_rows
        return StagedFile(path.name, count, len(body), hashlib.sha256(body).hexdigest())

    parts = tuple(map(described, files))
    manifest = Manifest(uuid.uuid4().hex, files[0].parent.name, parts, SCHEMA, ("id",))
    target = LoadTarget("", "bench_sync", "", time.time_ns(), LoadMode.SWAP)
    loader = StoreLoad(TEAM)
    return lambda: loader.load(manifest, target, Folder(folder)).rows_in_target


def peer(files: list[Path], folder: Path) -> Callable[[], int]:
    settings.configure(STORE_PATH=str(folder / "engine"))
    from warehouse.store import client

    bare: Any = client.owner()._client()
    bare.command(f"CREATE OR REPLACE TABLE default.peer {COLUMNS} ENGINE = MergeTree ORDER BY id")

    def work() -> int:
        for path in files:
            for batch in pq.ParquetFile(path).iter_batches(READ_ROWS):
                bare.insert_arrow("default.peer", pa.Table.from_batches([batch]))
        return int(bare.command("SELECT count() FROM default.peer"))

    return work


def floor(files: list[Path], folder: Path) -> Callable[[], int]:
    from chdb.session import Session

    session: Any = Session(str(folder / "floor"))
    session.query("DROP TABLE IF EXISTS default.sync SYNC")
    session.query(
        f"CREATE TABLE default.sync {COLUMNS} ENGINE = MergeTree ORDER BY id "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )

    def work() -> int:
        source = f"file('{files[0].parent}/*.parquet', Parquet)"
        session.query(f"INSERT INTO default.sync SELECT * FROM {source}")
        return int(str(session.query("SELECT count() FROM default.sync", "CSV")))

    return work


def main(who: str, _case: str, size: str) -> None:
    folder, rows = Path(os.environ["BENCH_STORE"]), int(size)
    made = {"ours": ours, "floor": floor, "clickhouse-connect": peer}[who]
    files = staged(folder, rows)
    work = made(files, folder)
    started = time.perf_counter()
    found = work()
    if found != rows:
        raise RuntimeError(f"{found} rows where {rows} were sent.")
    tell(time.perf_counter() - started, rows, sum(path.stat().st_size for path in files))
    sys.stdout.flush()
    # What is left of an engine in this process need not be taken apart.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
