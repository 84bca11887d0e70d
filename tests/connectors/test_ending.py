"""The contract of ending a query: whoever ends it, the warehouse's own history shows it ended."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from connectors import Connector, Limits
from connectors.errors import ConnectorError, QueryCancelled, QueryTimeout
from tests.connectors.helpers import drain, nothing_is_left
from tests.connectors.history import History, Ran
from tests.connectors.subject import Subject
from tests.waiting import wait_for

ENDED_WITHIN_S = 5
SEEN_WITHIN_S = 10
TIMES = 8
# So that a query that nobody ends does not hold the tests up for long.
LIMIT_S = 20


@dataclass
class Watched:
    """A connector of a test's own, and what the warehouse says of its statements."""

    connector: Connector
    history: History
    mark: str

    def entries(self) -> list[Ran]:
        return [ran for ran in self.history() if ran.has(self.mark)]

    def is_running(self) -> bool:
        return any(ran.running for ran in self.entries())

    def wait_until_seen(self) -> None:
        """The warehouse knows of it: what it then says of its end is said of this query."""
        wait_for(lambda: bool(self.entries()), SEEN_WITHIN_S)

    def wait_until_ended(self, since: float) -> None:
        wait_for(lambda: not self.is_running(), ENDED_WITHIN_S)
        assert time.monotonic() - since < ENDED_WITHIN_S

    def is_usable(self) -> bool:
        return drain(self.connector, "SELECT 1 AS one") == 1


@pytest.fixture(scope="module")
def history(subject: Subject) -> Iterator[History]:
    if not subject.row.watched_live:
        subject.needs_sandbox("the warehouse's own history is read in the stand-in's way")
    with subject.row.watch(subject.form) as latest:
        yield latest


@pytest.fixture
def watched(subject: Subject, history: History) -> Iterator[Watched]:
    mark = f"m_{uuid.uuid4().hex[:12]}"
    with subject.tagged(mark) as connector:
        yield Watched(connector, history, mark)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def started(
    watched: Watched, subject: Subject, threads: ThreadPoolExecutor, timeout_s: float = LIMIT_S
) -> Future[int]:
    """An endless query in another thread, which the warehouse says is running."""
    sql = subject.endless(watched.mark)
    running = threads.submit(drain, watched.connector, sql, timeout_s, watched.mark)
    wait_for(lambda: watched.is_running() or running.done(), SEEN_WITHIN_S)
    assert not running.done(), running.exception()
    return running


def error_of(running: Future[int], seconds: float) -> ConnectorError:
    error = running.exception(seconds)
    assert isinstance(error, ConnectorError)
    return error


def test_cancel_before_the_first_row_reaches_the_warehouse(
    subject: Subject, watched: Watched, threads: ThreadPoolExecutor
) -> None:
    running = started(watched, subject, threads)
    began = time.monotonic()
    assert watched.connector.cancel(watched.mark)
    assert isinstance(error_of(running, ENDED_WITHIN_S), QueryCancelled)
    watched.wait_until_ended(began)
    assert not watched.connector.cancel(watched.mark)
    assert watched.is_usable()


def test_cancel_of_what_was_only_just_sent_is_not_lost(
    subject: Subject, watched: Watched, threads: ThreadPoolExecutor
) -> None:
    assert watched.is_usable()
    sql = subject.endless(watched.mark)
    running = threads.submit(drain, watched.connector, sql, LIMIT_S, watched.mark)
    wait_for(lambda: watched.connector.cancel(watched.mark))
    began = time.monotonic()
    assert isinstance(error_of(running, ENDED_WITHIN_S), QueryCancelled)
    watched.wait_until_ended(began)
    assert watched.is_usable()


def test_timeout_before_the_first_row_reaches_the_warehouse(
    subject: Subject, watched: Watched, threads: ThreadPoolExecutor
) -> None:
    assert watched.is_usable()
    running = started(watched, subject, threads, timeout_s=2)
    began = time.monotonic()
    assert isinstance(error_of(running, 2 + ENDED_WITHIN_S), QueryTimeout)
    assert time.monotonic() - began < 2 + ENDED_WITHIN_S
    watched.wait_until_ended(time.monotonic())
    assert watched.is_usable()


def test_cancel_in_mid_stream_reaches_the_warehouse(subject: Subject, watched: Watched) -> None:
    result = watched.connector.query(subject.many(TIMES), run_id=watched.mark)
    batches = iter(result)
    assert next(batches).num_rows > 0
    watched.wait_until_seen()
    began = time.monotonic()
    assert watched.connector.cancel(watched.mark)
    with pytest.raises(QueryCancelled):
        list(batches)
    watched.wait_until_ended(began)
    assert watched.is_usable()


def test_timeout_in_mid_stream_reaches_the_warehouse(subject: Subject, watched: Watched) -> None:
    with pytest.raises(QueryTimeout):
        read_too_slowly(watched.connector, subject.many(TIMES), 4)
    watched.wait_until_ended(time.monotonic())
    assert watched.is_usable()


def read_too_slowly(connector: Connector, sql: str, limit_s: float) -> None:
    """A query whose reader is still busy with its first batch when its time is up."""
    # The query's own time begins a little later, when the guard has let it through.
    over = time.monotonic() + limit_s + 1
    for _ in connector.query(sql, limits=Limits(timeout_s=limit_s)):
        wait_for(lambda: time.monotonic() > over, limit_s + 2)


def test_closing_a_result_in_mid_stream_reaches_the_warehouse(
    subject: Subject, watched: Watched
) -> None:
    result = watched.connector.query(subject.many(TIMES), run_id=watched.mark)
    assert next(iter(result)).num_rows > 0
    watched.wait_until_seen()
    began = time.monotonic()
    result.close()
    watched.wait_until_ended(began)
    assert watched.is_usable()


def test_closing_the_connector_in_mid_stream_reaches_the_warehouse(
    subject: Subject, watched: Watched
) -> None:
    result = watched.connector.query(subject.many(TIMES), run_id=watched.mark)
    assert next(iter(result)).num_rows > 0
    watched.wait_until_seen()
    began = time.monotonic()
    watched.connector.close()
    watched.wait_until_ended(began)
    assert watched.is_usable()


def test_history_tells_whom_each_statement_was_for(
    subject: Subject, watched: Watched, threads: ThreadPoolExecutor
) -> None:
    # The session is older than the run that is looked for.
    assert watched.is_usable()
    run = f"run-{watched.mark}"
    sql = subject.endless(watched.mark)
    running = threads.submit(drain, watched.connector, sql, LIMIT_S, run)
    try:
        wait_for(lambda: any(run in ran.tags for ran in watched.entries()), SEEN_WITHIN_S)
        tags = next(ran.tags for ran in watched.entries() if run in ran.tags)
    finally:
        wait_for(lambda: watched.connector.cancel(run) or running.done())
    assert isinstance(error_of(running, ENDED_WITHIN_S), QueryCancelled)
    assert "acme" in tags
    assert "warehouse" in tags


def test_an_ended_query_leaves_nothing(
    subject: Subject, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_is_left(tmp_path), subject.connector() as connector:
        with pytest.raises(QueryTimeout):
            drain(connector, subject.endless("n"), timeout_s=1)
        with connector.query(subject.many(TIMES)) as result:
            next(iter(result))
