"""However a query ends, it ends in Snowflake too, in time, and leaves nothing behind."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from connectors import Connector, Limits
from connectors.errors import (
    ConnectionLost,
    ConnectorError,
    DataError,
    QueryCancelled,
    QueryTimeout,
)
from tests.sandbox_snowflake.standin import StandIn
from tests.waiting import wait_for

from .conftest import ENDLESS, SETTINGS, Launch, Open, Watcher, many

ENDED_S = 5


@pytest.fixture
def started(warehouse: Connector, watcher: Watcher) -> Iterator[Callable[..., Future[Any]]]:
    """Start a query in a thread; it runs in Snowflake when this returns."""
    with ThreadPoolExecutor(1) as threads:

        def start(run: str, sql: str, **limits: Any) -> Future[Any]:
            future = threads.submit(warehouse.query, sql, limits=Limits(**limits), run_id=run)
            wait_for(lambda: watcher.status(run) == "RUNNING" or future.done())
            return future

        yield start


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_cancel_before_the_first_row_ends_the_query_there(
    started: Callable[..., Future[Any]], warehouse: Connector, watcher: Watcher
) -> None:
    running = started("cancel-1", ENDLESS)
    with within(ENDED_S):
        assert warehouse.cancel("cancel-1")
        with pytest.raises(QueryCancelled):
            running.result(ENDED_S)
        wait_for(lambda: watcher.status("cancel-1") == "FAILED_WITH_ERROR")
    assert watcher.of_run("cancel-1")["error"] == "000604"  # type: ignore[index]
    assert warehouse.query("SELECT 1 AS ONE").read_all().num_rows == 1


def test_timeout_is_kept_by_snowflake_itself(warehouse: Connector, watcher: Watcher) -> None:
    with within(ENDED_S), pytest.raises(QueryTimeout):
        warehouse.query(ENDLESS, limits=Limits(timeout_s=1), run_id="timeout-1")
    ran = watcher.of_run("timeout-1")
    assert ran is not None
    assert (ran["status"], ran["error"]) == ("FAILED_WITH_ERROR", "000630")


def test_session_that_ends_takes_its_query_along(
    started: Callable[..., Future[Any]], warehouse: Connector, watcher: Watcher
) -> None:
    running = started("gone-1", ENDLESS)
    warehouse.close()
    with pytest.raises(ConnectorError):
        running.result(15)
    wait_for(lambda: watcher.status("gone-1") == "FAILED_WITH_ERROR")


@pytest.mark.usefixtures("nothing_left")
def test_result_closed_in_mid_stream_frees_what_it_holds(warehouse: Connector) -> None:
    result = warehouse.query(many(1_000_000))
    assert next(iter(result)).num_rows
    with within(ENDED_S):
        result.close()
    assert warehouse.query("SELECT 1 AS ONE").read_all().num_rows == 1
    warehouse.close()


def test_many_rows_come_in_order_with_few_in_memory(warehouse: Connector) -> None:
    with warehouse.query(many(300_000)) as result:
        sizes, last = [], -1
        for batch in result:
            first = batch.column(0)[0].as_py()
            assert first == last + 1
            last = batch.column(0)[-1].as_py()
            sizes.append(batch.nbytes)
    assert last == 299_999
    assert max(sizes) < 20 * 2**20


def test_query_longer_than_snowflake_waits_is_asked_for_again(warehouse: Connector) -> None:
    long = "SELECT COUNT(DISTINCT SEQ4()) AS N FROM TABLE(GENERATOR(ROWCOUNT => 5000000))"
    began = time.monotonic()
    assert warehouse.query(long).read_all().to_pylist() == [{"N": 5_000_000}]
    assert time.monotonic() - began > 5 * SETTINGS["answer_within_s"]


def test_every_statement_says_whom_it_is_for(warehouse: Connector, watcher: Watcher) -> None:
    for run in ("tag-1", "tag-2"):
        with warehouse.query("SELECT 1 AS ONE", run_id=run) as result:
            list(result)
        ran = watcher.of_run(run)
        assert ran is not None
        assert json.loads(ran["tag"]) == {"service": "svc", "team": "acme", "run": run}
        assert ran["id"] == result.stats.vendor_query_id


def test_error_keeps_what_snowflake_said_it_was(warehouse: Connector) -> None:
    with pytest.raises(DataError):
        warehouse.query("SELECT 'x'::NUMBER AS N")


@contextmanager
def stopped(standin: StandIn) -> Iterator[None]:
    """The server keeps its connections and answers nothing."""
    assert standin.process is not None
    os.kill(standin.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(standin.process.pid, signal.SIGCONT)


def test_server_that_falls_silent_costs_no_more_than_the_limit(
    launch: Launch, open_at: Open
) -> None:
    with launch() as own:
        warehouse = open_at(own)
        assert warehouse.query("SELECT 1 AS ONE").read_all().num_rows == 1
        with stopped(own), within(5), pytest.raises(QueryTimeout):
            warehouse.query("SELECT 1 AS ONE", limits=Limits(timeout_s=1))
        assert warehouse.query("SELECT 1 AS ONE").read_all().num_rows == 1
        warehouse.close()


def test_server_that_falls_silent_in_mid_stream_costs_no_more_than_the_limit(
    launch: Launch, open_at: Open
) -> None:
    with launch() as own:
        warehouse = open_at(own)
        with warehouse.query(many(800_000), limits=Limits(timeout_s=6)) as result:
            batches = iter(result)
            next(batches)
            with stopped(own), within(10), pytest.raises(QueryTimeout):
                list(batches)
        warehouse.close()


@pytest.mark.usefixtures("nothing_left")
def test_server_that_dies_in_mid_stream_is_a_lost_connection(launch: Launch, open_at: Open) -> None:
    with launch() as own:
        warehouse = open_at(own)
        with warehouse.query(many(800_000)) as result:
            batches = iter(result)
            next(batches)
            own.stop(signal.SIGKILL)
            with within(12), pytest.raises(ConnectionLost):
                list(batches)
        warehouse.close()


@pytest.mark.usefixtures("nothing_left")
def test_server_that_dies_before_the_first_row_is_a_lost_connection(
    launch: Launch, open_at: Open
) -> None:
    with launch() as own, ThreadPoolExecutor(1) as threads:
        warehouse = open_at(own)
        with own.connect() as connection:
            watcher = Watcher(connection.cursor())
            running = threads.submit(warehouse.query, ENDLESS, run_id="dies")
            wait_for(lambda: watcher.status("dies") == "RUNNING")
        own.stop(signal.SIGKILL)
        with within(15), pytest.raises(ConnectionLost):
            running.result(20)
        own.start()
        assert warehouse.query("SELECT 1 AS ONE").read_all().num_rows == 1
        warehouse.close()


@pytest.mark.usefixtures("nothing_left")
def test_closing_leaves_no_thread(warehouse: Connector) -> None:
    before = threading.active_count()
    for _ in range(3):
        warehouse.query("SELECT 1 AS ONE").read_all()
    wait_for(lambda: threading.active_count() <= before)
    warehouse.close()
