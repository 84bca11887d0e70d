"""The store's engine over HTTP, beside chdb in the process that asks.

Cases: ``select_1`` (a round trip: SELECT 1 again and again), ``insert`` and ``select_rows`` (rows
of three columns, streamed). The floor has no HTTP between, and no other process; its insert goes
through the same Arrow stream. ``engine_peak_rss_mb`` is, by case, the most that the engine's
process had.

``sync`` is a load of Parquet staged on S3, 10,000,000 rows of the same columns, beside chdb's own
INSERT FROM s3() (the floor) and a bare client's ``insert_arrow``.

``hybrid_hit`` and ``hybrid_hit_10k`` read 100 and 10,000 rows again and again: a kept answer, the
direct query, the warehouse's bare client (the floor), and a bare client of the store that has the
rows as a table. ``latency_ms`` has the median and the 99th percentile of each.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.supervisor import Sandbox
from tests.benchmarks import hybrid_work
from tests.benchmarks.harness import FLOOR, ROOT, Bench, Case, Contender
from warehouse.store.engine.home import LOOPBACK, Home
from warehouse.store.ping import answers

QUERIES, QUICK_QUERIES = 2000, 200
ROWS, QUICK_ROWS = 5_000_000, 500_000
SYNCED, QUICK_SYNCED = 10_000_000, 1_000_000
ROUNDS, QUICK_ROUNDS = 3, 1
MEMORY_MB = 4096
HITS = {"hybrid_hit": 100, "hybrid_hit_10k": 10_000}
TIMES, QUICK_TIMES = 1000, 200
CASES = ("select_1", "insert", "select_rows", "sync", *HITS)
START_TIMEOUT_S = 30

_KEEP = """
import signal, sys
from pathlib import Path
from warehouse.store.engine.keeper import Keeper
keeper = Keeper(Path(sys.argv[1]), int(sys.argv[2]), print)
signal.signal(signal.SIGTERM, lambda *_: keeper.end())
keeper.keep()
"""


class Engine:
    """An engine in a folder of its own, as `manage.py engine` keeps one."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)

    def __enter__(self) -> "Engine":
        self._keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEP, str(self.home.path), str(MEMORY_MB)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not ((at := self.home.endpoint()) and answers(LOOPBACK, at.port)):
            if self._keeper.poll() is not None:
                raise RuntimeError("The engine does not start.")
        return self

    def __exit__(self, *exc: object) -> None:
        self._keeper.terminate()
        self._keeper.wait(START_TIMEOUT_S)


def cases(names: list[str], size: dict[str, int]) -> list[Case]:
    module = ("-m", "tests.benchmarks.store_work")
    return [
        Case(
            name,
            tuple(Contender(who, (*module, who, name, str(size[name]))) for who in ("ours", FLOOR)),
        )
        for name in names
    ]


def sync(rows: int) -> Case:
    module = ("-m", "tests.benchmarks.sync_work")
    who = ("ours", FLOOR, "clickhouse-connect")
    return Case("sync", tuple(Contender(one, (*module, one, str(rows))) for one in who))


def hits(names: list[str], times: int) -> list[Case]:
    module = ("-m", "tests.benchmarks.hybrid_work")
    return [
        Case(
            name,
            tuple(
                Contender(who, (*module, who, str(HITS[name]), str(times)))
                for who in ("ours", "direct", FLOOR, "store")
            ),
        )
        for name in names
    ]


@contextmanager
def sandbox(bench: Bench, *services: str) -> Iterator[Sandbox]:
    """What a case needs beside the store, in a sandbox of its own."""
    home = Path(os.environ.setdefault("SANDBOX_HOME", str(ROOT / ".sandbox-bench")))
    with Sandbox(home, services, lambda line: bench.console.print(line, markup=False)) as box:
        yield box


@contextmanager
def warehouse(bench: Bench) -> Iterator[None]:
    """A service with a hybrid connection."""
    with sandbox(bench, "postgres", "redis") as box:
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, check=True)
        hybrid_work.prepare(box.endpoints)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help="one of them only")
    parser.add_argument("--json", help="where to write the report")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    given = parser.parse_args()
    bench = Bench("store")
    rows, queries = (QUICK_ROWS, QUICK_QUERIES) if given.quick else (ROWS, QUERIES)
    size = {"select_1": queries, "insert": rows, "select_rows": rows}
    if given.quick:
        bench.console.print(f"Quick: {rows:,} rows instead of {ROWS:,}, one round.")
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        os.environ["BENCH_STORE"] = folder
        with Engine(Path(folder) / "engine"):
            rounds = QUICK_ROUNDS if given.quick else ROUNDS
            wanted = [given.case] if given.case else [*CASES]
            bench.run(cases([name for name in wanted if name in size], size), rounds)
            synced = QUICK_SYNCED if given.quick else SYNCED
            if "sync" in wanted:
                with sandbox(bench, "s3"):
                    bench.run([sync(synced)], rounds)
            if kept := [name for name in wanted if name in HITS]:
                os.environ["STORE_PATH"] = str(Path(folder) / "engine")
                with warehouse(bench):
                    bench.run(hits(kept, QUICK_TIMES if given.quick else TIMES), rounds)
    peaks = {
        outcome.case: max(run["engine_peak_rss_mb"] for run in outcome.runs)
        for outcome in bench.outcomes
        if outcome.who == "ours" and outcome.runs and outcome.case in size
    }
    latency = {
        f"{outcome.case}, {outcome.who}": {
            name: round(statistics.median(run[f"{name}_ms"] for run in outcome.runs), 2)
            for name in ("p50", "p99")
        }
        for outcome in bench.outcomes
        if outcome.runs and outcome.case in HITS
    }
    bench.extra = {
        "engine_memory_mb": MEMORY_MB,
        "engine_peak_rss_mb": peaks,
        "latency_ms": latency,
    }
    bench.show()
    bench.console.print(f"Most memory of the engine's process, in MB: {peaks}", markup=False)
    for who, found in latency.items():
        bench.console.print(f"{who}, in ms: {found}", markup=False)
    bench.write(given.json)


if __name__ == "__main__":
    main()
