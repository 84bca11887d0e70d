"""One contender of ``hybrid_hit``: ``python -m tests.benchmarks.hybrid_work WHO ROWS TIMES``.

Reads the same rows again and again, each time to the end. WHO is ours (a kept answer), direct (the
same query, run in the warehouse each time), floor (the warehouse's bare client) or store (a bare
client of the store, which has the rows as a table). The sandbox's home is in SANDBOX_HOME, the
store in STORE_PATH.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import psycopg

from sandbox.files import read_json
from tests import vendors
from tests.benchmarks import floors
from tests.benchmarks.contender import peak_rss_mb

WARM_UP = 5
SQL = "SELECT id, half, text FROM hybrid_bench WHERE id < {rows} ORDER BY id"
MADE = """
CREATE TABLE IF NOT EXISTS hybrid_bench AS
SELECT n::bigint AS id, n / 2.0::float8 AS half, n::text AS text FROM generate_series(0, 9999) AS n
"""
_OPEN = ExitStack()
Read = Callable[[], tuple[int, int]]


def ours(endpoints: dict[str, Any], rows: int, mode: str = "hybrid") -> Read:
    os.environ["LOG_LEVEL"] = "ERROR"
    os.environ["DJANGO_SETTINGS_MODULE"] = "service.settings"
    django.setup()
    from warehouse import connections, query_executor
    from warehouse.connections import Draft
    from warehouse.models import Team
    from warehouse.statements import Statement

    team = Team.objects.create(name="bench")
    form = vendors.sandbox_forms(endpoints)["postgres"]
    draft = Draft.of(name="bench", provider="postgres", credentials=form, mode=mode)
    connection = connections.create(team, None, draft)
    statement = Statement(SQL.format(rows=rows))

    def read() -> tuple[int, int]:
        with query_executor.run(connection, statement) as run:
            run.start()
            size = sum(batch.nbytes for batch in run)
        return run.rows, size

    return read


def direct(endpoints: dict[str, Any], rows: int) -> Read:
    return ours(endpoints, rows, "direct")


def floor(endpoints: dict[str, Any], rows: int) -> Read:
    form = vendors.sandbox_forms(endpoints)["postgres"]
    read = floors.reader("postgres", form)
    client = _OPEN.enter_context(floors.OPEN["postgres"](form))
    return lambda: read(client, SQL.format(rows=rows))


def store(endpoints: dict[str, Any], rows: int) -> Read:
    import clickhouse_connect

    from warehouse.store.engine.home import Home

    at = Home(Path(os.environ["STORE_PATH"])).endpoint()
    assert at is not None
    client: Any = clickhouse_connect.get_client(dsn=at.url)
    client.command("CREATE OR REPLACE TABLE default.hybrid_bench ENGINE = MergeTree ORDER BY id AS "
                   "SELECT toInt64(number) AS id, number / 2 AS half, toString(number) AS text "
                   "FROM numbers(10000)")  # fmt: skip

    def read() -> tuple[int, int]:
        table = client.query_arrow(SQL.format(rows=rows))
        return table.num_rows, table.nbytes

    return read


def prepare(endpoints: dict[str, Any]) -> None:
    """The table that all of them read."""
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as owner:
        owner.execute(MADE)
        owner.execute("ANALYZE hybrid_bench")
        owner.execute("GRANT SELECT ON hybrid_bench TO PUBLIC")


def main(who: str, rows: str, times: str) -> None:
    endpoints = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")
    read = {"ours": ours, "direct": direct, "floor": floor, "store": store}[who](
        endpoints, int(rows)
    )
    for _ in range(WARM_UP):
        read()
    took: list[float] = []
    for _ in range(int(times)):
        started = time.perf_counter()
        count, size = read()
        took.append(time.perf_counter() - started)
    percentiles = statistics.quantiles(took, n=100)
    told = {"seconds": sum(took), "peak_rss_mb": peak_rss_mb(), "rows": count, "bytes": size}
    print(json.dumps(told | {"p50_ms": percentiles[49] * 1e3, "p99_ms": percentiles[98] * 1e3}))


if __name__ == "__main__":
    main(*sys.argv[1:])
