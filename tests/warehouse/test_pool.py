"""Sessions are kept between queries: how many, for how long, and when not."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection as database

from connectors.errors import (
    ConnectionLost,
    ConnectorError,
    HostRefused,
    QueryCancelled,
    WarehouseBusy,
)
from connectors.types import Limits
from tests.api.conftest import Sessions
from tests.waiting import until
from warehouse import connections, pool, query_executor
from warehouse.direct import DirectRun
from warehouse.errors import ConnectionPaused, CredentialsUnreadable
from warehouse.models import Team, WarehouseConnection
from warehouse.statements import Statement

pytestmark = pytest.mark.django_db
across_threads = pytest.mark.django_db(transaction=True)

Save = Callable[..., WarehouseConnection]
PID = "SELECT pg_backend_pid()"


def ask(connection: WarehouseConnection, sql: str = PID) -> Any:
    """The first value of a query, which is read to its end."""
    try:
        with query_executor.run(connection, Statement(sql)) as run:
            run.start()
            return value_of(run)
    finally:
        if threading.current_thread() is not threading.main_thread():
            database.close()


def value_of(run: DirectRun) -> Any:
    """The only value of a run that has been started."""
    return next(value for batch in list(run) for value in batch.column(0).to_pylist())


def test_everything_one_thread_asks_goes_through_one_session(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    pids = {ask(shop) for _ in range(5)}
    query_executor.plan(shop, Statement("SELECT 1"))
    query_executor.list_tables(shop, limit=10)
    assert pids == set(sessions.pids())


@across_threads
def test_every_thread_has_its_own(shop: WarehouseConnection, sessions: Sessions) -> None:
    mine = ask(shop)
    with ThreadPoolExecutor(1) as other:
        theirs = {other.submit(ask, shop).result() for _ in range(3)}
    assert len(theirs) == 1
    assert set(sessions.pids()) == {mine, *theirs}
    assert ask(shop) == mine


def test_teams_share_no_session_whatever_their_credentials(
    save: Save, team: Team, other_team: Team
) -> None:
    mine, theirs = save(of=team), save(of=other_team)
    assert mine.read_credentials() == theirs.read_credentials()
    assert len({ask(mine), ask(theirs), ask(save(name="another", of=team))}) == 3


@across_threads
def test_changed_credentials_end_the_old_sessions_of_all_threads(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    with ThreadPoolExecutor(1) as other:
        old = {ask(shop), other.submit(ask, shop).result()}
    shop = connections.update(shop, {"credentials": {"database": "postgres"}})
    new = ask(shop)
    assert new not in old
    assert sessions.become([new])


@pytest.mark.parametrize("change", ["update", "delete"])
def test_change_ends_them_at_once_where_it_was_made(
    shop: WarehouseConnection,
    sessions: Sessions,
    change: str,
    django_capture_on_commit_callbacks: Any,
) -> None:
    ask(shop)
    with django_capture_on_commit_callbacks(execute=True):
        if change == "delete":
            connections.delete(shop)
        else:
            connections.update(shop, {"is_active": False})
    assert sessions.become([])


def test_session_in_use_ends_with_its_use_when_the_credentials_have_changed(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    with query_executor.run(shop, Statement(PID)) as run:
        run.start()
        pool.pool.drop(shop.pk)
        assert sessions.pids() == [value_of(run)]
    assert sessions.become([])


def test_paused_connection_keeps_no_session(shop: WarehouseConnection, sessions: Sessions) -> None:
    ask(shop)
    shop.is_active = False
    with pytest.raises(ConnectionPaused):
        ask(shop)
    assert sessions.become([])


def test_network_policy_of_now_counts(
    shop: WarehouseConnection, sessions: Sessions, settings: Any
) -> None:
    ask(shop)
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = []
    with pytest.raises(HostRefused):
        ask(shop)
    assert sessions.become([])


def test_prices_of_now_count(save: Save) -> None:
    connection = save("redshift")
    with connections.leased(connection) as lease:
        assert lease.connector.prices.source().startswith("list prices")
    connection.config = {"prices": {"per_rpu_hour": "0.2"}}
    with connections.leased(connection) as lease:
        assert lease.connector.prices.given() == {"per_rpu_hour": "0.2"}


def test_idle_session_is_closed_and_no_thread_is_left(
    shop: WarehouseConnection, sessions: Sessions, settings: Any
) -> None:
    settings.WAREHOUSE_POOL_IDLE_S = 0.3
    ask(shop)
    assert len(sessions.pids()) == 1
    assert sessions.become([])
    for thread in threading.enumerate():
        if thread.name == "pool":
            thread.join(5)
            assert not thread.is_alive()


def test_without_idle_time_none_is_kept(
    shop: WarehouseConnection, sessions: Sessions, settings: Any
) -> None:
    settings.WAREHOUSE_POOL_IDLE_S = 0
    ask(shop)
    assert sessions.become([])


@pytest.mark.parametrize(
    ("sql", "reused"),
    [
        ("DROP TABLE x", True),  # refused before it is sent
        ("SELECT * FROM no_such_table", True),
        ("SELECT 1 / (g - 5000) FROM generate_series(1, 9000) AS g", True),
        ("SELECT pg_sleep(60)", False),  # beyond its time
    ],
)
def test_failed_query_leaves_one_session_at_most(
    shop: WarehouseConnection, sessions: Sessions, sql: str, reused: bool
) -> None:
    shop.config = {"timeout_s": 1}
    before = ask(shop)
    with pytest.raises(ConnectorError):
        ask(shop, sql)
    after = ask(shop)
    assert (after == before) is reused
    assert sessions.become([after])


def test_session_that_was_lost_is_not_used_again(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    lost = ask(shop)
    with query_executor.run(shop, Statement("SELECT generate_series(1, 1000000)")) as run:
        run.start()
        sessions.end(lost)
        with pytest.raises(ConnectionLost):
            list(run)
    new = ask(shop)
    assert new != lost
    assert sessions.become([new])


def test_session_ended_while_it_was_idle_costs_no_query(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    sessions.end(ask(shop))
    assert sessions.become([])
    assert ask(shop) in sessions.pids()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ValueError])
def test_use_that_ends_in_what_nobody_foresaw_leaves_no_session(
    shop: WarehouseConnection, sessions: Sessions, error: type[BaseException]
) -> None:
    ask(shop)
    with pytest.raises(error), connections.leased(shop):
        raise error()
    assert sessions.become([])


def test_connector_that_cannot_be_made_takes_no_room(
    shop: WarehouseConnection, settings: Any
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 1
    whole, shop.encrypted_credentials = shop.encrypted_credentials, "{}"
    for _ in range(3):
        with pytest.raises(CredentialsUnreadable):
            ask(shop)
    shop.encrypted_credentials = whole
    assert ask(shop)


def test_session_whose_result_was_not_closed_is_not_used_again(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    with connections.leased(shop) as lease:
        lease.connector.query("SELECT generate_series(1, 1000000)", (), Limits(), "left-open")
    assert sessions.become([])


def test_result_that_nobody_reads_to_its_end_gives_its_session_back(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    with query_executor.run(
        shop, Statement("SELECT generate_series(1, 9000), pg_backend_pid()")
    ) as run:
        run.start()
        next(iter(run))
    assert [ask(shop)] == sessions.pids()


def test_cancelled_query_ends_its_session_and_no_other(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    ask(shop)
    with (
        query_executor.run(shop, Statement("SELECT pg_sleep(60)")) as run,
        ThreadPoolExecutor(1) as other,
    ):
        cancelled = other.submit(sessions.once_busy, run.cancel)
        run.start()
        with pytest.raises(QueryCancelled):
            list(run)
        assert cancelled.result() is True
    assert sessions.become([])


def test_cancel_that_comes_late_hits_no_later_query(shop: WarehouseConnection) -> None:
    with query_executor.run(shop, Statement(PID)) as never:
        assert never.cancel() is False  # not sent yet
        with pytest.raises(QueryCancelled):
            never.start()
    with query_executor.run(shop, Statement(PID)) as first:
        first.start()
        pid = value_of(first)
    with query_executor.run(shop, Statement("SELECT pg_backend_pid(), pg_sleep(0.2)")) as second:
        with ThreadPoolExecutor(1) as other:
            cancelled = other.submit(first.cancel)
            second.start()
        assert cancelled.result() is True  # it is over, there is nothing to try again
        assert value_of(second) == pid


@across_threads
def test_sessions_of_many_threads_and_connections_are_bounded(
    save: Save, sessions: Sessions, settings: Any, monkeypatch: pytest.MonkeyPatch, team: Team
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 2
    monkeypatch.setattr(pool, "MAX_SESSIONS", 5)
    shops = [save(name=f"shop {number}") for number in range(4)]
    count = (
        "SELECT count(*), pg_sleep(0.02) FROM pg_stat_activity "
        f"WHERE application_name LIKE '%{str(team.pk)[:16]}%' AND state <> 'idle'"
    )
    with ThreadPoolExecutor(12) as threads:
        seen = list(threads.map(lambda number: ask(shops[number % 4], count), range(60)))
    assert 1 < max(seen) <= 5
    # A server takes a moment to see that a session is over.
    assert until(lambda: len(sessions.pids()) <= 5)


@across_threads
def test_one_connection_cannot_take_more_than_its_share(
    shop: WarehouseConnection, sessions: Sessions, settings: Any
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 2
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ask(shop, "SELECT pg_sleep(0.02)"), range(24)))
    assert until(lambda: len(sessions.pids()) <= 2)


def test_use_without_room_is_refused_after_a_while(
    shop: WarehouseConnection, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 1
    monkeypatch.setattr(pool, "WAIT_S", 0.1)
    with connections.leased(shop), pytest.raises(WarehouseBusy), connections.leased(shop):
        pytest.fail("There was room.")
    assert ask(shop)


def test_longest_unused_makes_room(
    save: Save, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_SESSIONS", 2)
    first, second, third = (save(name=name) for name in "abc")
    pids = [ask(first), ask(second), ask(third)]
    assert sessions.become(pids[1:])


def test_child_of_a_fork_opens_its_own_and_leaves_its_parents_alone(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    mine = ask(shop)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.write(writing, str(ask(shop)).encode())
            pool.pool.close()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        theirs = int(told.read())
    os.waitpid(child, 0)
    assert theirs != mine
    assert ask(shop) == mine
    assert sessions.become([mine])


def test_fork_in_the_middle_of_a_use_leaves_it_to_the_parent(
    shop: WarehouseConnection, sessions: Sessions
) -> None:
    with connections.leased(shop) as lease:
        mine = lease.connector.query(PID).read_all().column(0)[0].as_py()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                # What the parent does when its use ends.
                pool.pool._give_back(lease._session)
            os._exit(0)
        os.waitpid(child, 0)
    assert ask(shop) == mine
    assert sessions.become([mine])
