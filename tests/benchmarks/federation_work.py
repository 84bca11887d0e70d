"""Our contenders of TPC-H over several systems: ``python -m tests.benchmarks.federation_work WHO``.

WHO is ours, naive (our legs, but each the whole of a table) or plan (a query of five tables is
planned, split and printed, not run: again and again, then with a new text each time). Prints one
line of JSON: by query, its figures. What they read is in BENCH_FEDERATION.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
import pyarrow.parquet as pq

from tests import vendors
from tests.benchmarks.contender import peak_rss_mb
from tests.benchmarks.harness import Figures

PLANNED = "q07"
TIMES = 50


def opened(given: Mapping[str, Any]) -> Any:
    """A team with the connections, and with its tables in the store."""
    os.environ["LOG_LEVEL"] = "ERROR"
    os.environ["DJANGO_SETTINGS_MODULE"] = "service.settings"
    os.environ["STORE_PATH"] = given["store"]
    django.setup()
    from tests.federation.layout import LAYOUTS, STORE, STORE_OF, put_into_store
    from warehouse import connections
    from warehouse.connections import Draft
    from warehouse.models import Team

    team = Team.objects.create(name="bench")
    forms = vendors.sandbox_forms(given["endpoints"])
    saved = {
        provider: connections.create(
            team, None, Draft.of(name=provider, provider=provider, credentials=forms[provider])
        )
        for provider in given["schemas"]
    }
    kept = {
        table: pq.read_table(Path(given["folder"]) / f"plain_{table}.parquet")
        for table, where in LAYOUTS["apart"].items()
        if where == STORE
    }
    put_into_store(saved[STORE_OF], given["schemas"][STORE_OF], kept)
    return team


def text_of(name: str, given: Mapping[str, Any]) -> str:
    from tests.federation import layout

    return layout.text_of(name, layout.LAYOUTS["apart"], given["schemas"].__getitem__)


def finished(run: Any) -> Figures:
    """The figures of a run; bytes are those that left the warehouses, in Arrow's form."""
    from warehouse.federation.run import FederatedRun
    from warehouse.recorded import RecordedRun

    started = time.perf_counter()
    with run:
        run.start()
        size = sum(batch.nbytes for batch in run)
        asked = run.asked if isinstance(run, RecordedRun) else run
        if isinstance(asked, FederatedRun):
            size = sum(leg.size_bytes for leg in asked.legs)
        rows = run.rows
    return {"seconds": time.perf_counter() - started, "rows": rows, "bytes": size}


def ours(team: Any, text: str, values: Mapping[str, object] | None) -> Figures:
    from warehouse import query_executor

    started = time.perf_counter()
    run = query_executor.run_hogql(team, text, values)
    planning = time.perf_counter() - started
    figures = finished(run)
    return {**figures, "seconds": figures["seconds"] + planning}


def naive(team: Any, text: str, values: Mapping[str, object] | None) -> Figures:
    from connectors.types import Limits
    from tests.federation.whole import of_whole_tables
    from warehouse.federation import planner
    from warehouse.federation.legs import Legs
    from warehouse.federation.run import FederatedRun

    started = time.perf_counter()
    found = planner.planned(team, text, values or {})
    run_id = str(uuid.uuid4())
    split = of_whole_tables(found.query, f"leg_{run_id.replace('-', '')}_")
    run = FederatedRun(Legs(team, split, found, run_id), Limits(timeout_s=600))
    planning = time.perf_counter() - started
    figures = finished(run)
    return {**figures, "seconds": figures["seconds"] + planning}


def plan(team: Any, text: str) -> float:
    """Seconds of one plan."""
    from warehouse.federation import planner
    from warehouse.federation.planner import STORE_DIALECT
    from warehouse.hogql.printing.printer import print_query

    started = time.perf_counter()
    found = planner.planned(team, text, {})
    split = found.split("leg_")
    for leg in split.legs:
        print_query(leg.query, found.dialects[leg.source], text)
    print_query(split.query, STORE_DIALECT, text)
    return time.perf_counter() - started


def plans(given: Mapping[str, Any]) -> dict[str, list[float]]:
    """How long each took, once the catalogs and the parsers are there."""
    team, text = opened(given), text_of(PLANNED, given)
    plan(team, text)
    return {
        "plan": [plan(team, text) for _ in range(TIMES)],
        "plan_new": [plan(team, f"{text} LIMIT {1000 + number}") for number in range(TIMES)],
    }


def queries(who: str, given: Mapping[str, Any]) -> dict[str, Figures]:
    """The figures by query, each asked once before: a dashboard asks again and again."""
    from tests.hogql.tpch_queries import VALUES

    team = opened(given)
    work: Callable[..., Figures] = {"ours": ours, "naive": naive}[who]
    found = {}
    for name in given["queries"]:
        text, values = text_of(name, given), VALUES.get(name)
        work(team, text, values)
        found[name] = {**work(team, text, values), "peak_rss_mb": peak_rss_mb()}
    return found


def main(who: str) -> None:
    given = json.loads(os.environ["BENCH_FEDERATION"])
    print(json.dumps(plans(given) if who == "plan" else queries(who, given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
