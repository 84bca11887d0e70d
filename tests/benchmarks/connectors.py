"""Streaming a million rows of ten columns: ``query()`` against each vendor's client used bare.

And the round trips of check() and fetch_tables(), with few tables and with many; give or take one,
where what a client sends overlaps with what it is still being told.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from connectors import NetworkPolicy, connect
from sandbox.control import status
from sandbox.databricks.spark import unavailable
from sandbox.files import read_json
from sandbox.supervisor import Sandbox
from tests import vendors
from tests.benchmarks.harness import FLOOR, Bench, Case, Contender
from tests.connectors.matrix import MATRIX, Row
from tests.connectors.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "bench"
ROWS, QUICK_ROWS = 1_000_000, 100_000
ROUNDS, QUICK_ROUNDS = 3, 1
TABLES, QUICK_TABLES = 100, 10
LOCAL = NetworkPolicy.allowing(["127.0.0.0/8"])
Endpoints = dict[str, Any]


@contextmanager
def sandbox(bench: Bench, providers: Sequence[str]) -> Iterator[Endpoints]:
    """The stand-ins: those of SANDBOX_HOME if they run, else our own, which keep their tables."""
    home = Path(os.environ.setdefault("SANDBOX_HOME", str(ROOT / ".sandbox-bench")))
    if status(home):
        yield read_json(home / "endpoints.json")
        return
    # Redshift is a face of Postgres.
    services = ["postgres", *(name for name in providers if name != "postgres")]
    if unavailable() and "databricks" in services:
        services.remove("databricks")
    with Sandbox(home, services, lambda line: bench.console.print(line, markup=False)) as box:
        yield read_json(box.endpoints_path)


class Provider:
    """One stand-in, and its table of the rows that are streamed."""

    def __init__(self, row: Row, endpoints: Endpoints) -> None:
        self.row = row
        self.name = row.provider
        self.form = vendors.sandbox_forms(endpoints)[row.provider]
        self._owner = row.owner(endpoints, self.form)
        self._schema = row.fold(SCHEMA)

    def table(self, rows: int) -> str:
        return f"{self._schema}.{self.row.fold(f'ten_{rows}')}"

    def prepare(self, rows: int) -> None:
        """Make the table, unless an earlier run has."""
        with vendors.EXECUTING[self.name](self._owner) as run:
            run(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            run(
                f"CREATE TABLE IF NOT EXISTS {self.table(rows)} AS {self.row.ten.format(rows=rows)}"
            )
            [(made,)] = run(f"SELECT COUNT(*) AS n FROM {self.table(rows)}")
            if made != rows:
                raise RuntimeError(f"{self.table(rows)} has {made} rows; drop it and try again.")

    def case(self, rows: int) -> Case:
        module = ("-m", "tests.benchmarks.stream")
        return Case(
            self.name,
            tuple(
                Contender(who, (*module, who, self.name, self.table(rows)))
                for who in ("ours", FLOOR)
            ),
        )

    def round_trips(self, more: int) -> list[dict[str, Any]]:
        """Round trips of each verb before and after ``more`` views are made; views are dropped."""
        views = [f"{self._schema}.{self.row.fold(f'view_{i}')}" for i in range(more)]
        found = [self._round_trips()]
        with vendors.EXECUTING[self.name](self._owner) as run:
            try:
                for view in views:
                    run(f"CREATE VIEW {view} AS SELECT 1 AS one")
                found.append(self._round_trips())
            finally:
                for view in views:
                    run(f"DROP VIEW IF EXISTS {view}")
        return [entry for entries in found for entry in entries]

    def _round_trips(self) -> list[dict[str, Any]]:
        through = next(iter(self.row.through.values()))
        found = []
        with (
            Proxy() as proxy,
            connect(self.name, through(self.form, proxy.via), network=LOCAL) as c,
        ):
            tables = len(c.fetch_tables())
            for verb in ("check", "fetch_tables"):
                before, started = proxy.rounds, time.perf_counter()
                getattr(c, verb)()
                found.append(
                    {
                        "case": self.name,
                        "verb": verb,
                        "tables": tables,
                        "round_trips": proxy.rounds - before,
                        "seconds": round(time.perf_counter() - started, 3),
                    }
                )
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="one provider only")
    parser.add_argument("--json", help="where to write the report")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    given = parser.parse_args()
    bench = Bench("connectors")
    rows = [row for row in MATRIX if given.case in (None, row.provider)]
    if not rows:
        parser.error(f"There is no case {given.case}.")
    with sandbox(bench, [row.provider for row in rows]) as endpoints:
        there = [Provider(row, endpoints) for row in rows if row.provider in endpoints]
        measure(bench, there, quick=given.quick)
    for row in rows:
        if row.provider not in endpoints:
            bench.console.print(f"{row.provider}: left out. {unavailable()}", markup=False)
    show(bench)
    bench.write(given.json)


def measure(bench: Bench, providers: list[Provider], *, quick: bool) -> None:
    rows = QUICK_ROWS if quick else ROWS
    more = QUICK_TABLES if quick else TABLES
    if quick:
        bench.console.print(f"Quick: {rows:,} rows instead of {ROWS:,}, one round, few tables.")
    with bench.bar("tables", len(providers)) as advance:
        for provider in providers:
            advance(f"{provider.name}: table of {rows:,} rows")
            provider.prepare(rows)
    bench.run([provider.case(rows) for provider in providers], QUICK_ROUNDS if quick else ROUNDS)
    trips: list[dict[str, Any]] = []
    with bench.bar("round trips", len(providers)) as advance:
        for provider in providers:
            advance(f"{provider.name}: round trips with {more} more tables")
            trips += provider.round_trips(more)
    bench.extra["round_trips"] = trips


def show(bench: Bench) -> None:
    bench.show()
    table = Table(title="round trips by the number of tables", title_justify="left")
    for name in ("case", "verb", "tables", "round_trips", "seconds"):
        table.add_column(name, justify="left" if name in ("case", "verb") else "right")
    for entry in bench.extra["round_trips"]:
        table.add_row(*map(str, entry.values()))
    bench.console.print(table)


if __name__ == "__main__":
    main()
