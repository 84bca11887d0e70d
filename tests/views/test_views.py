"""Views in queries: computed where they are named, or read from the store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from connectors.errors import InvalidInput
from tests.views.conftest import Events, MakeView, Rows, refreshed
from warehouse.errors import NameTaken, ViewInUse
from warehouse.hogql.errors import HogQLError, NameUnknown, ViewCycle
from warehouse.models import Team, View
from warehouse.views import inputs, saving

pytestmark = pytest.mark.django_db(transaction=True)

DAILY = "SELECT toStartOfDay(timestamp) AS day, count() AS n FROM events GROUP BY day"


def test_view_is_computed_where_it_is_named(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    make_view("daily", DAILY)
    expected = sorted(rows(DAILY))
    assert sorted(rows("SELECT * FROM daily")) == expected
    make_view("busy", "SELECT d.day AS day FROM daily AS d WHERE d.n > 3")
    (found,) = rows("SELECT count() AS c, (SELECT count() AS c FROM Busy) AS b FROM daily")
    assert found == (len(expected), sum(n > 3 for _, n in expected))


def test_names_of_a_view_and_of_what_is_around_it_do_not_meet(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    make_view(
        "clicks",
        "WITH a AS (SELECT uuid, event FROM events) "
        "SELECT e.uuid AS id FROM a AS e WHERE e.event = 'click'",
    )
    found = rows(
        "WITH a AS (SELECT 1 AS one) SELECT count() AS n FROM events AS e, a "
        "WHERE EXISTS (SELECT 1 AS x FROM clicks AS c WHERE c.id = e.uuid)"
    )
    assert found == rows("SELECT count() AS n FROM events WHERE event = 'click'")


def test_materialized_view_is_read_from_the_store(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    view = make_view("daily", DAILY, is_materialized=True)
    before = sorted(rows("SELECT * FROM daily"))
    ended = refreshed(view)
    assert (ended.mode, ended.rows, ended.is_incremental) == ("local", len(before), False)
    assert ended.bytes_billed == 0
    events.add(*range(200, 230))
    assert sorted(rows("SELECT * FROM daily")) == before
    assert view.as_of is not None
    refreshed(view)
    assert sorted(rows("SELECT * FROM daily")) == sorted(rows(DAILY)) != before


def test_documents_and_ids_are_the_same_from_the_store(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    view = make_view("raw", "SELECT uuid, properties, timestamp FROM events", is_materialized=True)
    asked = "SELECT uuid, toInt(properties.amount) AS a, timestamp AS t FROM raw ORDER BY uuid"
    before = rows(asked)
    refreshed(view)
    assert (rows(asked), len(before)) == (before, 100)


def test_other_query_is_computed_until_the_next_refresh(
    events: Events, make_view: MakeView, rows: Rows
) -> None:
    view = make_view("numbers", "SELECT 1 AS one", is_materialized=True)
    refreshed(view)
    view = saving.update(view, {"query": "SELECT 2 AS two"})
    assert rows("SELECT two FROM numbers") == [(2,)]
    refreshed(view)
    assert rows("SELECT two FROM numbers") == [(2,)]


def test_fault_in_a_query_is_told_with_its_place(events: Events, make_view: MakeView) -> None:
    with pytest.raises(HogQLError) as caught:
        make_view("odd", "SELECT uuid,\n  colour FROM events")
    assert "Line 2, column 3" in caught.value.fields["query"]
    assert not View.all_teams.exists()


@pytest.mark.parametrize("name", ["events", "Persons", "1st", "a b", "shop"])
def test_names_that_mean_something_else_are_refused(
    events: Events, make_view: MakeView, save: Any, name: str
) -> None:
    save(name="shop")
    with pytest.raises(InvalidInput) as caught:
        make_view(name, "SELECT 1 AS one")
    assert list(caught.value.fields) == ["name"]


def test_name_is_used_once(events: Events, make_view: MakeView, other_team: Team) -> None:
    make_view("daily", DAILY)
    with pytest.raises(NameTaken):
        make_view("Daily", DAILY)
    saving.create(View(team=other_team, name="daily", query="SELECT 1 AS one"))


@pytest.mark.parametrize("is_materialized", [False, True])
def test_view_that_reads_itself_is_refused_by_its_path(
    events: Events, make_view: MakeView, is_materialized: bool
) -> None:
    one = make_view("one", "SELECT 1 AS x")
    two = make_view("two", "SELECT x FROM one", is_materialized=is_materialized)
    if is_materialized:
        refreshed(two)
    make_view("three", "SELECT x FROM two")
    with pytest.raises(ViewCycle, match=r"reads itself: .*one → three"):
        saving.update(one, {"query": "SELECT x FROM three"})
    one.refresh_from_db()
    assert one.query == "SELECT 1 AS x"


@pytest.fixture
def places(own_store: Any, save: Any, vault: Any) -> None:
    """A connection with two tables of one column."""
    vault.execute("CREATE TABLE regions (x bigint)")
    vault.execute("CREATE TABLE towns (x bigint)")
    save(name="vault")


def test_name_by_which_another_view_means_a_table_is_refused(
    places: None, make_view: MakeView, rows: Rows
) -> None:
    make_view("counted", "SELECT count() AS n FROM regions")
    other = make_view("other", "SELECT 1 AS x")
    with pytest.raises(InvalidInput, match="cannot have that name"):
        make_view("Regions", "SELECT 1 AS x")
    with pytest.raises(InvalidInput) as caught:
        saving.update(other, {"name": "regions"})
    assert "counted" in caught.value.fields["name"]
    assert rows("SELECT n FROM counted") == [(0,)]
    make_view("whole", "SELECT x FROM vault.public.towns")
    make_view("towns", "SELECT 1 AS x")
    assert rows("SELECT x FROM whole") == []


def test_two_new_views_at_once_make_no_cycle(places: None, make_view: MakeView, rows: Rows) -> None:
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            make_view("regions", "SELECT x FROM towns")
            making = other.submit(_alone, partial(make_view, "towns", "SELECT x FROM regions"))
            wait([making], 0.5)
        with pytest.raises(InvalidInput):
            making.result()
    assert rows("SELECT x FROM regions") == []


def test_view_that_is_deleted_while_another_begins_to_read_it_is_in_use(
    own_store: Any, make_view: MakeView, rows: Rows
) -> None:
    one = make_view("one", "SELECT 1 AS x")
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            make_view("two", "SELECT x FROM one")
            deleting = other.submit(_alone, partial(saving.delete, one))
            wait([deleting], 0.5)
        with pytest.raises(ViewInUse):
            deleting.result()
    assert rows("SELECT x FROM two") == [(1,)]


def _alone(act: Callable[[], object]) -> None:
    """In another thread."""
    try:
        act()
    finally:
        connection.close()


def test_views_without_end_are_refused(events: Events, make_view: MakeView) -> None:
    make_view("v0", "SELECT 1 AS x")
    for number in range(1, 6):
        make_view(f"v{number}", f"SELECT a.x AS x FROM v{number - 1} AS a, v{number - 1} AS b")
    with pytest.raises(HogQLError, match="too many views"):
        make_view("v6", "SELECT a.x AS x FROM v5 AS a, v5 AS b")


def test_view_that_others_read_keeps_its_name_and_its_columns(
    events: Events, make_view: MakeView
) -> None:
    daily = make_view("daily", DAILY)
    make_view("busy", "SELECT day FROM daily")
    with pytest.raises(ViewInUse, match="busy"):
        saving.delete(daily)
    with pytest.raises(ViewInUse, match="busy"):
        saving.update(daily, {"name": "every_day"})
    with pytest.raises(InvalidInput, match="busy reads daily"):
        saving.update(daily, {"query": "SELECT 1 AS one"})
    saving.update(daily, {"query": "SELECT 1 AS day"})
    busy = View.all_teams.get(name="busy")
    assert [column["kind"] for column in busy.columns] == ["int"]
    assert inputs.of_view(busy) == [inputs.Input("daily", is_view=True)]


def test_views_of_another_team_do_not_exist(
    events: Events, make_view: MakeView, rows: Rows, other_team: Team
) -> None:
    saving.create(View(team=other_team, name="theirs", query="SELECT 1 AS one"))
    with pytest.raises(NameUnknown):
        rows("SELECT * FROM theirs")
