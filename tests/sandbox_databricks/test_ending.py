"""How statements end, and the stand-in itself."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from databricks.sql.backend.types import CommandState
from databricks.sql.exc import DatabaseError, RequestError, ServerOperationError

from sandbox.files import read_json
from sandbox.guardian import descendants_of
from sandbox.services.databricks import client_for
from tests.databricks_standin import CHECKOUT, ENDLESS, StandIn, bridge_here
from tests.waiting import wait_for

from .conftest import Connect, rows


def test_cancelling_ends_a_statement_and_the_history_shows_it(
    connect: Connect, standin: StandIn
) -> None:
    connection = connect()
    with connection.cursor() as cursor, ThreadPoolExecutor(1) as threads:
        running = threads.submit(cursor.execute, ENDLESS + " /* cancelled */")
        assert wait_for(lambda: cursor.active_command_id is not None, 5)
        query_id = cursor.query_id
        assert standin.entry(query_id)["status"] in ("QUEUED", "RUNNING")
        started = time.monotonic()
        cursor.cancel()
        with pytest.raises(DatabaseError):
            running.result(10)
    assert wait_for(lambda: standin.entry(query_id)["status"] == "CANCELED", 5)
    assert time.monotonic() - started < 5
    with connection.cursor() as cursor:
        assert rows(cursor, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("by_statement", [True, False])
def test_statement_timeout_ends_a_statement(
    connect: Connect, standin: StandIn, by_statement: bool
) -> None:
    connection = connect(session_configuration={} if by_statement else {"STATEMENT_TIMEOUT": "1"})
    with connection.cursor() as cursor:
        if by_statement:
            cursor.execute("SET STATEMENT_TIMEOUT = 1")
        started = time.monotonic()
        with pytest.raises(ServerOperationError, match="has timed out after 1 seconds"):
            cursor.execute(ENDLESS)
        assert time.monotonic() - started < 5
        assert standin.entry(ENDLESS)["status"] == "FAILED"
        cursor.execute("RESET STATEMENT_TIMEOUT")
        assert rows(cursor, "SELECT 1") == [(1,)]


def test_the_history_has_text_times_and_tags(connect: Connect, standin: StandIn) -> None:
    with connect().cursor() as cursor:
        cursor.execute("SELECT id FROM range(5)", query_tags={"team": "a:b,c", "run": "r-1"})
        cursor.fetchall()
        entry = standin.entry(cursor.query_id)
    assert (entry["status"], entry["query_text"]) == ("FINISHED", "SELECT id FROM range(5)")
    assert entry["query_end_time_ms"] >= entry["query_start_time_ms"]
    assert entry["rows_produced"] == 5
    assert entry["query_tags"] == [
        {"key": "team", "value": "a:b,c"},
        {"key": "run", "value": "r-1"},
    ]


@pytest.mark.parametrize("delay_s", [0, 0.1])
def test_spark_is_idle_after_a_cancellation_that_came_early(
    connect: Connect, standin: StandIn, delay_s: float
) -> None:
    with connect().cursor() as cursor:
        cursor.execute_async(ENDLESS)
        Event().wait(delay_s)
        cursor.cancel()
        assert cursor.get_query_state() == CommandState.CANCELLED
    (spark,) = [pid for pid in _processes() if f"port={_spark_port(standin)}" in _arguments(pid)]
    assert wait_for(lambda: _cpu_in_a_while(spark) < 0.1, 8)


def _spark_port(standin: StandIn) -> int:
    port: int = read_json(standin.home / "settings.json")["spark_port"]
    return port


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _arguments(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
    return text if text.split("\0")[0].endswith("java") else ""


def _cpu_in_a_while(pid: int) -> float:
    """The part of a processor that a process takes now."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, while_s = ticks(), 0.5
    Event().wait(while_s)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / while_s


def test_closing_a_session_ends_what_runs_in_it(connect: Connect, standin: StandIn) -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute_async(ENDLESS + " /* left */")
    query_id = cursor.query_id
    connection.session.close()
    assert standin.entry(query_id)["status"] == "CANCELED"


def test_without_spark_the_warehouse_is_unavailable(standin: StandIn) -> None:
    impatient = {"_retry_stop_after_attempts_duration": 1, "_retry_delay_max": 5}
    with (
        bridge_here(standin, spark_port=1) as endpoint,
        pytest.raises(RequestError, match="would exceed Retry policy"),
    ):
        client_for(endpoint, **impatient)


def test_only_loopback_is_listened_on(standin: StandIn) -> None:
    settings = read_json(standin.home / "settings.json")
    wanted = {settings["port"], settings["spark_port"]}
    found = {port: address for address, port in _listening() if port in wanted}
    assert set(found) == wanted
    assert set(found.values()) <= {"0100007F", "0" * 16 + "FFFF00000100007F"}


def _listening() -> Iterator[tuple[str, int]]:
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.rsplit(":", 1)
                yield address, int(port, 16)


class Supervisor:
    """The stand-in under a supervisor of its own, which can be killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", str(root), "databricks"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])},
            stdout=subprocess.DEVNULL,
        )

    def endpoint(self) -> dict[str, Any]:
        assert wait_for((self.root / "endpoints.json").exists, 60)
        found: dict[str, Any] = read_json(self.root / "endpoints.json")["databricks"]
        return found


@pytest.mark.usefixtures("standin")
def test_a_killed_supervisor_leaves_no_process_and_all_data() -> None:
    with tempfile.TemporaryDirectory(prefix="test-databricks-") as folder:
        root = Path(folder)
        first = Supervisor(root)
        endpoint = first.endpoint()
        with client_for(endpoint) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE sales.kept AS SELECT 7 AS n")
        started = descendants_of(first.process.pid)
        _assert_writes_only_below(root, started)
        first.process.kill()
        first.process.wait(5)
        assert wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in started), 10)
        second = Supervisor(root)
        try:
            again = second.endpoint()
            assert (again["token"], again["port"]) == (endpoint["token"], endpoint["port"])
            with client_for(again) as connection, connection.cursor() as cursor:
                assert rows(cursor, "SELECT n FROM sales.kept") == [(7,)]
        finally:
            second.process.send_signal(signal.SIGTERM)
            second.process.wait(20)


def _assert_writes_only_below(root: Path, processes: list[int]) -> None:
    for pid in processes:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = Path(os.readlink(entry)) if entry.is_symlink() else root
            if target.is_file() and os.lstat(entry).st_mode & 0o200:
                assert target.is_relative_to(root)
