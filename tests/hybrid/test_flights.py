"""One fetch serves all who wait for it, and one that dies holds up nobody for long."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection as database

from connectors.errors import QueryCancelled, QueryTimeout
from tests.hybrid.asking import NOW, SLOW, ask, begin, tell, told
from tests.waiting import wait_for
from warehouse import connections, query_executor
from warehouse.hybrid import cache, flights
from warehouse.models import CachedResult, CacheStatus, WarehouseConnection
from warehouse.statements import Statement

pytestmark = pytest.mark.django_db(transaction=True)

Asked = Future[tuple[list[dict[str, Any]], Any]]


@pytest.fixture
def asking(hybrid: WarehouseConnection) -> Iterator[Callable[[str], Asked]]:
    """Asks in another thread."""

    def work(sql: str) -> Any:
        try:
            return ask(hybrid, sql)
        finally:
            database.close()

    with ThreadPoolExecutor(2) as others:
        yield lambda sql: others.submit(work, sql)


@pytest.fixture
def fetching(asking: Callable[[str], Asked]) -> Asked:
    """Another is on its way to fetch SLOW."""
    asked = asking(SLOW)
    wait_for(is_fetched)
    return asked


def is_fetched() -> bool:
    return CachedResult.all_teams.filter(status=CacheStatus.FETCHING).exists()


def test_processes_ask_the_warehouse_once(
    asking: Callable[[str], Asked], hybrid: WarehouseConnection
) -> None:
    other = begin(hybrid, SLOW)
    tell(other)
    mine = [asking(SLOW) for _ in range(2)]
    answers = [asked.result() for asked in mine]
    theirs = told(other)
    assert {rows[0]["at"] for rows, _ in answers} == {theirs["rows"][0]["at"]}
    kept = [theirs["cached"], *(run.origin.cached for _, run in answers)]
    assert sorted(kept) == [False, True, True]


def test_killed_fetcher_holds_up_nobody_for_long(
    asking: Callable[[str], Asked], hybrid: WarehouseConnection
) -> None:
    doomed = begin(hybrid, SLOW)
    tell(doomed)
    wait_for(is_fetched)
    doomed.kill()
    doomed.communicate()
    started = time.monotonic()
    answers = [asked.result() for asked in [asking(SLOW) for _ in range(2)]]
    assert time.monotonic() - started < flights.LEASE_S + 4
    assert answers[0][0] == answers[1][0]
    assert sorted(run.origin.cached for _, run in answers) == [False, True]
    assert CachedResult.all_teams.get().status == CacheStatus.READY


def test_fetch_that_takes_longer_than_a_lease_stays_its_fetchers(
    asking: Callable[[str], Asked], hybrid: WarehouseConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "LEASE_S", 0.6)
    monkeypatch.setattr(flights, "BEAT_S", 0.1)
    fetcher = asking(SLOW)
    wait_for(is_fetched)
    rows, run = ask(hybrid, SLOW)
    assert run.origin.cached
    assert fetcher.result()[0] == rows


def test_waiting_ends_at_the_querys_own_time_limit(
    fetching: Asked, hybrid: WarehouseConnection
) -> None:
    hybrid.config = {"timeout_s": 1}
    began = time.monotonic()
    with pytest.raises(QueryTimeout):
        ask(hybrid, SLOW)
    assert time.monotonic() - began < 1.4
    assert fetching.result()[0]


def test_waiting_can_be_cancelled_and_the_fetch_goes_on(
    fetching: Asked, hybrid: WarehouseConnection
) -> None:
    run = query_executor.run(hybrid, Statement(SLOW))
    threading.Timer(0.2, run.cancel).start()
    with run, pytest.raises(QueryCancelled):
        run.start()
    rows, kept = ask(hybrid, SLOW)
    assert kept.origin.cached
    assert fetching.result()[0] == rows


def test_earlier_fetch_is_not_waited_for_by_whoever_wants_it_anew(
    fetching: Asked, hybrid: WarehouseConnection
) -> None:
    rows, run = ask(hybrid, SLOW, max_age_s=0)
    assert not run.origin.cached
    assert fetching.result()[0] != rows


def test_fetch_that_is_invalidated_under_way_is_not_kept(
    fetching: Asked, hybrid: WarehouseConnection
) -> None:
    assert cache.invalidate(hybrid.team_id, hybrid) == 1
    assert fetching.result()[0]
    assert not CachedResult.all_teams.exists()


@pytest.mark.parametrize("end", ["fails", "goes away"])
def test_next_who_waits_takes_over_when_the_fetcher(
    asking: Callable[[str], Asked], hybrid: WarehouseConnection, end: str
) -> None:
    sql = NOW + " FROM generate_series(1, 100000)"
    with query_executor.run(hybrid, Statement(sql)) as first:
        first.start()
        waiting = asking(sql)
        # Time enough to have asked the warehouse itself.
        time.sleep(0.3)
        assert not waiting.done()
        if end == "fails":
            first.cancel()
            with pytest.raises(QueryCancelled):
                list(first)
    rows, run = waiting.result()
    assert rows
    assert not run.origin.cached


def test_deleted_connection_leaves_no_answer(hybrid: WarehouseConnection) -> None:
    ask(hybrid)
    connections.delete(hybrid)
    assert not CachedResult.all_teams.exists()
