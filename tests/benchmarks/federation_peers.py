"""The others in TPC-H over several systems: ``python -m tests.benchmarks.federation_peers WHO``.

WHO is duckdb or floor. Both ask for what ``federation_legs`` has found by hand, by the vendors'
bare clients, side by side, whose sessions are open before. duckdb gets the columns of the
conditions too, runs the standard's own text over what came as Arrow, and has supplier, nation and
region beforehand, as the store has them. The floor fetches without those columns and joins nothing;
its bytes are those of the generator's own tables, in Arrow's form.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tests import vendors
from tests.benchmarks import floors
from tests.benchmarks.contender import peak_rss_mb
from tests.benchmarks.federation_legs import FETCHES, Fetch
from tests.benchmarks.harness import ROOT, Figures

REFERENCE = ROOT / "tests" / "hogql" / "tpch" / "reference"
Read = Callable[[Fetch, bool], pa.Table]


class Peer:
    """The systems' clients, and the generator's own tables."""

    def __init__(self, given: Mapping[str, Any], stack: ExitStack) -> None:
        self._given = given
        self._layout: dict[str, str] = given["layout"]
        folder = Path(given["folder"])
        self.plain = {
            name: pq.read_table(folder / f"plain_{name}.parquet") for name in self._layout
        }
        self._forms = vendors.sandbox_forms(given["endpoints"])
        self._threads = stack.enter_context(ThreadPoolExecutor(len(self._layout)))
        self._clients = {
            name: stack.enter_context(floors.OPEN[where](self._forms[where]))
            for name, where in self._layout.items()
            if where in self._forms
        }
        self._storage = floors.storage(self._forms["bigquery"])
        self.duckdb = stack.enter_context(duckdb.connect())
        self.duckdb.execute(f"SET threads = {os.cpu_count()}")
        for name in self._layout.keys() - self._clients.keys():
            self.duckdb.register("given", self.plain[name])
            self.duckdb.execute(f"CREATE TABLE {name} AS SELECT * FROM given")

    def fetched(self, query: str, *, with_asked: bool) -> dict[str, pa.Table]:
        """What a query needs of each table, as the clients have it."""
        wanted = FETCHES[query]
        found = self._threads.map(lambda one: self._read(one, with_asked), wanted)
        return {one.table: table for one, table in zip(wanted, found, strict=True)}

    def least_bytes(self, query: str) -> int:
        """Of what a query needs, in the generator's own types."""
        size = 0
        for one in FETCHES[query]:
            self.duckdb.register("plain", self.plain[one.table])
            sql = one.sql("plain", with_asked=False)
            size += self.duckdb.sql(sql).to_arrow_table().nbytes
        return size

    def _read(self, one: Fetch, with_asked: bool) -> pa.Table:
        where = self._layout[one.table]
        sql = one.sql(f"{self._given['schemas'][where]}.{one.table}", with_asked=with_asked)
        return getattr(self, f"_{where}")(self._clients[one.table], sql, one)

    def _bigquery(self, client: Any, sql: str, _: Fetch) -> pa.Table:
        return client.query(sql).result().to_arrow(bqstorage_client=self._storage)

    def _snowflake(self, client: Any, sql: str, _: Fetch) -> pa.Table:
        with client.cursor() as cursor:
            found = cursor.execute(sql).fetch_arrow_all(force_return_table=True)
        return found.rename_columns([name.lower() for name in found.column_names])

    def _postgres(self, client: Any, sql: str, one: Fetch) -> pa.Table:
        """By COPY: psycopg has no Arrow, and Python's objects would take longer."""
        rows = io.BytesIO()
        with client.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT (FORMAT CSV)") as copy:
            for part in copy:
                rows.write(part)
        rows.seek(0)
        schema = self.plain[one.table].schema
        names = sql.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        convert = pa_csv.ConvertOptions(
            column_types={name: schema.field(name).type for name in names}
        )
        if not rows.getbuffer().nbytes:
            return schema.empty_table().select(names)
        return pa_csv.read_csv(
            rows, pa_csv.ReadOptions(column_names=names), convert_options=convert
        )


def in_duckdb(peer: Peer, query: str) -> Figures:
    started = time.perf_counter()
    found = peer.fetched(query, with_asked=True)
    for name, table in found.items():
        peer.duckdb.register(name, table)
    rows = peer.duckdb.sql((REFERENCE / f"{query}.sql").read_text()).to_arrow_table().num_rows
    seconds = time.perf_counter() - started
    for name in found:
        peer.duckdb.unregister(name)
    return {"seconds": seconds, "rows": rows, "bytes": sum(one.nbytes for one in found.values())}


def at_least(peer: Peer, query: str) -> Figures:
    started = time.perf_counter()
    found = peer.fetched(query, with_asked=False)
    seconds = time.perf_counter() - started
    rows = sum(one.num_rows for one in found.values())
    return {"seconds": seconds, "rows": rows, "bytes": peer.least_bytes(query)}


def main(who: str) -> None:
    given = json.loads(os.environ["BENCH_FEDERATION"])
    work = {"duckdb": in_duckdb, "floor": at_least}[who]
    with ExitStack() as stack:
        peer = Peer(given, stack)
        told = {}
        for query in given["queries"]:
            work(peer, query)
            told[query] = {**work(peer, query), "peak_rss_mb": peak_rss_mb()}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
