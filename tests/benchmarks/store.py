"""The store's engine over HTTP, beside chdb in the process that asks.

Cases: ``select_1`` (a round trip: SELECT 1 again and again), ``insert`` and ``select_rows`` (rows
of three columns, streamed). The floor has no HTTP between, and no other process; its insert goes
through the same Arrow stream. ``engine_peak_rss_mb`` is, by case, the most that the engine's
process had.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.harness import FLOOR, ROOT, Bench, Case, Contender
from warehouse.store.engine.home import LOOPBACK, Home
from warehouse.store.ping import answers

QUERIES, QUICK_QUERIES = 2000, 200
ROWS, QUICK_ROWS = 5_000_000, 500_000
ROUNDS, QUICK_ROUNDS = 3, 1
MEMORY_MB = 4096
CASES = ("select_1", "insert", "select_rows")
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
            bench.run(cases([given.case] if given.case else [*CASES], size), rounds)
    peaks = {
        outcome.case: max(run["engine_peak_rss_mb"] for run in outcome.runs)
        for outcome in bench.outcomes
        if outcome.who == "ours" and outcome.runs
    }
    bench.extra = {"engine_memory_mb": MEMORY_MB, "engine_peak_rss_mb": peaks}
    bench.show()
    bench.console.print(f"Most memory of the engine's process, in MB: {peaks}", markup=False)
    bench.write(given.json)


if __name__ == "__main__":
    main()
