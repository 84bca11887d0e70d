import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import Connector, Limits
from connectors.errors import ConnectionLost, ConnectorError, QueryCancelled, QueryTimeout
from tests.waiting import wait_for

from .conftest import ENDLESS, SLEEP, Open, RunFace, Watcher

SEEN_BY_THE_SERVER_S = 5


def drain(warehouse: Connector, sql: str, run: str = "", timeout_s: float = 60) -> int:
    with warehouse.query(sql, limits=Limits(timeout_s=timeout_s), run_id=run) as result:
        return sum(batch.num_rows for batch in result)


def open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    found = ((entry, os.readlink(entry)) for entry in folder.iterdir() if entry.is_symlink())
    return {target for _, target in found if target.startswith("socket:")}


@pytest.mark.parametrize("sql", [SLEEP, ENDLESS])
def test_the_server_ends_a_query_at_its_time_limit(
    open_one: Open, watcher: Watcher, sql: str
) -> None:
    warehouse, started = open_one(run="timed"), time.monotonic()
    with pytest.raises(QueryTimeout):
        drain(warehouse, sql, timeout_s=1)
    assert time.monotonic() - started < 1 + SEEN_BY_THE_SERVER_S
    assert wait_for(lambda: not watcher.is_busy("timed"), SEEN_BY_THE_SERVER_S)
    assert drain(warehouse, "SELECT 1") == 1


@pytest.mark.parametrize("sql", [SLEEP, ENDLESS])
def test_cancel_ends_a_query_in_the_server(open_one: Open, watcher: Watcher, sql: str) -> None:
    warehouse = open_one(run="ended")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(drain, warehouse, sql, "run-1")
        assert wait_for(lambda: watcher.is_busy("run-1"), 5)
        cancelled = time.monotonic()
        assert warehouse.cancel("run-1")
        with pytest.raises(QueryCancelled):
            running.result(SEEN_BY_THE_SERVER_S)
        assert wait_for(lambda: not watcher.is_busy("acme"), SEEN_BY_THE_SERVER_S)
        assert time.monotonic() - cancelled < SEEN_BY_THE_SERVER_S
    assert not warehouse.cancel("run-1")
    assert drain(warehouse, "SELECT 1") == 1


def test_cancel_ends_a_query_that_the_server_still_plans(
    open_one: Open, watcher: Watcher, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("CREATE TABLE scratch.locked (a int)")
    with psycopg.connect(owner.info.dsn, password=owner.info.password) as blocker:
        blocker.execute("LOCK TABLE scratch.locked")
        warehouse = open_one()
        with ThreadPoolExecutor(1) as threads:
            # Its columns cannot be described before the lock is gone, so it does not start.
            running = threads.submit(warehouse.query, "SELECT * FROM scratch.locked", run_id="held")
            assert wait_for(lambda: watcher.is_busy("held"), 5)
            assert not running.done()
            assert warehouse.cancel("held")
            with pytest.raises(QueryCancelled):
                running.result(SEEN_BY_THE_SERVER_S)
        assert not watcher.is_busy("held")
    assert drain(warehouse, "SELECT 1") == 1


def test_a_query_cancelled_while_its_session_is_opened_is_never_run(
    open_one: Open, run_face: RunFace, watcher: Watcher
) -> None:
    with run_face() as face:
        warehouse = open_one(port=face.port)
        face.process.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(drain, warehouse, SLEEP, "early")
            assert wait_for(lambda: "early" in warehouse._running, 5)
            assert warehouse.cancel("early")
            face.process.send_signal(signal.SIGCONT)
            with pytest.raises(QueryCancelled):
                running.result(SEEN_BY_THE_SERVER_S)
        assert not watcher.is_busy("early")


def test_a_query_that_somebody_ends_in_the_server_is_cancelled_and_not_late(
    open_one: Open, watcher: Watcher
) -> None:
    warehouse = open_one()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(drain, warehouse, SLEEP, "unwanted")
        assert wait_for(lambda: watcher.is_busy("unwanted"), 5)
        watcher._connection.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE '%unwanted'"
        )
        with pytest.raises(QueryCancelled, match="in the warehouse"):
            running.result(SEEN_BY_THE_SERVER_S)
    assert drain(warehouse, "SELECT 1") == 1


def test_closing_a_result_early_ends_it_in_the_server(open_one: Open, watcher: Watcher) -> None:
    warehouse = open_one(run="left")
    result = warehouse.query(ENDLESS)
    batches = iter(result)
    next(batches)
    assert watcher.is_busy("left")
    result.close()
    assert not watcher.is_busy("left")
    assert drain(warehouse, "SELECT 1") == 1


def test_closing_the_connector_in_the_middle_ends_the_session(
    open_one: Open, watcher: Watcher
) -> None:
    warehouse = open_one(run="closed")
    batches = iter(warehouse.query(ENDLESS))
    next(batches)
    warehouse.close()
    assert wait_for(lambda: not watcher.sessions("closed"), SEEN_BY_THE_SERVER_S)


def test_a_server_that_dies_in_mid_stream_is_a_lost_connection(
    open_one: Open, run_face: RunFace, watcher: Watcher
) -> None:
    threads, sockets = set(threading.enumerate()), open_files()
    with run_face() as face:
        warehouse = open_one(run="killed", port=face.port)
        batches = iter(warehouse.query(ENDLESS))
        next(batches)
        face.process.kill()
        with pytest.raises(ConnectionLost) as caught:
            list(batches)
    assert caught.value.retryable
    assert wait_for(lambda: not watcher.sessions("killed"), SEEN_BY_THE_SERVER_S)
    warehouse.close()
    assert wait_for(lambda: set(threading.enumerate()) <= threads, SEEN_BY_THE_SERVER_S)
    assert open_files() == sockets


def test_a_server_that_falls_silent_costs_no_more_than_the_time_limit(
    open_one: Open, run_face: RunFace
) -> None:
    with run_face() as face:
        warehouse = open_one(port=face.port)
        result = warehouse.query(ENDLESS, limits=Limits(timeout_s=2))
        batches, started = iter(result), time.monotonic()
        next(batches)
        face.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(QueryTimeout):
                list(batches)
        finally:
            face.process.send_signal(signal.SIGCONT)
        # Two seconds, one of grace, and five for the cancel request that nobody answers.
        assert time.monotonic() - started < 10
        assert drain(warehouse, "SELECT 1") == 1


def test_a_session_that_has_fallen_silent_is_given_up_and_opened_anew(
    open_one: Open, run_face: RunFace
) -> None:
    with run_face() as face:
        warehouse, started = open_one(port=face.port), time.monotonic()
        assert drain(warehouse, "SELECT 1") == 1
        face.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(QueryTimeout):
                drain(warehouse, "SELECT 1", timeout_s=1)
        finally:
            face.process.send_signal(signal.SIGCONT)
        assert time.monotonic() - started < SEEN_BY_THE_SERVER_S
        assert drain(warehouse, "SELECT 1") == 1


def test_a_session_that_the_server_ended_is_opened_anew(
    open_one: Open, endpoints: dict[str, Any], watcher: Watcher
) -> None:
    warehouse = open_one(run="dropped")
    assert drain(warehouse, "SELECT 1") == 1
    watcher._connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE '%dropped'"
    )
    assert wait_for(lambda: not warehouse._is_alive(0), SEEN_BY_THE_SERVER_S)
    assert drain(warehouse, "SELECT 1") == 1


@pytest.mark.parametrize("sql", ["SELECT * FROM no_such_table", "SELECT 1 / 0", "SELECT 'x'::int"])
def test_a_failed_query_leaves_no_transaction_behind(
    open_one: Open, watcher: Watcher, sql: str
) -> None:
    warehouse = open_one(run="failed")
    with pytest.raises(ConnectorError):
        drain(warehouse, sql)
    assert not watcher.sessions("failed", "idle in transaction%")
    assert drain(warehouse, "SELECT 1") == 1
