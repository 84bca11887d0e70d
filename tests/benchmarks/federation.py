"""TPC-H's 22 queries with the tables in several systems: bytes that leave them, and time.

lineitem is in BigQuery's stand-in, orders and customer in Snowflake's, part and partsupp in
Postgres, the others in the store. Who: ours; naive (whole tables are brought, as ours is); duckdb
(the tables as Arrow, with columns and conditions chosen by hand); floor (the least bytes of columns
and conditions, and the time of fetching them alone). Each asks a query twice, and the second time
counts: sessions are open then, and the text has been seen. Each process is run once in a round.

``plan`` is a query of five tables, planned, split and printed but not run, again and again;
``plan_new`` the same with another text each time, which the language's own parser has to read.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.table import Table

from sandbox.supervisor import Sandbox
from tests import vendors
from tests.benchmarks.federation_legs import FETCHES
from tests.benchmarks.harness import FLOOR, ROOT, Bench, Figures, Outcome
from tests.benchmarks.store import Engine
from tests.hogql import tpch_tables

SERVICES = ("postgres", "redis", "s3", "snowflake", "bigquery")
MODULES = {"ours": "work", "naive": "work", "duckdb": "peers", FLOOR: "peers"}
LAYOUT = {
    "lineitem": "bigquery",
    "orders": "snowflake",
    "customer": "snowflake",
    "part": "postgres",
    "partsupp": "postgres",
    **dict.fromkeys(("supplier", "nation", "region"), "store"),
}
SCALE, QUICK_SCALE = "0.1", "0.01"
ROUNDS, QUICK_ROUNDS = 3, 1

TIMEOUT_S = 900


@contextmanager
def filled(bench: Bench, scale: str) -> Iterator[dict[str, Any]]:
    """The tables in a sandbox of its own; what a contender must know of it."""
    home = Path(os.environ.setdefault("SANDBOX_HOME", str(ROOT / ".sandbox-bench")))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-federation-")))
        folder.chmod(0o755)
        box = stack.enter_context(
            Sandbox(home, SERVICES, lambda line: bench.console.print(line, markup=False))
        )
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, check=True)
        tables = tpch_tables.generated(folder, scale)
        for name, table in tables.items():
            pq.write_table(table, folder / f"plain_{name}.parquet")
        forms, schemas = vendors.sandbox_forms(box.endpoints), dict[str, str]()
        with bench.bar("tables", len({*LAYOUT.values()})) as advance:
            for provider in forms.keys() & {*LAYOUT.values()}:
                advance(f"{provider}: tables")
                name = tpch_tables.ROWS[provider].fold(f"bench_{uuid.uuid4().hex[:8]}")
                own = {table: tables[table] for table, at in LAYOUT.items() if at == provider}
                stack.enter_context(
                    tpch_tables.filled(provider, box.endpoints, forms[provider], name, own, folder)
                )
                schemas[provider] = name
        store = stack.enter_context(Engine(folder / "store"))
        yield {
            "endpoints": box.endpoints,
            "schemas": schemas,
            "layout": LAYOUT,
            "folder": str(folder),
            "store": str(store.home.path),
        }


def run(bench: Bench, given: Mapping[str, Any], names: Sequence[str], rounds: int) -> None:
    """Each contender in a process of its own, by turns."""
    outcomes = {(name, who): Outcome(name, who) for name in names for who in MODULES}
    bench.outcomes += outcomes.values()
    with bench.bar("processes", rounds * len(MODULES)) as advance:
        for _ in range(rounds):
            for who, module in MODULES.items():
                advance(who)
                for name, figures in told(module, who, {**given, "queries": names}).items():
                    outcomes[name, who].runs.append(figures)


def plan(bench: Bench, given: Mapping[str, Any]) -> None:
    rest = {"peak_rss_mb": 0, "rows": None, "bytes": None}
    for case, seconds in told("work", "plan", given).items():
        runs = [{"seconds": one, **rest} for one in seconds]
        bench.outcomes.append(Outcome(case, "ours", runs=runs))


def told(module: str, who: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a contender prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.federation_{module}", who],
        cwd=ROOT,
        env={**os.environ, "BENCH_FEDERATION": json.dumps(given)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(bench: Bench) -> None:
    """A line for each query, and the sums."""
    cases: dict[str, dict[str, Figures]] = {}
    for entry in bench.report()["cases"]:
        cases.setdefault(entry["case"], {})[entry["who"]] = entry
    table = Table(title="federation: MB out of the warehouses, and seconds", title_justify="left")
    table.add_column("case")
    for what in ("MB", "s"):
        for who in MODULES:
            table.add_column(f"{who}, {what}", justify="right")
    queries = {name: found for name, found in cases.items() if len(found) == len(MODULES)}
    for name, found in queries.items():
        table.add_row(name, *_cells([found[who] for who in MODULES]))
    sums = {
        who: {
            key: sum(found[who][key] for found in queries.values()) for key in ("bytes", "seconds")
        }
        for who in MODULES
    }
    if queries:
        table.add_row("sum", *_cells(list(sums.values())), style="bold")
        bench.extra["sums"] = sums
        bench.extra["bytes_to_floor"] = round(sums["ours"]["bytes"] / sums[FLOOR]["bytes"], 3)
        bench.console.print(table)
        bench.console.print(f"Bytes of ours to the floor's: {bench.extra['bytes_to_floor']}")
    for name in cases:
        if name not in queries:
            bench.console.print(f"{name}: {cases[name]['ours']['seconds'] * 1e3:.1f} ms")


def _cells(found: Sequence[Figures]) -> list[str]:
    return [
        *(f"{one['bytes'] / 1e6:.3f}" for one in found),
        *(f"{one['seconds']:.3f}" for one in found),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[*FETCHES, "plan"], help="one of them only")
    parser.add_argument("--json", help="where to write the report")
    parser.add_argument("--quick", action="store_true", help="small tables, one round")
    parser.add_argument("--scale", help="TPC-H's scale factor")
    given = parser.parse_args()
    bench = Bench("federation")
    scale = given.scale or (QUICK_SCALE if given.quick else SCALE)
    names = [name for name in FETCHES if given.case in (None, name)]
    with filled(bench, scale) as there:
        if names:
            run(bench, there, names, QUICK_ROUNDS if given.quick else ROUNDS)
        if given.case in (None, "plan"):
            plan(bench, there)
    bench.extra["scale"] = scale
    show(bench)
    bench.write(given.json)


if __name__ == "__main__":
    main()
