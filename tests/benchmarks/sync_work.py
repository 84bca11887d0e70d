"""Staged Parquet on S3 into the store: ``sync_work WHO ROWS``, WHO: ours, floor,
clickhouse-connect.

Ours is the whole load of a manifest: checksums, counts, built aside, put in place. The floor is
chdb's own ``INSERT … SELECT FROM s3(…)`` in the process that asks; the peer reads the files by
pyarrow and sends the rows by ``insert_arrow`` to the same engine as ours.
"""

import io
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from connectors.types import LoadMode, LoadTarget, Manifest
from etl.stage import Stage
from sandbox.files import read_json
from tests.benchmarks.contender import tell
from tests.benchmarks.store_work import COLUMNS, SCHEMA, batches

READ_ROWS = 500_000
TEAM = uuid.UUID(int=1)


def configure(folder: Path) -> None:
    """Settings for the engine and the sandbox's stage."""
    s3: dict[str, str] = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")["s3"]
    settings.configure(
        STORE_PATH=str(folder / "engine"),
        STAGE_S3_ENDPOINT=s3["endpoint"],
        STAGE_S3_REGION=s3["region"],
        STAGE_S3_ACCESS_KEY=s3["access_key"],
        STAGE_S3_SECRET_KEY=s3["secret_key"],
        STAGE_S3_BUCKET=s3["bucket"],
    )


def staged(stage: Stage, folder: Path, rows: int) -> Manifest:
    """What a pipeline would have staged, by whoever comes first."""
    location, is_there = f"staged-{rows}", folder / f"staged-{rows}"
    if not is_there.exists():
        files = stage.write(location, SCHEMA, batches(rows), lambda *_: None)
        stage.write_manifest(Manifest(uuid.uuid4().hex, location, files, SCHEMA, ("id",)))
        is_there.touch()
    return stage.read_manifest(location)


def ours(manifest: Manifest, stage: Stage, _folder: Path) -> Callable[[], int]:
    from warehouse.store.load.loader import StoreLoad

    # A load that the store knows already would cost nothing.
    new = replace(manifest, load_id=uuid.uuid4().hex)
    target = LoadTarget("", "bench_sync", "", time.time_ns(), LoadMode.SWAP)
    return lambda: StoreLoad(TEAM).load(new, target, stage).rows_in_target


def peer(manifest: Manifest, stage: Stage, _folder: Path) -> Callable[[], int]:
    from warehouse.store import client

    bare: Any = client.owner()._client()
    bare.command(f"CREATE OR REPLACE TABLE default.peer {COLUMNS} ENGINE = MergeTree ORDER BY id")

    def work() -> int:
        for file in manifest.files:
            with stage.open(manifest.location, file.name) as source:
                found = pq.ParquetFile(io.BytesIO(source.read()))
            for batch in found.iter_batches(READ_ROWS):
                bare.insert_arrow("default.peer", pa.Table.from_batches([batch]))
        return int(bare.command("SELECT count() FROM default.peer"))

    return work


def floor(manifest: Manifest, stage: Stage, folder: Path) -> Callable[[], int]:
    from chdb.session import Session

    session: Any = Session(str(folder / "floor"))
    session.query("DROP TABLE IF EXISTS default.sync SYNC")
    session.query(
        f"CREATE TABLE default.sync {COLUMNS} ENGINE = MergeTree ORDER BY id "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    root = f"{settings.STAGE_S3_ENDPOINT}/{stage.bucket}/{TEAM}/{manifest.location}"
    keys = f"'{settings.STAGE_S3_ACCESS_KEY}', '{settings.STAGE_S3_SECRET_KEY}'"

    def work() -> int:
        source = f"s3('{root}/*.parquet', {keys}, 'Parquet')"
        session.query(f"INSERT INTO default.sync SELECT * FROM {source}")
        return int(str(session.query("SELECT count() FROM default.sync", "CSV")))

    return work


def main(who: str, size: str) -> None:
    folder, rows = Path(os.environ["BENCH_STORE"]), int(size)
    made = {"ours": ours, "floor": floor, "clickhouse-connect": peer}[who]
    configure(folder)
    stage = Stage(str(TEAM))
    manifest = staged(stage, folder, rows)
    work = made(manifest, stage, folder)
    started = time.perf_counter()
    found = work()
    if found != rows:
        raise RuntimeError(f"{found} rows where {rows} were sent.")
    tell(time.perf_counter() - started, rows, manifest.bytes)
    sys.stdout.flush()
    # What is left of an engine in this process need not be taken apart.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
