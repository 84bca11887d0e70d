"""The life of a refresh: who has it, how it ends, and what readers see meanwhile."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from django.db import connection as database
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from connectors.errors import InvalidInput, LoadSuperseded
from etl import pipelines, runner, saved_views, tasks, views
from etl import stored as stored_tables
from etl.models import Pipeline, ReadMode, Trigger
from etl.pipelines import TableSpec
from tests.etl.conftest import make_records
from tests.views.conftest import Events, MakeView, Rows, refreshed
from tests.waiting import until
from warehouse.errors import NotMaterialized
from warehouse.models import RefreshStatus, RefreshTrigger, Team, View, ViewRefresh
from warehouse.store import client, ddl, names
from warehouse.views.table import ViewTable

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED = "SELECT count() AS n FROM events"
API = RefreshTrigger.API


def stored(team: Team) -> set[str]:
    """The tables of views that the team's database has."""
    asked = "SELECT name FROM system.tables WHERE database = {db:String} AND name LIKE 'view\\_%'"
    found = client.owner().query(asked, {"db": names.database(team.pk)}).read_all()
    return set(found["name"].to_pylist())


def queued() -> list[str]:
    waiting = ViewRefresh.all_teams.filter(status=RefreshStatus.QUEUED)
    return sorted(one.view.name for one in waiting)


def test_failed_refresh_leaves_the_last_good_rows(
    events: Events, make_view: MakeView, rows: Rows, team: Team
) -> None:
    query = "SELECT toDate(toString(properties.amount)) AS d FROM events WHERE event = 'odd'"
    view = make_view("odd", query, is_materialized=True)
    refreshed(view)
    as_of = view.as_of
    View.all_teams.filter(pk=view.pk).update(query=query.replace("= 'odd'", "<> 'odd'"))
    ended = views.execute(views.request(view, API).pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RefreshStatus.FAILED, "data_error")
    view.refresh_from_db()
    assert (rows("SELECT d FROM odd"), view.as_of) == ([], as_of)
    assert stored(team) == {view.store_table}


def test_readers_see_whole_versions_while_a_view_is_refreshed(
    events: Events, make_view: MakeView, team: Team
) -> None:
    """Eight readers; each row of a version says how many rows it has."""
    times = int(os.environ.get("REFRESHES", "12"))
    query = "SELECT uuid, (SELECT count() AS n FROM events) AS v FROM events"
    view = make_view("versions", query, is_materialized=True)
    refreshed(view)
    place = f"{names.quote(names.database(team.pk))}.{view.store_table}"
    asked = f"SELECT count() AS n, min(v) AS low, max(v) AS high FROM {place}"
    over, seen = threading.Event(), list[tuple[int, int, int]]()

    def read() -> None:
        reader = client.reader(team.pk)
        # A pause leaves the refreshes some of this process's time.
        while not over.wait(0.02):
            (found,) = reader.query(asked).read_all().to_pylist()
            seen.append((found["n"], found["low"], found["high"]))

    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read) for _ in range(8)]
        try:
            for number in range(times):
                events.add(1000 + number)
                refreshed(view)
        finally:
            over.set()
        for one in reading:
            one.result()
    assert len(seen) > 8
    assert [one for one in seen if len(set(one)) != 1] == []
    assert view.rows == 100 + times


def test_one_waits_and_one_runs(events: Events, make_view: MakeView) -> None:
    view = make_view("counted", COUNTED, is_materialized=True)
    first = views.request(view, API)
    assert views.request(view, API) == first, "asked for twice, it waits once"
    running = views.claim(first.pk)
    assert running is not None
    second = views.request(view, API)
    assert second != first
    assert views.claim(first.pk) is None
    assert views.execute(second.pk) is None, "not while the first runs"


def test_refresh_of_a_killed_worker_is_done_again_and_the_late_one_changes_nothing(
    events: Events, make_view: MakeView, rows: Rows, team: Team, settings: Any
) -> None:
    view = make_view("counted", COUNTED, is_materialized=True)
    lost = views.claim(views.request(view, API).pk)
    assert lost is not None
    aside = f"{names.view_table(view.pk)}.aside.{lost.fence}"
    client.owner().command(ddl.create_scratch(names.database(team.pk), aside, [("n", "Int64")]))
    silent = timezone.now() - timedelta(seconds=60)
    ViewRefresh.all_teams.filter(pk=lost.pk).update(heartbeat_at=silent)
    again = views.execute(lost.pk)
    assert again is not None
    assert (again.status, again.attempt) == (RefreshStatus.SUCCEEDED, 2)
    view.refresh_from_db()
    assert stored(team) == {view.store_table}
    ViewRefresh.all_teams.filter(pk=lost.pk).update(
        status=RefreshStatus.RUNNING, heartbeat_at=silent, attempt=3
    )
    aside = f"{view.store_table}.aside.{again.fence}"
    client.owner().command(ddl.create_scratch(names.database(team.pk), aside, [("n", "Int64")]))
    views.recover()
    assert stored(team) == {view.store_table}
    lost.refresh_from_db()
    assert (lost.status, lost.error_code) == (RefreshStatus.FAILED, "run_abandoned")
    assert rows("SELECT n FROM counted") == [(100,)]
    late = ViewTable(team.pk, view.store_table, lost.fence - 1)
    late.begin(pa.schema([pa.field("n", pa.int64())]))
    with pytest.raises(LoadSuperseded):
        late.put()
    late.clear()
    assert stored(team) == {view.store_table}


@pytest.mark.parametrize("end", ["keep", "delete"])
def test_view_that_is_not_to_be_kept_any_more_while_it_is_refreshed_leaves_no_table(
    own_store: Any,
    make_view: MakeView,
    team: Team,
    save: Callable[..., Any],
    vault: "psycopg.Connection[Any]",
    end: str,
) -> None:
    make_records(vault)
    save(name="vault")
    view = make_view("amounts", "SELECT amount FROM vault.public.records", is_materialized=True)
    with ThreadPoolExecutor(1) as other:
        with vault.transaction():
            vault.execute("LOCK TABLE records")
            refreshing = other.submit(_executed, views.request(view, API).pk)
            waits = (
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'records'::regclass"
            )
            assert until(lambda: vault.execute(waits).fetchone() == (1,))
            if end == "delete":
                saved_views.delete(view)
            else:
                saved_views.update(view, {"is_materialized": False})
            stored_tables.tidy(team.pk)
        refreshing.result()
    assert stored(team) == set()
    left = list(ViewRefresh.all_teams.values_list("status", "error_code"))
    assert left == ([] if end == "delete" else [("failed", "not_materialized")])


def _executed(refresh_id: Any) -> ViewRefresh | None:
    """From another thread."""
    try:
        return views.execute(refresh_id)
    finally:
        database.close()


def test_what_a_view_reads_is_refreshed_before_it(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    make_view("a", COUNTED, is_materialized=True)
    make_view("b", "SELECT n FROM a")
    c = make_view("c", "SELECT b.n AS n FROM b, a", is_materialized=True)
    ViewRefresh.all_teams.all().delete()
    asked = views.request_with_upstream(c)
    assert [one.view.name for one in asked] == ["a", "c"]
    assert views.execute(asked[1].pk) is None, "not before the other"
    assert views.execute(asked[0].pk) is not None
    assert views.execute(asked[1].pk) is not None
    events.add(500)
    assert rows("SELECT n FROM c") == [(100,)]


def test_what_follows_a_failed_refresh_fails_by_its_name(
    events: Events, make_view: MakeView
) -> None:
    a = make_view("a", "SELECT 1 AS n", is_materialized=True)
    b = make_view("b", "SELECT n FROM a", is_materialized=True)
    c = make_view("c", "SELECT n FROM b", is_materialized=True)
    View.all_teams.filter(pk=a.pk).update(query="SELECT n FROM gone")
    for one in views.request_with_upstream(c):
        views.execute(one.pk)
    last = [view.refreshes.order_by("-created_at")[0] for view in (a, b, c)]
    assert [one.error_code for one in last] == [
        *("hogql_unknown_name", "input_not_refreshed", "input_not_refreshed"),
    ]
    assert "The view a" in last[1].error


def test_refreshes_of_views_that_read_the_same_do_not_wait_for_each_other(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    for name in ("a", "b"):
        make_view(name, COUNTED, is_materialized=True)
    one = make_view("one", "SELECT a.n AS n FROM a, b", is_materialized=True)
    two = make_view("two", "SELECT b.n AS n FROM b, a", is_materialized=True)
    ViewRefresh.all_teams.all().delete()
    asked = [*views.request_with_upstream(one), *views.request_with_upstream(two)]
    left = {each.view.name: each.pk for each in asked}
    assert views.execute(left.pop("two")) is None, "not before both that it reads"
    assert views.execute(left.pop("b")) is not None
    assert views.execute(asked[-1].pk) is None
    for pk in left.values():
        assert views.execute(pk) is not None
    assert views.execute(asked[-1].pk) is not None
    assert (queued(), rows("SELECT n FROM two")) == ([], [(100,)])


def test_view_that_has_come_to_read_its_reader_does_not_wait_for_it(
    events: Events, make_view: MakeView
) -> None:
    a = make_view("a", COUNTED, is_materialized=True)
    b = make_view("b", "SELECT n FROM a", is_materialized=True)
    ViewRefresh.all_teams.all().delete()
    views.request_with_upstream(b)
    saved_views.update(b, {"query": COUNTED})
    views.request_with_upstream(saved_views.update(a, {"query": "SELECT n FROM b"}))
    for _ in queued():
        for one in ViewRefresh.all_teams.filter(status=RefreshStatus.QUEUED):
            views.execute(one.pk)
    assert queued() == []


def test_what_follows_a_refresh_whose_worker_was_killed_as_it_failed_does_not_wait_for_ever(
    events: Events, make_view: MakeView
) -> None:
    make_view("a", COUNTED, is_materialized=True)
    b = make_view("b", "SELECT n FROM a", is_materialized=True)
    first, second = views.request_with_upstream(b)
    ViewRefresh.all_teams.filter(pk=first.pk).update(status=RefreshStatus.FAILED)
    views.recover()
    second.refresh_from_db()
    assert (second.status, second.error_code) == (RefreshStatus.FAILED, "input_not_refreshed")
    assert views.request(b, API) != second


def test_refresh_leads_to_those_that_ask_to_follow(events: Events, make_view: MakeView) -> None:
    a = make_view("a", COUNTED, is_materialized=True)
    make_view("between", "SELECT n FROM a")
    make_view("b", "SELECT n FROM between", is_materialized=True, after_inputs=True)
    make_view("by_hand", "SELECT n FROM a", is_materialized=True)
    ViewRefresh.all_teams.all().delete()
    refreshed(a)
    assert queued() == ["b"]


def test_load_of_a_table_leads_to_the_views_that_read_it(
    events: Events,
    make_view: MakeView,
    rows: Rows,
    team: Team,
    save: Callable[..., Any],
    vault: "psycopg.Connection[Any]",
) -> None:
    make_records(vault)
    vault.execute("INSERT INTO records SELECT 't', 'k', '', '{}', 1.5")
    source = save(name="vault")
    live = make_view(
        "amounts",
        "SELECT r.amount AS amount FROM vault.public.records AS r",
        is_materialized=True,
        after_inputs=True,
    )
    assert refreshed(live).mode == "push_down"
    both = make_view(
        "both",
        "SELECT r.amount AS amount, e.n AS n FROM vault.public.records AS r, "
        "(SELECT count() AS n FROM events) AS e",
        is_materialized=True,
    )
    assert refreshed(both).mode == "federated"
    assert [str(n) for n in rows("SELECT amount, n FROM both")[0]] == ["1.50", "100"]
    pipeline = Pipeline(team=team, name="records", source=source)
    pipelines.create(pipeline, [TableSpec("public", "records", "", ReadMode.FULL)])
    runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert queued() == ["amounts"]
    assert refreshed(live).mode == "local"
    assert live.as_of is not None
    assert pipeline.tables.get().as_of == live.as_of, "its oldest input"


def test_schedule_is_a_row_that_beat_reads(events: Events, make_view: MakeView) -> None:
    view = make_view("counted", COUNTED, is_materialized=True, schedule="0 2 * * *")
    ViewRefresh.all_teams.all().delete()
    row = PeriodicTask.objects.get(task="etl.start_scheduled_view")
    tasks.start_scheduled_view(str(view.pk))
    assert (row.enabled, row.crontab.hour, queued()) == (True, "2", ["counted"])
    with pytest.raises(InvalidInput) as caught:
        saved_views.update(view, {"schedule": "tomorrow"})
    assert list(caught.value.fields) == ["schedule"]
    saved_views.delete(view)
    assert not PeriodicTask.objects.filter(task="etl.start_scheduled_view").exists()


def test_nothing_stays_of_what_is_not_kept_any_more(
    events: Events, make_view: MakeView, rows: Rows, team: Team
) -> None:
    kept, gone = (make_view(name, COUNTED, is_materialized=True) for name in ("kept", "gone"))
    refreshed(kept)
    refreshed(gone)
    saved_views.delete(gone)
    tasks.tidy_store(str(team.pk))
    assert stored(team) == {kept.store_table}
    saved_views.update(kept, {"is_materialized": False})
    tasks.tidy_store(str(team.pk))
    assert (stored(team), rows("SELECT n FROM kept")) == (set(), [(100,)])
    with pytest.raises(NotMaterialized):
        views.request(View.all_teams.get(), API)
