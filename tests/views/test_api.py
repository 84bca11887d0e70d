"""`…/views/`: saved queries over the API."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction
from rest_framework.test import APIClient

from etl import views
from tests.views.conftest import Events, MakeView, refreshed
from tests.waiting import until
from warehouse.models import RefreshTrigger, Team, View, ViewRefresh
from warehouse.views.inputs import Graph

pytestmark = pytest.mark.django_db(transaction=True)

Clients = Callable[[str], APIClient]
DAILY = {
    "name": "daily",
    "description": "Events by day",
    "query": "SELECT toDate(timestamp) AS day, count() AS n FROM events GROUP BY day",
}


def test_view_is_saved_refreshed_and_deleted(
    events: Events, client_of: Clients, alice: APIClient, url: str, team: Team
) -> None:
    bob = client_of("bob")
    made = bob.post(url, {**DAILY, "is_materialized": True, "bucket": "day"}, format="json")
    assert made.status_code == 201, made.json()
    shown = made.json()
    assert shown["columns"] == [{"name": "day", "type": "date"}, {"name": "n", "type": "int"}]
    assert (shown["owner"], shown["is_stored"], shown["as_of"]) == ("bob", False, None)
    assert (shown["last_status"], shown["last_error"]) == ("queued", "")
    one = f"{url}{shown['id']}/"
    (first,) = bob.get(f"{one}refreshes/").json()["results"]
    assert (first["status"], first["trigger"], first["is_incremental"]) == ("queued", "api", None)
    views.execute(first["id"])
    again = bob.post(f"{one}refresh/", {}, format="json")
    assert (again.status_code, [each["view"] for each in again.json()]) == (202, ["daily"])
    views.execute(again.json()[0]["id"])
    last, first = bob.get(f"{one}refreshes/", {"page_size": 2}).json()["results"]
    assert (last["is_incremental"], last["rows"], last["rows_computed"]) == (True, 20, 0)
    assert (first["status"], first["bytes_billed"], first["mode"]) == ("succeeded", 0, "local")
    shown = bob.get(one).json()
    assert (shown["is_stored"], shown["rows"], shown["last_status"]) == (True, 20, "succeeded")
    assert shown["as_of"] is not None
    (listed,) = bob.get(url).json()["results"]
    assert listed == shown
    changed = bob.patch(one, {"description": ""}, format="json").json()
    assert (changed["description"], changed["is_stored"]) == ("", True)
    assert alice.delete(one).status_code == 204
    assert (bob.get(url).json()["results"], ViewRefresh.all_teams.exists()) == ([], False)


def test_view_says_why_its_last_refresh_failed(
    events: Events, alice: APIClient, url: str, make_view: MakeView
) -> None:
    query = "SELECT toDate(toString(properties.amount)) AS day FROM events"
    view = make_view("odd", query)
    assert alice.get(f"{url}{view.pk}/").json()["last_status"] is None
    alice.patch(f"{url}{view.pk}/", {"is_materialized": True}, format="json")
    view.refresh_from_db()
    views.execute(views.request(view, RefreshTrigger.API).pk)
    shown = alice.get(f"{url}{view.pk}/").json()
    assert shown["last_status"] == "failed"
    assert shown["last_error"]


def test_catalog_says_whether_a_view_is_computed_or_kept(
    events: Events, alice: APIClient, url: str, make_view: MakeView
) -> None:
    def listed() -> tuple[str, Any]:
        (found,) = alice.get(url.replace("views", "catalog"), {"search": "daily"}).json()["tables"]
        return found["mode"], found["as_of"]

    view = make_view("daily", DAILY["query"])
    assert listed() == ("direct", None)
    alice.patch(f"{url}{view.pk}/", {"is_materialized": True}, format="json")
    view.refresh_from_db()
    refreshed(view)
    mode, as_of = listed()
    assert (mode, datetime.fromisoformat(as_of)) == ("store", view.as_of)


def test_plan_says_how_fresh_a_view_is_that_it_reads_from_the_store(
    events: Events, alice: APIClient, url: str, make_view: MakeView
) -> None:
    def planned(query: str) -> Any:
        return alice.post(url.replace("views", "queries/plan"), {"query": query}, "json").json()

    view = make_view("daily", DAILY["query"], is_materialized=True)
    assert planned("SELECT max(n) AS most FROM daily")["tables"] == [], "it is computed"
    refreshed(view)
    (shown,) = planned("SELECT max(n) AS most FROM daily JOIN events ON 1 = 1")["tables"]
    as_of = alice.get(f"{url}{view.pk}/").json()["as_of"]
    assert shown == {
        "connection": None,
        "schema": None,
        "table": "daily",
        "mode": "store",
        "in_store": True,
        "as_of": as_of,
    }


def test_freshness_of_a_view_is_that_of_its_rows(
    events: Events, alice: APIClient, url: str, make_view: MakeView
) -> None:
    view = make_view("daily", DAILY["query"], is_materialized=True)
    refreshed(view)
    asked = {"query": "SELECT count() AS n FROM daily"}
    answer = alice.post(url.replace("views", "queries"), asked, format="json")
    found: Any = b"".join(answer.streaming_content)
    assert view.as_of is not None
    assert view.as_of.isoformat()[:23].encode() in found, found


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "events"}, "name"),
        ({"query": "SELECT colour FROM events"}, "query"),
        ({"query": "SELEC 1"}, "query"),
        ({"schedule": "tomorrow"}, "schedule"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_fault_names_its_field(
    alice: APIClient, url: str, change: dict[str, Any], field: str
) -> None:
    answer = alice.post(url, {**DAILY, **change}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert alice.get(url).json()["results"] == []


def test_placeholder_in_a_view_is_refused_by_what_to_do(alice: APIClient, url: str) -> None:
    answer = alice.post(url, {**DAILY, "query": "SELECT {day} AS day"}, format="json")
    assert answer.status_code == 400
    assert answer.json()["hint"].startswith("A view has no placeholders")


def test_view_that_others_read_stays(alice: APIClient, url: str, make_view: MakeView) -> None:
    daily = make_view("daily", DAILY["query"])
    make_view("busy", "SELECT day FROM daily WHERE n > 5")
    answer = alice.delete(f"{url}{daily.pk}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "view_in_use")
    assert "busy" in answer.json()["title"]


@pytest.mark.parametrize("act", ["patch", "refresh", "delete"])
def test_view_that_is_deleted_while_it_is_asked_for_is_not_there(
    events: Events, alice: APIClient, url: str, make_view: MakeView, act: str
) -> None:
    view = make_view("daily", DAILY["query"], is_materialized=True)
    one = f"{url}{view.pk}/"

    def ask() -> int:
        try:
            if act == "refresh":
                return alice.post(
                    f"{one}refresh/", {"with_upstream": True}, format="json"
                ).status_code
            return getattr(alice, act)(one, {"description": "x"}, format="json").status_code
        finally:
            database.close()

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            Graph.locked(view.team_id)
            asking = other.submit(ask)
            assert until(lambda: _waiting() > 0)
            View.all_teams.filter(pk=view.pk).delete()
        assert asking.result() == (204 if act == "delete" else 404)


def _waiting() -> int:
    """How many sessions wait for the lock on a team's views."""
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return int(cursor.fetchone()[0])


def test_blockers_are_named(alice: APIClient, url: str, make_view: MakeView) -> None:
    view = make_view("daily", f"{DAILY['query']} LIMIT 5", bucket="day")
    assert alice.get(f"{url}{view.pk}/blockers/").json() == {"blockers": ["It has LIMIT."]}


def test_lineage_leads_from_connections_to_views(
    events: Events,
    alice: APIClient,
    url: str,
    make_view: MakeView,
    save: Callable[..., Any],
    vault: Any,
) -> None:
    vault.execute("CREATE TABLE orders (id bigint, at timestamptz)")
    shop = save(name="shop")
    orders = make_view("orders_seen", "SELECT o.id AS id FROM shop.public.orders AS o")
    daily = make_view("daily", DAILY["query"], is_materialized=True)
    refreshed(daily)
    both = make_view("both", "SELECT d.n AS n FROM daily AS d, orders_seen AS o")
    make_view("apart", "SELECT 1 AS one")
    found = alice.get(f"{url}{orders.pk}/lineage/").json()
    nodes = {node["id"]: node for node in found["nodes"]}
    table = f"table:{shop.pk}.public.orders"
    assert {(edge["read"], edge["reader"]) for edge in found["edges"]} == {
        (f"connection:{shop.pk}", table),
        (table, f"view:{orders.pk}"),
        (f"view:{orders.pk}", f"view:{both.pk}"),
    }
    assert (nodes[table]["name"], nodes[table]["mode"]) == ("shop.public.orders", "direct")
    every = alice.get(f"{url}lineage/").json()
    nodes = {node["id"]: node for node in every["nodes"]}
    assert {node["name"] for node in nodes.values() if node["kind"] == "view"} == {
        *("orders_seen", "daily", "both", "apart"),
    }
    kept = nodes[f"view:{daily.pk}"]
    assert (kept["mode"], kept["last_refresh"] is None) == ("store", False)
    assert {"read": "table:events", "reader": f"view:{daily.pk}"} in every["edges"]
    assert {"read": f"view:{daily.pk}", "reader": f"view:{both.pk}"} in every["edges"]
