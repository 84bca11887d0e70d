"""Timeouts, cancellation, and connections that go away."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectors import Connector, Limits
from connectors.databricks import statement as databricks_statement
from connectors.errors import ConnectionLost, HostUnreachable, QueryCancelled, QueryTimeout
from connectors.providers import databricks
from tests.databricks_standin import ENDLESS, StandIn, bridge
from tests.waiting import wait_for

from .conftest import Open

SEEN_BY_THE_SERVER_S = 5
FETCH_ROWS = 2_000
MANY = f"SELECT id, CONCAT('row ', id) AS name FROM range(0, {10 * FETCH_ROWS}, 1, 1)"
# With its bridge gone there may be nobody left to end it in Spark.
LONG = ENDLESS.replace("1000000000", "50000")
ENDED = ("CANCELED", "FAILED", "FINISHED")


@pytest.fixture(autouse=True)
def small_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result of several fetches need not be large."""
    for module in (databricks, databricks_statement):
        monkeypatch.setattr(module, "FETCH_ROWS", FETCH_ROWS)


def drain(warehouse: Connector, sql: str, run: str = "", timeout_s: float = 60) -> int:
    with warehouse.query(sql, limits=Limits(timeout_s=timeout_s), run_id=run) as result:
        return sum(batch.num_rows for batch in result)


def sockets() -> set[str]:
    links = (entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return {target for link in links if (target := os.readlink(link)).startswith("socket:")}


def test_a_query_ends_at_its_time_limit_here_and_there(open_one: Open, standin: StandIn) -> None:
    warehouse, started = open_one(), time.monotonic()
    with pytest.raises(QueryTimeout):
        drain(warehouse, ENDLESS, run="timed", timeout_s=1)
    assert time.monotonic() - started < 1 + SEEN_BY_THE_SERVER_S
    assert wait_for(lambda: standin.entry("timed")["status"] in ENDED, SEEN_BY_THE_SERVER_S)
    assert drain(warehouse, "SELECT 1 AS one") == 1


def test_the_servers_own_limit_is_a_timeout_as_well(
    open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = open_one()
    drain(warehouse, "SELECT 1 AS one")
    # As if our own clock stood still.
    monkeypatch.setattr("connectors.databricks.statement.time.monotonic", lambda: 0.0)
    with pytest.raises(QueryTimeout) as caught:
        drain(warehouse, ENDLESS, timeout_s=1)
    assert "Statement has timed out" in str(caught.value.__cause__)


def test_cancel_ends_a_query_before_its_first_row(open_one: Open, standin: StandIn) -> None:
    warehouse = open_one()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(drain, warehouse, ENDLESS, "run-1")
        assert wait_for(lambda: "run-1" in warehouse._running, 5)
        assert wait_for(lambda: standin.history()[0]["status"] == "RUNNING", 5)
        cancelled = time.monotonic()
        assert warehouse.cancel("run-1")
        with pytest.raises(QueryCancelled):
            running.result(SEEN_BY_THE_SERVER_S)
    assert wait_for(lambda: standin.entry("run-1")["status"] == "CANCELED", SEEN_BY_THE_SERVER_S)
    assert time.monotonic() - cancelled < SEEN_BY_THE_SERVER_S
    assert not warehouse.cancel("run-1")
    assert drain(warehouse, "SELECT 1 AS one") == 1


def test_cancel_before_the_statement_is_sent_counts(open_one: Open, standin: StandIn) -> None:
    warehouse = open_one()
    drain(warehouse, "SELECT 1 AS one")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(drain, warehouse, ENDLESS, "run-2")
        assert wait_for(lambda: warehouse.cancel("run-2"), 5)
        with pytest.raises(QueryCancelled):
            running.result(SEEN_BY_THE_SERVER_S)
    # It may have been sent nevertheless: then it was ended there, too.
    sent = [one for one in standin.history() if "run-2" in json.dumps(one["query_tags"])]
    assert {one["status"] for one in sent} <= set(ENDED)


def test_cancel_while_rows_are_read_ends_the_reading(open_one: Open) -> None:
    warehouse = open_one()
    with warehouse.query(MANY, run_id="run-3") as result:
        batches = iter(result)
        assert next(batches).num_rows
        assert warehouse.cancel("run-3")
        with pytest.raises(QueryCancelled):
            list(batches)
    assert not warehouse.cancel("run-3")
    assert drain(warehouse, "SELECT 1 AS one") == 1


def test_a_result_left_half_read_frees_the_session(open_one: Open, standin: StandIn) -> None:
    warehouse = open_one()
    result = warehouse.query(MANY, run_id="run-5")
    assert next(iter(result)).num_rows
    result.close()
    result.close()
    assert standin.entry("run-5")["status"] in ENDED
    assert drain(warehouse, "SELECT 1 AS one") == 1


def test_a_warehouse_that_is_lost_is_said_wherever_it_happens(
    open_one: Open, standin: StandIn, tmp_path: Path
) -> None:
    with bridge(tmp_path, standin) as own, ThreadPoolExecutor(1) as threads:
        reading, working = (open_one(port=own.endpoint["port"]) for _ in range(2))
        batches = iter(reading.query(MANY))
        assert next(batches).num_rows
        running = threads.submit(drain, working, LONG, "run-4")
        seen = StandIn(own.endpoint, standin.home)
        assert wait_for(lambda: any(s["status"] == "RUNNING" for s in seen.history()), 5)
        own.process.kill()
        own.process.wait(5)
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            list(batches)
        with pytest.raises(ConnectionLost):
            running.result(10)
        assert time.monotonic() - started < 6
        for warehouse in (reading, working):
            with pytest.raises(HostUnreachable):
                warehouse.query("SELECT 1 AS one")


def test_nothing_is_left_of_a_closed_connector(open_one: Open) -> None:
    open_one().check()
    threads, open_sockets = set(threading.enumerate()), sockets()
    warehouse = open_one()
    assert warehouse.check().ok
    with pytest.raises(QueryTimeout) as caught:
        drain(warehouse, ENDLESS, timeout_s=0.2)
    result = warehouse.query(MANY)
    first = next(iter(result))
    warehouse.close()
    warehouse.close()
    assert wait_for(lambda: set(threading.enumerate()) <= threads, 5)
    assert wait_for(lambda: sockets() <= open_sockets, 5)
    # Whoever keeps an error, or a result that was left half read, keeps no socket with it.
    assert (caught.value.code, result.rows) == ("query_timeout", first.num_rows)
