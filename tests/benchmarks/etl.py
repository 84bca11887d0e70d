"""Postgres → Parquet → S3 → Snowflake, ours against its peers, and against the bare COPY.

The cases: ``extract`` (to Parquet on disk), ``stage`` (to the bucket), ``whole`` (to Snowflake),
``memory`` (extract, at several sizes), ``workers`` (a run of a pipeline, by 1, 2 and 4 sessions),
``separation`` (the 99th percentile of the sample application's Retrieve: alone, which is the floor,
and while a run reads the source, by ``max_source_mb_s``). Times of the first three are of whole
processes; ``ours-warm`` is the second table of one. Their floor is COPY (FORMAT BINARY) to
/dev/null by psql, on one connection like all.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from sandbox.control import status
from sandbox.files import read_json
from sandbox.supervisor import Sandbox
from tests.benchmarks import etl_apart, etl_exact, etl_ours
from tests.benchmarks.etl_tables import HARD, Source
from tests.benchmarks.harness import FLOOR, ROOT, Bench, Case, Contender

OURS = ("ours", "ours-warm")
PEERS = (
    *("duckdb", "connectorx", "adbc", "dlt-connectorx", "dlt-pyarrow"),
    *("sling", "ingestr"),
)
SLOW = tuple(who for who in PEERS if who.startswith("dlt"))
"""Not in a quick run."""
PEERS_HOME = ROOT / ".venv-peers"
CASES = ("extract", "stage", "whole", "memory", "workers", "separation")
SCALE, QUICK_SCALE = 1.0, 0.05
SIZES, QUICK_SIZES = (0.1, 1.0, 5.0), (0.01, 0.05)
ROUNDS, QUICK_ROUNDS = 3, 1
WORKERS = (1, 2, 4)
MB_S, QUICK_MB_S = (2, 5), (2,)
"""At these rates a table outlasts the calls that are made meanwhile."""
CALLING_S, QUICK_CALLING_S = 15, 4
QUICK_TYPES = 6
HARD_TIMEOUT_S = 180
TABLES = ("lineitem", "orders")


class Move:
    """Who moves what, as commands; each writes into a folder of its own."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def contender(self, who: str, case: str, table: str, notes: dict[str, Any]) -> Contender:
        python, *arguments = self._command(who, case, self._folder / case / who, table)
        whole = who not in (FLOOR, "ours-warm")
        return Contender(who, tuple(arguments), python, whole, notes)

    def exactness(self, who: str, tables: dict[str, str]) -> dict[str, str]:
        """What becomes of hard values by its hands, found out by trying; tables by type."""
        folder = self._folder / "hard" / who
        command = self._command(who, "extract", folder, *tables.values())
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=HARD_TIMEOUT_S,
                check=True,
            )
        except (subprocess.SubprocessError, FileNotFoundError):
            return dict.fromkeys(tables, etl_exact.REFUSED)
        errors = json.loads(done.stdout.splitlines()[-1])
        return etl_exact.outcomes(errors, tables, folder, self._source.texts)

    def _command(self, who: str, case: str, folder: Path, *tables: str) -> list[str]:
        if who in PEERS:
            script = ROOT / "tests" / "benchmarks" / "etl_peers.py"
            python = PEERS_HOME / "bin" / "python"
            return [*map(str, (python, script)), who, self._source.dsn, str(folder), *tables]
        module = ("-m", "tests.benchmarks.etl_ours")
        return [sys.executable, *module, who, case, str(folder), *tables]


@contextmanager
def sandbox(bench: Bench) -> Iterator[dict[str, Any]]:
    """The stand-ins: those of SANDBOX_HOME if they run, else our own, which keep their tables."""
    home = Path(os.environ.setdefault("SANDBOX_HOME", str(ROOT / ".sandbox-bench")))
    if status(home):
        yield read_json(home / "endpoints.json")
        return
    services = ("postgres", "redis", "s3", "snowflake")
    with Sandbox(home, services, lambda line: bench.console.print(line, markup=False)) as box:
        yield read_json(box.endpoints_path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help="one case only")
    parser.add_argument("--json", help="where to write the report")
    parser.add_argument("--quick", action="store_true", help="a small table, one round")
    parser.add_argument("--scale", type=float, help="TPC-H's scale factor")
    given = parser.parse_args()
    bench = Bench("etl")
    scale = given.scale or (QUICK_SCALE if given.quick else SCALE)
    with sandbox(bench) as endpoints, TemporaryDirectory(prefix="bench-etl-") as folder:
        source = Source(endpoints, PEERS_HOME / "bin" / "tpchgen-cli")
        run = Run(bench, source, Move(source, Path(folder)), scale, quick=given.quick)
        etl_ours.make_stage(endpoints, etl_ours.TEAM)
        _migrate()
        for case in [given.case] if given.case else CASES:
            run.case(case)
    show(bench)
    if given.quick:
        bench.console.print(f"Quick: without {', '.join(SLOW)}, which take long.")
    bench.write(given.json)


def show(bench: Bench) -> None:
    """The figures, and below them what becomes of each type."""
    bench.show()
    types: dict[str, dict[str, str]] = bench.extra["types"]
    if types:
        table = Table("type", *types, title="what becomes of hard values", title_justify="left")
        for kind in next(iter(types.values())):
            table.add_row(kind, *(found[kind] for found in types.values()))
        bench.console.print(table)


class Run:
    """The cases, at one scale."""

    def __init__(
        self, bench: Bench, source: Source, move: Move, scale: float, *, quick: bool
    ) -> None:
        self._bench = bench
        self._source = source
        self._move = move
        self._scale = scale
        self._quick = quick
        self._rounds = QUICK_ROUNDS if quick else ROUNDS
        self._types: dict[str, dict[str, str]] = {}
        bench.extra["types"] = self._types
        source.warm_up(source.tpch("lineitem", scale))

    def case(self, name: str) -> None:
        others = {"memory": self._memory, "workers": self._workers, "separation": self._separation}
        if name in others:
            others[name]()
        else:
            peers = [who for who in PEERS if not (self._quick and who in SLOW)]
            self._speed(name, peers if name == "extract" else ())

    def _speed(self, case: str, peers: Sequence[str]) -> None:
        exact = {who: {"exact": self._exact(who)} for who in (OURS[0], *peers)}
        exact[OURS[1]] = exact[OURS[0]]
        cases = []
        for name in TABLES:
            table = self._source.tpch(name, self._scale)
            contenders = [
                self._move.contender(who, case, table, exact.get(who, {}))
                for who in (FLOOR, *OURS, *peers)
            ]
            cases.append(Case(f"{case} {name}", tuple(contenders)))
        self._bench.run(cases, self._rounds, timeout_s=60 + 120 * self._scale)

    def _exact(self, who: str) -> str:
        found = self._types.get(who)
        if found is None:
            kinds = QUICK_TYPES if self._quick else len(HARD)
            found = self._types[who] = self._move.exactness(who, self._source.hard(kinds))
        return etl_exact.verdict(found)

    def _memory(self) -> None:
        cases = []
        for scale in sorted({self._scale, *(QUICK_SIZES if self._quick else SIZES)}):
            table = self._source.tpch("lineitem", scale)
            contenders = [
                self._move.contender(who, "extract", table, {}) for who in (FLOOR, "ours")
            ]
            cases.append(Case(f"memory at {scale:g}", tuple(contenders)))
        self._bench.run(cases, 1, timeout_s=600)

    def _workers(self) -> None:
        table = self._source.tpch("lineitem", self._scale)
        contenders = [
            Contender(f"ours, {count}", ("-m", "tests.benchmarks.etl_run", table, str(count)))
            for count in WORKERS
        ]
        self._bench.run([Case("workers", tuple(contenders))], self._rounds, timeout_s=600)

    def _separation(self) -> None:
        table = self._source.tpch("lineitem", self._scale)
        seconds = str(QUICK_CALLING_S if self._quick else CALLING_S)
        module = ("-m", "tests.benchmarks.etl_apart")
        contenders = [Contender(FLOOR, (*module, etl_apart.ALONE, table, seconds))]
        contenders += [
            Contender(f"ours, {rate} MB/s", (*module, str(rate), table, seconds))
            for rate in (QUICK_MB_S if self._quick else MB_S)
        ]
        self._bench.run([Case("separation", tuple(contenders))], self._rounds, timeout_s=120)


def _migrate() -> None:
    """The service's own database, for what its runner keeps there."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
