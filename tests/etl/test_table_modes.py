"""A table's own mode: what it means for queries, and that nothing of the one before is left."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as database
from rest_framework.test import APIClient

from connectors.errors import ConnectorError
from etl import pipelines, runner, sync, table_modes, tasks
from etl.models import Pipeline, PipelineRun, Trigger
from etl.pipelines import TableSpec
from etl.sync import Wish
from tests.api.shapes import problem, result
from tests.etl.conftest import succeed
from tests.etl.test_sync import stored
from tests.waiting import wait_for
from warehouse import connections, query_executor, synced
from warehouse.connections import Draft
from warehouse.models import CachedResult, ConnectionMode, TableMode, Team, WarehouseConnection
from warehouse.store import client
from warehouse.store.load.loader import StoreLoad

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_store")]

SYNC, DIRECT, HYBRID = ConnectionMode.SYNC, ConnectionMode.DIRECT, ConnectionMode.HYBRID
TABLE = {"schema": "public", "table": "records"}
WISH = Wish("public", "records")
COUNT = "SELECT count() AS n FROM vault.public.records"
NATIVE = "SELECT count(*) AS n FROM records"
Add = Callable[[int], None]


@pytest.fixture(autouse=True)
def _no_table_outlives_its_test(team: Team) -> Iterator[None]:
    yield
    client.drop_database(team.pk)


@pytest.fixture
def url(connections_url: str, source: WarehouseConnection, records: Add) -> str:
    return f"{connections_url}{source.pk}/table_modes/"


@pytest.fixture
def set_mode(alice: APIClient, url: str) -> Callable[..., Any]:
    """Over the API; the list as it is then."""

    def put(mode: str | None, **more: Any) -> Any:
        answer = alice.post(url, {**TABLE, "mode": mode, **more}, "json")
        assert answer.status_code == 200, answer.json()
        return answer.json()

    return put


@pytest.fixture
def ask(alice: APIClient, team: Team, connections_url: str, source: WarehouseConnection) -> Any:
    """The count of records, and whether it was kept; in HogQL over all, or the warehouse's SQL."""

    def post(*, native: bool = False) -> tuple[int, bool]:
        where = f"{connections_url}{source.pk}/query/" if native else f"{team_url}queries/"
        body = {"sql": NATIVE} if native else {"query": COUNT}
        found = result(alice.post(where, body, "json"))
        return int(found["rows"][0][0]), found["cached"]

    team_url = f"/api/environments/{team.pk}/"
    return post


def hybrid(source: WarehouseConnection) -> None:
    connections.update(source, {"mode": HYBRID})


# What queries get


def test_answers_on_a_hybrid_table_are_kept_though_its_connection_is_direct(
    set_mode: Any, ask: Any, records: Add
) -> None:
    records(3)
    set_mode("hybrid")
    assert ask() == (3, False)
    records(2)
    assert ask() == (3, True)
    # Which tables the warehouse's own SQL reads is not known.
    assert [ask(native=True), ask(native=True)] == [(5, False), (5, False)]
    set_mode(None)
    assert ask() == (5, False)


def test_answers_on_a_direct_table_are_not_kept_though_its_connection_is_hybrid(
    source: WarehouseConnection, set_mode: Any, ask: Any, records: Add
) -> None:
    hybrid(source)
    records(3)
    assert [ask(), ask(), ask(native=True), ask(native=True)] == [
        *((3, False), (3, True), (3, False), (3, True)),
    ]
    set_mode("direct")
    assert not CachedResult.all_teams.exists()
    assert [ask(), ask(), ask(native=True), ask(native=True)] == [(3, False)] * 4


def test_large_answer_leaves_the_store_with_the_mode(
    team: Team, set_mode: Any, records: Add, alice: APIClient
) -> None:
    records(4_000)
    set_mode("hybrid")
    text = "SELECT tenant, key, amount FROM vault.public.records"
    result(alice.post(f"/api/environments/{team.pk}/queries/", {"query": text}, "json"))
    assert wait_for(lambda: CachedResult.all_teams.filter(in_store=True, status="ready"), 10)
    assert len(stored(team)) == 1
    set_mode("hybrid")
    assert len(stored(team)) == 1, "nothing has changed"
    set_mode("direct")
    assert stored(team) == set()


def test_query_on_tables_of_two_modes_asks_the_warehouse(
    team: Team, set_mode: Any, records: Add, vault: psycopg.Connection[Any]
) -> None:
    records(3)
    vault.execute("CREATE TABLE others AS SELECT 1 AS id")
    vault.execute("GRANT SELECT ON others TO PUBLIC")
    set_mode("hybrid")
    text = "SELECT count() AS n FROM vault.public.records, vault.public.others"
    for _ in range(2):
        with query_executor.run_hogql(team, text) as run:
            run.start()
            assert [batch.to_pylist() for batch in run] == [[{"n": 3}]]
            assert not run.origin.cached


def test_stale_answer_of_a_hybrid_table_is_fetched_anew(
    team: Team, source: WarehouseConnection, set_mode: Any, ask: Any, records: Add
) -> None:
    from warehouse.hybrid.refresh import refresh

    connections.update(source, {"config": {"serve_stale_s": 60}})
    records(3)
    set_mode("hybrid")
    assert ask() == (3, False)
    records(2)
    refresh(str(CachedResult.objects.for_team(team).get().pk))
    assert ask() == (5, True)


# Switching


def test_table_goes_through_all_modes_and_leaves_nothing(
    team: Team, alice: APIClient, url: str, set_mode: Any, ask: Any, records: Add
) -> None:
    records(3)
    (shown,) = set_mode("sync", schedule="0 2 * * *")
    assert (shown["mode"], shown["as_of"], shown["rows"]) == ("sync", None, None)
    assert ask() == (3, False), "until it is there the warehouse is asked"
    runner.execute(PipelineRun.objects.get().pk)
    records(2)
    (shown,) = alice.get(url).json()
    assert (shown["mode"], shown["rows"]) == ("sync", 3)
    assert (shown["last_status"], shown["last_error"]) == ("succeeded", "")
    run = f"pipelines/{shown['pipeline']}/runs/{shown['last_run']}/"
    assert alice.get(f"/api/environments/{team.pk}/{run}").json()["status"] == "succeeded"
    assert shown["as_of"] is not None
    assert ask()[0] == 3

    (shown,) = set_mode("hybrid")
    assert (shown["mode"], shown["as_of"], shown["kept_answers"]) == ("hybrid", None, 0)
    assert (shown["rows"], shown["last_status"], shown["last_run"]) == (None, None, None)
    assert (synced.store_tables(team), Pipeline.all_teams.count()) == ([], 0)
    tasks.tidy_store(str(team.pk))
    assert stored(team) == set()
    assert ask() == (5, False)
    (shown,) = alice.get(url).json()
    assert (shown["kept_answers"], shown["as_of"] is None) == (1, False)

    (shown,) = set_mode("direct")
    assert (shown["mode"], CachedResult.all_teams.count()) == ("direct", 0)
    assert set_mode(None) == []
    assert not TableMode.all_teams.exists()


def test_switch_is_explained_and_nothing_is_done(
    team: Team, alice: APIClient, url: str, source: WarehouseConnection, ask: Any, records: Add
) -> None:
    def said(mode: str | None, **more: Any) -> Any:
        return alice.post(f"{url}explain/", {**TABLE, "mode": mode, **more}, "json").json()

    records(3)
    hybrid(source)
    ask()
    found = said("direct")
    assert found["faults"] == {}
    assert found["steps"][0] == "Answers that are kept of it are forgotten: 1."
    assert "may bill each" in found["steps"][1]
    assert "for 300 s" in said("hybrid")["steps"][-1]
    assert "copied from Postgres into the team's store" in said("sync")["steps"][0]
    assert list(said("sync", how="cursor")["faults"]) == ["how"]
    assert CachedResult.all_teams.count() == 1
    assert not Pipeline.all_teams.exists()
    succeed(sync.put(source, None, WISH).pipeline.runs.get())
    assert said("direct")["steps"][0].startswith("The store's copy of public.records is dropped: 3")
    assert said("sync")["steps"] == ["public.records stays as it is."]
    assert len(synced.store_tables(team)) == 1


def test_mode_of_a_connection_is_explained(
    alice: APIClient, url: str, source: WarehouseConnection, set_mode: Any
) -> None:
    def said(mode: str) -> Any:
        where = url.replace("table_modes/", "explain_mode/")
        return alice.post(where, {"mode": mode}, "json").json()["steps"]

    set_mode("hybrid")
    assert said("direct") == ["vault stays as it is."]
    assert "A mode alone copies nothing." in said("sync")[0]
    assert said("hybrid")[-1] == "Tables with a mode of their own keep it: 1."


@pytest.mark.parametrize("mode", ["sync", "direct", "hybrid"])
def test_mode_of_the_connection_is_none_of_the_tables_own(
    alice: APIClient, url: str, source: WarehouseConnection, set_mode: Any, mode: str
) -> None:
    connections.update(source, {"mode": mode})
    wanted = {**TABLE, "mode": None}
    said = alice.post(f"{url}explain/", wanted, "json").json()["steps"]
    assert said == ["public.records stays as it is."]
    assert set_mode(None) == []


def test_switch_while_a_sync_runs_drops_what_it_has_loaded(
    team: Team, source: WarehouseConnection, records: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    records(10)
    run = sync.put(source, None, WISH).pipeline.runs.get()
    real = StoreLoad.load

    def outlived(*given: Any) -> Any:
        outcome = real(*given)
        table_modes.switch(source, None, WISH, DIRECT)
        return outcome

    monkeypatch.setattr(StoreLoad, "load", outlived)
    assert runner.execute(run.pk) is None
    assert (stored(team), synced.store_tables(team)) == (set(), [])
    assert table_modes.of(source).of(("public", "records")) == DIRECT


def test_table_of_a_pipeline_at_work_on_others_stays_in_sync(
    team: Team, alice: APIClient, url: str, source: WarehouseConnection
) -> None:
    both = [TableSpec("public", name, "", "full") for name in ("records", "others")]
    pipeline = pipelines.create(Pipeline(team=team, name="both", source=source), both)
    pipelines.request_run(pipeline, Trigger.COMMAND)
    wanted = {**TABLE, "mode": "hybrid"}
    assert list(alice.post(f"{url}explain/", wanted, "json").json()["faults"]) == ["table"]
    problem(alice.post(url, wanted, "json"), 409, "run_in_progress")
    assert not TableMode.all_teams.exists()
    assert [one["mode"] for one in alice.get(url).json()] == ["sync", "sync"]


@pytest.mark.parametrize("modes", [[SYNC, SYNC], [SYNC, HYBRID], [HYBRID, DIRECT]])
def test_two_switches_at_once_end_as_one_after_the_other(
    source: WarehouseConnection, modes: list[ConnectionMode]
) -> None:
    def switch(mode: ConnectionMode) -> str:
        try:
            table_modes.switch(source, None, WISH, mode)
        except ConnectorError as exc:
            return exc.code
        finally:
            database.close()
        return ""

    with ThreadPoolExecutor(len(modes)) as threads:
        assert set(threads.map(switch, modes)) == {""}
    (listed,) = table_modes.listed(source)
    is_synced = listed.mode == SYNC
    assert listed.mode in modes
    assert (Pipeline.all_teams.count(), TableMode.all_teams.count()) == (is_synced, not is_synced)


# What is shown


def test_every_listed_table_says_its_mode_and_how_fresh_it_is(
    alice: APIClient, url: str, source: WarehouseConnection, records: Add, vault: Any
) -> None:
    records(3)
    vault.execute("CREATE TABLE others AS SELECT 1 AS id")
    vault.execute("GRANT SELECT ON others TO PUBLIC")
    hybrid(source)
    succeed(sync.put(source, None, WISH).pipeline.runs.get())
    found = alice.get(url.replace("table_modes/", "schema/?schema=public")).json()["tables"]
    modes = {one["name"]: (one["mode"], one["as_of"] is not None) for one in found}
    assert modes == {"records": ("sync", True), "others": ("hybrid", False)}


def test_plan_says_of_each_table_its_mode_and_where_it_is_read(
    team: Team, alice: APIClient, source: WarehouseConnection, set_mode: Any, records: Add
) -> None:
    def planned() -> Any:
        url = f"/api/environments/{team.pk}/queries/plan/"
        (found,) = alice.post(url, {"query": COUNT}, "json").json()["tables"]
        return found["mode"], found["in_store"], found["as_of"] is not None

    records(3)
    assert planned() == ("direct", False, False)
    connections.update(source, {"mode": SYNC})
    assert planned() == ("sync", False, False)
    set_mode("hybrid")
    assert planned() == ("hybrid", False, False)
    set_mode("sync")
    assert planned() == ("sync", False, False)
    runner.execute(PipelineRun.objects.get().pk)
    assert planned() == ("sync", True, True)


def test_part_of_a_query_over_several_systems_is_kept(
    team: Team,
    source: WarehouseConnection,
    credentials: dict[str, Any],
    set_mode: Any,
    records: Add,
) -> None:
    """Of the same warehouse by another connection, which is direct."""
    draft = Draft.of(name="live", provider="postgres", credentials=credentials["postgres"])
    live = connections.create(team, None, draft)
    text = """
    SELECT (SELECT count() FROM vault.public.records) AS kept,
        (SELECT count() FROM live.public.records) AS live"""

    def ask(text: str) -> tuple[list[Any], Any]:
        with query_executor.run_hogql(team, text) as run:
            run.start()
            rows = [row for batch in run for row in batch.to_pylist()]
            return [list(row.values()) for row in rows], run.origin

    records(3)
    set_mode("hybrid")
    (rows, first) = ask(text)
    assert (rows, first.cached) == ([[3, 3]], False)
    records(2)
    (rows, again) = ask(text)
    # As of its oldest part.
    assert (rows, again.cached, again.as_of < first.as_of + timedelta(seconds=1)) == (
        *([[3, 5]], False, True),
    )
    connections.update(live, {"mode": HYBRID})
    ask(text)
    records(1)
    (rows, kept) = ask(text)
    assert (rows, kept.cached, kept.age_s > 0) == ([[3, 5]], True, True)
    set_mode("direct")
    assert ask(text)[0] == [[6, 5]]


def test_kept_part_is_that_of_its_keys(
    team: Team,
    credentials: dict[str, Any],
    set_mode: Any,
    records: Add,
    vault: psycopg.Connection[Any],
) -> None:
    draft = Draft.of(name="live", provider="postgres", credentials=credentials["postgres"])
    connections.create(team, None, draft)
    records(2_000)
    vault.execute("CREATE TABLE picks AS SELECT n::text AS key FROM generate_series(1, 3) AS n")
    vault.execute("GRANT SELECT ON picks TO PUBLIC")
    vault.execute("ANALYZE records, picks")
    set_mode("hybrid")
    text = """
    SELECT count() AS n FROM live.public.picks AS p JOIN vault.public.records AS r ON r.key = p.key
    """

    def ask() -> tuple[int, int, bool]:
        """The count; of the hybrid leg its rows, and whether they were kept."""
        with query_executor.run_hogql(team, text) as run:
            run.start()
            (batch,) = run
            (leg,) = (one for one in run.asked.legs if one.connection.name == "vault")
            return batch.column(0)[0].as_py(), leg.rows, leg.origin.cached

    assert [ask(), ask()] == [(3, 3, False), (3, 3, True)]
    vault.execute("INSERT INTO picks VALUES ('4'), ('5')")
    assert ask() == (5, 5, False)


@pytest.mark.parametrize(
    ("body", "field"),
    [({**TABLE, "mode": "fast"}, "mode"), (TABLE, "mode"), ({**TABLE, "mode": None, "x": 1}, "x")],
)
def test_bad_wish_names_its_field(
    alice: APIClient, url: str, body: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, body, "json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
