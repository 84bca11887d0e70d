"""The life of a query over the API: its entry in the books, its rows later, its end."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as database
from django.utils import timezone
from rest_framework.test import APIClient

from tests.api.conftest import Ask, Sessions
from tests.api.shapes import problem, result
from tests.service.running import Running, environment
from tests.store.running import Engine
from tests.waiting import until, wait_for
from warehouse import accounts, background, connections, tasks
from warehouse.models import ConnectionMode, QueryRun, Team, WarehouseConnection
from warehouse.store import client, names

pytestmark = pytest.mark.django_db(transaction=True)

Clients = Callable[[str], APIClient]
SECRET = "a-value-that-nobody-writes-down"
SLEEPS = "SELECT pg_sleep(60)"
MANY = "SELECT n, repeat('x', 50) AS word FROM generate_series(1, 5000) AS n"


@pytest.fixture
def url(team: Team) -> str:
    return f"/api/environments/{team.pk}/queries/"


@pytest.fixture
def worker(tmp_path_factory: pytest.TempPathFactory, empty_engine: Engine) -> Iterator[Running]:
    """Celery in a process of its own, with the store."""
    options = ["-A", "service", "worker", "--pool", "threads", "--concurrency", "2"]
    env = environment(STORE_PATH=str(empty_engine.home.path), QUERY_MAX_ROWS="1000000")
    running = Running(tmp_path_factory.mktemp("worker"), "celery", *options, env=env)
    yield running
    running.stop()


def native(text: str, **more: Any) -> dict[str, Any]:
    return {"query": text, "dialect": "native", "connection": "shop", **more}


def entry(of: APIClient, url: str, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = of.get(f"{url}{run_id}/").json()
    return found


def test_query_over_a_connection_is_in_the_books(
    ask: Ask, alice: APIClient, url: str, shop: WarehouseConnection
) -> None:
    answer = ask("SELECT %s::text AS word", params=[SECRET])
    found = result(answer)
    assert answer["Query-Run-Id"] == found["run_id"]
    shown = entry(alice, url, found["run_id"])
    assert (shown["user"], shown["connection"]) == ("alice", "shop")
    assert (shown["text"], shown["dialect"]) == ("SELECT %s::text AS word", "native")
    assert (shown["mode"], shown["outcome"], shown["error"]) == ("push_down", "succeeded", None)
    assert (shown["rows"], shown["truncated"], shown["cached"]) == (1, False, False)
    assert (shown["bytes_billed"], shown["estimate"]["cost"]["low"]) == (None, None)
    assert (shown["amount_billed"], shown["billed_in"]) == (None, "")
    assert shown["duration_s"] >= 0
    assert not shown["has_rows"]
    problem(alice.get(f"{url}{shown['id']}/result/"), 410, "result_gone")
    assert SECRET not in str(QueryRun.all_teams.values())


def test_query_over_everything_says_how_it_went(
    own_store: Engine, alice: APIClient, url: str
) -> None:
    answer = alice.post(url, {"query": "SELECT count() AS n FROM events WHERE event = {e}",
                              "values": {"e": SECRET}})  # fmt: skip
    shown = entry(alice, url, result(answer)["run_id"])
    assert (shown["mode"], shown["outcome"], shown["bytes_billed"]) == ("local", "succeeded", 0)
    assert (shown["plan"][0]["connection"], shown["connection"]) == (None, None)
    assert "COUNT(" in shown["plan"][0]["sql"]
    assert shown["estimate"]["cost"] == {
        "low": "0.000000", "high": "0.000000", "currency": "", "basis": "exact",
    }  # fmt: skip
    assert SECRET not in str(QueryRun.all_teams.values())


def test_native_sql_needs_a_connection_and_hogql_none(
    alice: APIClient, url: str, shop: WarehouseConnection
) -> None:
    assert result(alice.post(url, native("SELECT 7 AS n")))["rows"] == [[7]]
    by_id = native("SELECT %s::int AS n", params=[8]) | {"connection": str(shop.pk)}
    assert result(alice.post(url, by_id))["rows"] == [[8]]
    for body, field in (
        ({"query": "SELECT 1", "dialect": "native"}, "connection"),
        (native("SELECT 1") | {"connection": "theirs"}, "connection"),
        ({"query": "SELECT 1", "connection": "shop"}, "connection"),
        ({"query": "SELECT 1", "params": [1]}, "params"),
        (native("SELECT 1", values={"a": 1}), "values"),
        (native("SELECT 1", wait_s=61), "wait_s"),
        ({"sql": "SELECT 1"}, "sql"),
    ):
        assert field in problem(alice.post(url, body), 400, "invalid_input")["fields"]


def test_failure_is_in_the_books_with_its_code(ask: Ask, alice: APIClient, url: str) -> None:
    problem(ask("SELECT nope FROM pg_class"), 400, "object_not_found")
    (shown,) = alice.get(url).json()["results"]
    assert (shown["outcome"], shown["error"]["code"]) == ("failed", "object_not_found")
    assert shown["rows"] is None


def test_answer_that_was_kept_costs_nothing(
    ask: Ask, alice: APIClient, url: str, shop: WarehouseConnection
) -> None:
    connections.update(shop, {"mode": ConnectionMode.HYBRID})
    first, second = (result(ask("SELECT 1 AS n"))["run_id"] for _ in range(2))
    assert entry(alice, url, first)["cached"] is False
    shown = entry(alice, url, second)
    assert (shown["cached"], shown["bytes_billed"], shown["rows"]) == (True, 0, 1)
    assert (shown["amount_billed"], shown["billed_in"]) == ("0.000000", "")


def test_reader_who_leaves_ends_it(ask: Ask, alice: APIClient, url: str) -> None:
    answer = ask("SELECT generate_series(1, 1000000) AS n")
    next(iter(answer))
    answer.close()
    (shown,) = alice.get(url).json()["results"]
    assert (shown["outcome"], shown["error"]["code"]) == ("cancelled", "query_cancelled")


def test_newest_come_first_page_by_page_and_by_outcome(
    ask: Ask, alice: APIClient, url: str
) -> None:
    ran = [result(ask(f"SELECT {n} AS n"))["run_id"] for n in range(3)]
    problem(ask("SELECT nope"), 400, "object_not_found")
    found = alice.get(url, {"outcome": "succeeded", "page_size": 2}).json()
    assert [run["id"] for run in found["results"]] == [ran[2], ran[1]]
    assert [run["id"] for run in alice.get(found["next"]).json()["results"]] == [ran[0]]
    assert problem(alice.get(url, {"outcome": "odd"}), 400, "invalid_input")


def test_runs_are_found_by_connection_user_and_time(
    client_of: Clients, alice: APIClient, url: str, shop: WarehouseConnection, own_store: Engine,
    vault: psycopg.Connection[Any],
) -> None:  # fmt: skip
    vault.execute("CREATE TABLE orders (id bigint)")
    hers = result(alice.post(url, native("SELECT 1 AS n")))["run_id"]
    his = result(client_of("bob").post(url, {"query": "SELECT id FROM orders"}))["run_id"]
    stored = result(alice.post(url, {"query": "SELECT count() AS n FROM events"}))["run_id"]
    between = QueryRun.all_teams.get(pk=his).created_at.isoformat()

    def ids(**filters: str) -> set[str]:
        answer = alice.get(url, filters)
        assert answer.status_code == 200, answer.json()
        return {run["id"] for run in answer.json()["results"]}

    assert ids(connection="shop") == ids(connection=str(shop.pk)) == {hers, his}
    assert ids(user="bob") == {his}
    assert (ids(since=between), ids(until=between)) == ({his, stored}, {hers})
    assert ids(user="nobody") == set()
    for name, value in (("connection", "theirs"), ("since", "soon"), ("status", "failed")):
        found = problem(alice.get(url, {name: value}), 400, "invalid_input")
        assert set(found["fields"]) == {name}


def test_teammates_see_that_it_ran_and_not_what(
    client_of: Clients, alice: APIClient, url: str, ask: Ask, shop: WarehouseConnection
) -> None:
    bob, vera = client_of("bob"), client_of("vera")
    his = result(bob.post(url, native("SELECT 1 AS his")))["run_id"]
    hers = result(ask("SELECT 1 AS hers"))["run_id"]
    assert entry(alice, url, his)["text"] == "SELECT 1 AS his"
    assert entry(bob, url, his)["text"] == "SELECT 1 AS his"
    for other, run_id in ((bob, hers), (vera, his)):
        shown = entry(other, url, run_id)
        assert (shown["text"], shown["plan"], shown["rows"]) == (None, None, 1)
        problem(other.post(f"{url}{run_id}/cancel/"), 403, "forbidden")
        problem(other.get(f"{url}{run_id}/result/"), 403, "forbidden")
    problem(client_of("charlie").get(f"{url}{his}/"), 404, "not_found")


def test_cancel_reaches_the_warehouse(
    alice: APIClient, url: str, shop: WarehouseConnection, sessions: Sessions
) -> None:
    """Whoever asks for it need not be the process that runs the query."""
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(_posted, alice, url, native(SLEEPS))
        (shown,) = sessions.once_busy(lambda: alice.get(url).json()["results"])
        assert (shown["outcome"], shown["finished_at"]) == ("running", None)
        asked = time.monotonic()
        assert alice.post(f"{url}{shown['id']}/cancel/").status_code == 202
        problem(asking.result(), 400, "query_cancelled")
    assert time.monotonic() - asked < 5
    assert entry(alice, url, shown["id"])["outcome"] == "cancelled"
    assert until(lambda: not sessions.pids("active"))


def _posted(client: APIClient, url: str, body: dict[str, Any]) -> Any:
    """From another thread."""
    try:
        return client.post(url, body)
    finally:
        database.close()


def test_query_that_is_cancelled_while_it_waits_for_a_session_is_cancelled(
    alice: APIClient, url: str, shop: WarehouseConnection, settings: Any
) -> None:
    settings.WAREHOUSE_POOL_SIZE = 1
    with ThreadPoolExecutor(1) as other, connections.leased(shop):
        asking = other.submit(_posted, alice, url, native("SELECT 1"))
        (shown,) = wait_for(lambda: alice.get(url).json()["results"])
        assert alice.post(f"{url}{shown['id']}/cancel/").status_code == 202
        problem(asking.result(), 400, "query_cancelled")
    assert entry(alice, url, shown["id"])["outcome"] == "cancelled"


def test_run_whose_process_is_gone_is_ended(alice: APIClient, url: str, ask: Ask) -> None:
    run_id = result(ask("SELECT 1"))["run_id"]
    long_ago = timezone.now() - timedelta(seconds=accounts.LOST_S + 1)
    rows = QueryRun.all_teams.filter(pk=run_id)
    rows.update(outcome="running", finished_at=None, heartbeat_at=timezone.now())
    assert entry(alice, url, run_id)["outcome"] == "running"
    rows.update(heartbeat_at=long_ago)
    shown = entry(alice, url, run_id)
    assert (shown["outcome"], shown["error"]["code"]) == ("failed", "query_abandoned")


def test_whoever_waits_for_a_worker_hears_that_it_is_gone(
    alice: APIClient, url: str, shop: WarehouseConnection
) -> None:
    waiting = alice.post(url, native("SELECT 1", wait_s=0)).json()["id"]
    assert accounts.claim(waiting)
    silent = timezone.now() - timedelta(seconds=accounts.LOST_S)
    QueryRun.all_teams.filter(pk=waiting).update(heartbeat_at=silent)
    began = time.monotonic()
    ended = background.await_end(QueryRun.all_teams.get(pk=waiting), 30)
    assert (ended.outcome, ended.error_code) == ("failed", "query_abandoned")
    assert time.monotonic() - began < 5


def test_what_takes_longer_goes_on_in_a_worker(
    worker: Running, own_store: Engine, alice: APIClient, url: str, shop: WarehouseConnection,
    sessions: Sessions, client_of: Clients,
) -> None:  # fmt: skip
    slow = native("SELECT %s::text AS word, pg_sleep(1)::text AS slept", params=[SECRET], wait_s=0)
    answer = alice.post(url, slow)
    assert answer.status_code == 202, answer.content
    place = answer["Location"]
    assert place.endswith(f"{url}{answer.json()['id']}/")
    problem(alice.get(f"{place}result/"), 409, "query_running")
    assert SECRET not in str(QueryRun.all_teams.values())
    shown = wait_for(lambda: (s := alice.get(place).json())["outcome"] != "running" and s, 20)
    assert (shown["outcome"], shown["has_rows"]) == ("succeeded", True)
    assert shown["estimate"]["bytes_scanned"] is not None
    (leg,) = shown["plan"]
    assert leg["connection"] == "shop"
    assert leg["estimate"]["bytes_scanned"] == shown["estimate"]["bytes_scanned"]
    assert leg["estimate"]["cost"] == shown["estimate"]["cost"]
    assert result(alice.get(f"{place}result/"))["rows"] == [[SECRET, ""]]
    assert QueryRun.all_teams.get().sealed_inputs == ""

    large = alice.post(url, native(MANY, wait_s=30))
    found = result(large)
    assert (found["row_count"], found["rows"][-1]) == (5000, [5000, "x" * 50])
    kept = QueryRun.all_teams.get(pk=found["run_id"])
    assert kept.in_store
    assert alice.get(f"{url}{kept.pk}/result/?format=csv").getvalue().count(b"\r\n") == 5001
    problem(alice.post(url, native("SELECT nope", wait_s=30)), 400, "object_not_found")
    problem(alice.post(url, {"query": "SELEC", "wait_s": 30}), 400, "hogql_syntax")

    waiting = alice.post(url, native(SLEEPS, wait_s=0)).json()["id"]
    sessions.once_busy(lambda: alice.post(f"{url}{waiting}/cancel/"))
    assert wait_for(lambda: entry(alice, url, waiting)["outcome"] == "cancelled", 5)

    QueryRun.all_teams.filter(pk=kept.pk).update(result_expires_at=timezone.now())
    problem(alice.get(f"{url}{kept.pk}/result/"), 410, "result_gone")
    tasks.sweep_cache()
    assert names.result_table(kept.pk) not in tables_of(kept)


def tables_of(run: QueryRun) -> list[str]:
    sql = "SELECT name FROM system.tables WHERE database = {db:String}"
    with client.owner().query(sql, {"db": names.database(run.team_id)}) as rows:
        return [str(name) for name in rows.read_all()["name"].to_pylist()]


def test_run_that_no_worker_has_taken_is_ended_at_once(
    alice: APIClient, url: str, shop: WarehouseConnection, settings: Any
) -> None:
    waiting = alice.post(url, native("SELECT 1", wait_s=0)).json()["id"]
    shown = alice.post(f"{url}{waiting}/cancel/").json()
    assert (shown["outcome"], shown["duration_s"]) == ("cancelled", None)
    background.execute(waiting)
    assert entry(alice, url, waiting)["outcome"] == "cancelled"


def test_run_that_is_cancelled_while_it_is_priced_is_not_sent(
    alice: APIClient, url: str, shop: WarehouseConnection, vault: psycopg.Connection[Any],
    sessions: Sessions,
) -> None:  # fmt: skip
    vault.execute("CREATE TABLE orders (id bigint)")
    waiting = alice.post(url, native("SELECT count(*) FROM orders", wait_s=0)).json()["id"]
    with ThreadPoolExecutor(1) as other:
        with vault.transaction():
            # Not even its plan can be made meanwhile.
            vault.execute("LOCK TABLE orders")
            worker = other.submit(_executed, waiting)
            sessions.once_busy(lambda: alice.post(f"{url}{waiting}/cancel/"))
            _beat_twice(waiting)
        worker.result()
    assert entry(alice, url, waiting)["outcome"] == "cancelled"


def _beat_twice(run_id: str) -> None:
    """With one sign of life a worker hears of a cancel, and has acted on it before the next."""
    runs = QueryRun.all_teams.filter(pk=run_id)
    for _ in range(2):
        last = runs.get().heartbeat_at
        wait_for(runs.filter(heartbeat_at__gt=last).exists, 30)


def _executed(run_id: str) -> None:
    """From another thread."""
    try:
        background.execute(run_id)
    finally:
        database.close()


def test_rows_of_a_worker_take_none_of_the_room_for_kept_answers(
    alice: APIClient, url: str, shop: WarehouseConnection, settings: Any
) -> None:
    settings.STORE_CACHE_MB = 0
    waiting = alice.post(url, native("SELECT 7 AS n", wait_s=0)).json()["id"]
    background.execute(waiting)
    assert result(alice.get(f"{url}{waiting}/result/"))["rows"] == [[7]]


def test_rows_of_a_worker_are_kept_as_far_as_a_team_has_room(
    own_store: Engine, alice: APIClient, url: str, shop: WarehouseConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def kept(sql: str) -> str:
        run_id: str = alice.post(url, native(sql, wait_s=0)).json()["id"]
        background.execute(run_id)
        return run_id

    first, second = kept(MANY), kept("SELECT 1 AS n")
    large = QueryRun.all_teams.get(pk=first)
    assert names.result_table(large.pk) in tables_of(large)
    monkeypatch.setattr(background, "ROOM_BYTES", large.result_bytes)
    third = kept("SELECT 1 AS n")
    problem(alice.get(f"{url}{first}/result/"), 410, "result_gone")
    assert names.result_table(large.pk) not in tables_of(large)
    for run_id in (second, third):
        assert result(alice.get(f"{url}{run_id}/result/"))["row_count"] == 1
