"""One contender of ``store``: ``python -m tests.benchmarks.store_work ours|floor CASE SIZE``.

The clock starts when the engine has answered once; tables are made before that.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.conf import settings

from connectors.types import Limits
from tests.benchmarks.contender import peak_rss_mb

SCHEMA = pa.schema([("id", pa.int64()), ("half", pa.float64()), ("text", pa.string())])
COLUMNS = "(id Int64, half Float64, text String)"
BATCH = 65_536
Work = Callable[[], tuple[int, int | None]]


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, BATCH):
        ids = np.arange(start, min(start + BATCH, rows))
        columns = [pa.array(ids), pa.array(ids / 2), pa.array(ids.astype("U")).cast(pa.string())]
        yield pa.record_batch(columns, schema=SCHEMA)


def ours(case: str, size: int, folder: Path) -> tuple[Work, Callable[[], dict[str, int]]]:
    settings.configure(STORE_PATH=str(folder / "engine"))
    from tests.store.running import engine_pid, reset_peak, rss_mb
    from warehouse.store import client

    owner = client.owner()
    owner.command(f"CREATE OR REPLACE TABLE default.bench {COLUMNS} ENGINE = MergeTree ORDER BY id")

    def insert() -> tuple[int, None]:
        return owner.insert("default", "bench", SCHEMA, batches(size)), None

    def select_rows() -> tuple[int, int]:
        limits = Limits(max_rows=size, timeout_s=600)
        sizes = [(b.num_rows, b.nbytes) for b in owner.query("SELECT * FROM bench", limits=limits)]
        return sum(rows for rows, _ in sizes), sum(nbytes for _, nbytes in sizes)

    def select_1() -> tuple[int, None]:
        for _ in range(size):
            owner.query("SELECT 1").read_all()
        return size, None

    if case == "select_rows":
        insert()
    engine = engine_pid(folder / "engine")
    reset_peak(engine)
    works: dict[str, Work] = {"insert": insert, "select_rows": select_rows, "select_1": select_1}
    return works[case], lambda: {"engine_peak_rss_mb": rss_mb(engine)}


def floor(case: str, size: int, folder: Path) -> tuple[Work, Callable[[], dict[str, int]]]:
    from chdb.session import Session

    session: Any = Session(str(folder / "floor"))
    session.query("DROP TABLE IF EXISTS default.bench SYNC")
    session.query(
        f"CREATE TABLE default.bench {COLUMNS} ENGINE = MergeTree ORDER BY id "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )

    def insert() -> tuple[int, None]:
        sink = io.BytesIO()
        with session.send_insert("INSERT INTO default.bench", "ArrowStream") as into:
            with pa.ipc.new_stream(sink, SCHEMA) as writer:
                for batch in batches(size):
                    writer.write_batch(batch)
                    into.append(sink.getvalue())
                    sink.seek(0)
                    sink.truncate()
            into.append(sink.getvalue())
            return into.finish().rows_written, None

    def select_rows() -> tuple[int, int]:
        stream = session.send_query("SELECT * FROM default.bench", "Arrow").record_batch(BATCH)
        sizes = [(batch.num_rows, batch.nbytes) for batch in stream]
        return sum(rows for rows, _ in sizes), sum(nbytes for _, nbytes in sizes)

    def select_1() -> tuple[int, None]:
        for _ in range(size):
            session.query("SELECT 1", "Arrow").bytes()
        return size, None

    if case == "select_rows":
        insert()
    works: dict[str, Work] = {"insert": insert, "select_rows": select_rows, "select_1": select_1}
    return works[case], dict


def main(who: str, case: str, size: str) -> None:
    make = {"ours": ours, "floor": floor}[who]
    work, extra = make(case, int(size), Path(os.environ["BENCH_STORE"]))
    started = time.perf_counter()
    rows, nbytes = work()
    figures = {"seconds": time.perf_counter() - started, "peak_rss_mb": peak_rss_mb()}
    print(json.dumps({**figures, "rows": rows, "bytes": nbytes, **extra()}))
    sys.stdout.flush()
    # What is left of an engine in this process need not be taken apart.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
