"""A query's result on a real server: limits, deadline, cancelling, closing."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, JobContext, Limits, NetworkPolicy, connect
from connectors.errors import ConnectorError, DataError, QueryCancelled, QueryTimeout
from connectors.postgres.text_rows import BATCH_ROWS
from connectors.result import Result
from tests.waiting import wait_for

SLEEP = "SELECT pg_sleep(60)::text AS slept"
ROWS = "SELECT g AS n, repeat('x', 10) AS word FROM generate_series(1, {}) AS g"


PROVIDER = "postgres"


@pytest.fixture
def activity(endpoints: dict[str, Any]) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """State and statement of the reader's sessions, as the server sees them."""
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as connection:

        def look() -> list[tuple[str, str]]:
            return connection.execute(
                "SELECT state, query FROM pg_stat_activity WHERE application_name LIKE 'svc this%'"
            ).fetchall()

        yield look


@pytest.fixture
def watched(credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy) -> Iterator[Connector]:
    """A connector whose session ``activity`` shows."""
    context = JobContext(service="svc", team="this")
    with connect(
        "postgres", credentials["postgres"], network=loopback, context=context
    ) as connector:
        yield connector


def run(action: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    """Run in another thread; what it raises is in the list once it has ended."""
    raised: list[BaseException] = []

    def body() -> None:
        try:
            action()
        except ConnectorError as exc:
            raised.append(exc)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, raised


# Limits


@pytest.mark.parametrize(
    ("rows", "limit", "returned", "truncated"),
    [
        (10, 0, 0, True),
        (0, 0, 0, False),
        (10, 3, 3, True),
        (10, 10, 10, False),
        (10, 11, 10, False),
        (BATCH_ROWS + 5, BATCH_ROWS, BATCH_ROWS, True),
        (BATCH_ROWS + 5, BATCH_ROWS + 1, BATCH_ROWS + 1, True),
        (2 * BATCH_ROWS, None, 2 * BATCH_ROWS, False),
    ],
)
def test_row_limit(
    connector: Connector, rows: int, limit: int | None, returned: int, truncated: bool
) -> None:
    with connector.query(ROWS.format(rows), limits=Limits(max_rows=limit)) as result:
        numbers = result.read_all().column("n").to_pylist()
    assert numbers == list(range(1, returned + 1))
    assert (result.rows, result.truncated) == (returned, truncated)
    assert result.stats.vendor_query_id


@pytest.mark.parametrize("limit", [0, 1, 100, 5_000, 400_000])
def test_byte_limit_returns_the_most_rows_that_fit(connector: Connector, limit: int) -> None:
    with connector.query(ROWS.format(20_000), limits=Limits(max_bytes_returned=limit)) as result:
        batches = list(result)
    size = sum(batch.nbytes for batch in batches)
    assert size <= limit
    assert result.bytes_returned == size
    assert result.rows == sum(batch.num_rows for batch in batches)
    assert result.truncated == (result.rows < 20_000)
    assert size > limit - 100 or not result.truncated


def test_empty_batches_are_not_handed_out(connector: Connector) -> None:
    with connector.query(ROWS.format(10), limits=Limits(max_rows=0)) as result:
        assert list(result) == []


# Time


def test_deadline_ends_the_query_in_the_server(
    watched: Connector, activity: Callable[[], list[tuple[str, str]]]
) -> None:
    started = time.monotonic()
    with pytest.raises(QueryTimeout):
        watched.query(SLEEP, limits=Limits(timeout_s=0.3)).read_all()
    assert time.monotonic() - started < 3
    assert not [state for state, _ in activity() if state == "active"]


def test_time_counts_from_the_start_of_the_query(connector: Connector) -> None:
    result = connector.query(ROWS.format(50_000), limits=Limits(timeout_s=0.4))
    batches = iter(result)
    next(batches)
    wait_for(lambda: time.monotonic() > result._deadline)
    with pytest.raises(QueryTimeout):
        list(batches)
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1


# Cancelling


def test_cancel_reaches_the_server_and_its_reader(
    watched: Connector, activity: Callable[[], list[tuple[str, str]]]
) -> None:
    result = watched.query(SLEEP, run_id="r-1")
    reader, raised = run(result.read_all)
    wait_for(lambda: any(state == "active" for state, _ in activity()))
    started = time.monotonic()
    assert watched.cancel("r-1")
    reader.join(5)
    assert time.monotonic() - started < 5
    assert [type(exc) for exc in raised] == [QueryCancelled]
    wait_for(lambda: not any(state == "active" for state, _ in activity()))
    assert watched.query("SELECT 1 AS one").read_all().num_rows == 1


def test_cancel_between_two_batches_ends_the_reading(connector: Connector) -> None:
    result = connector.query(ROWS.format(50_000), run_id="r-1")
    batches = iter(result)
    next(batches)
    result.cancel()
    with pytest.raises(QueryCancelled):
        list(batches)
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1


def test_only_a_run_that_runs_can_be_cancelled(connector: Connector) -> None:
    assert not connector.cancel("r-1")
    connector.query("SELECT 1 AS one", run_id="r-1").read_all()
    assert not connector.cancel("r-1")
    with connector.query("SELECT 1 AS one", run_id="r-2"):
        assert not connector.cancel("r-1")
    assert not connector.cancel("r-2")


# Closing


def in_transaction(states: list[tuple[str, str]]) -> bool:
    return any(state != "idle" for state, _ in states)


@pytest.mark.parametrize(
    "use",
    [
        lambda result: result.close(),
        lambda result: next(iter(result)),
        lambda result: result.read_all(),
        lambda result: [*result, result.close()],
    ],
    ids=["unread", "half read", "read", "read and closed"],
)
def test_closed_result_leaves_no_transaction(
    watched: Connector,
    activity: Callable[[], list[tuple[str, str]]],
    use: Callable[[Result], Any],
) -> None:
    with watched.query(ROWS.format(50_000)) as result:
        assert in_transaction(activity())
        use(result)
    assert len(activity()) == 1
    assert not in_transaction(activity())


def test_failed_query_leaves_no_transaction(
    watched: Connector, activity: Callable[[], list[tuple[str, str]]]
) -> None:
    for sql in (
        "SELECT * FROM no_such_table",
        "SELECT 1 / (g - 5) AS x FROM generate_series(1, 9) g",
    ):
        with pytest.raises(ConnectorError):
            watched.query(sql).read_all()
        assert not in_transaction(activity())


def test_error_in_the_middle_comes_after_the_rows_before_it(connector: Connector) -> None:
    last = 2 * BATCH_ROWS
    with connector.query(f"SELECT 1 / ({last} - g) AS x FROM generate_series(1, {last}) g") as rows:
        seen: list[int] = []
        with pytest.raises(DataError):
            seen.extend(batch.num_rows for batch in rows)
        assert 0 < sum(seen) < last


def test_wide_rows_come_in_small_batches(connector: Connector) -> None:
    wide = "SELECT repeat('x', 100000) AS x FROM generate_series(1, 2000)"
    with connector.query(wide) as result:
        sizes = [batch.nbytes for batch in result]
    assert result.rows == 2000
    assert max(sizes) < 20 * 2**20


def test_silent_server_is_given_up_at_the_deadline(opened: Callable[..., Connector]) -> None:
    """The server's process is stopped: it keeps the connection and answers nothing."""
    connector = opened("postgres")
    pid = connector.query("SELECT pg_backend_pid() AS pid").read_all()["pid"][0].as_py()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(QueryTimeout):
            connector.query("SELECT 1 AS one", limits=Limits(timeout_s=1)).read_all()
        assert time.monotonic() - began < 15
    finally:
        os.kill(pid, signal.SIGCONT)


def test_closed_connector_leaves_no_session(
    watched: Connector, activity: Callable[[], list[tuple[str, str]]]
) -> None:
    watched.query("SELECT 1 AS one")
    watched.close()
    wait_for(lambda: activity() == [])


def test_schema_is_known_before_the_first_row(connector: Connector) -> None:
    with connector.query(SLEEP) as result:
        assert result.schema == pa.schema([pa.field("slept", pa.string())])
