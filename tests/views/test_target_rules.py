"""What may be a view's target, and who says so."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.views.conftest import BY_KIND, MakeView, Save
from warehouse import connections
from warehouse.connections import Draft
from warehouse.errors import TargetUnfit
from warehouse.models import Team, View, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"query": "SELECT count() AS n FROM events"}, "target", "events in the store"),
        ({"query": "SELECT 1 AS one"}, "target", "no table of shop"),
        ({"query": "SELECT x.n AS n FROM other.public.orders AS x"}, "target", "tables of other"),
        ({"target_table": "orders"}, "target", "the table that it would be kept in"),
        ({"target_schema": ""}, "target_schema", "Name the schema"),
        ({"bucket": "kind"}, "bucket", "always refreshed whole"),
        ({"target": None}, "target", "Name the connection"),
    ],
)
def test_what_keeps_a_view_from_its_target_is_named_before_it_is_saved(
    shop: WarehouseConnection,
    save: Save,
    make_view: MakeView,
    given: dict[str, Any],
    field: str,
    said: str,
) -> None:
    save(name="other")
    if "other" in given.get("query", ""):
        given = given | {"query": "SELECT kind FROM other.public.orders"}
    wanted: dict[str, Any] = {"query": BY_KIND, "target": shop, "target_schema": "public"}
    with pytest.raises(TargetUnfit) as caught:
        make_view("by_kind", **(wanted | given))
    assert said in caught.value.fields[field]
    assert not View.all_teams.exists()


def test_provider_that_keeps_no_views_is_refused_by_name(
    shop: WarehouseConnection, team: Team, make_view: MakeView
) -> None:
    form = {"host": "dbc-1.cloud.databricks.com", "http_path": "/sql/1.0/warehouses/1"}
    secret = {"token": "not-a-real-token", "catalog": "main"}
    draft = Draft.of(name="lake", provider="databricks", credentials=form | secret)
    lake = connections.create(team, None, draft)
    with pytest.raises(TargetUnfit) as caught:
        make_view("v", BY_KIND, target=lake, target_schema="default")
    assert caught.value.fields == {"target": "Databricks cannot keep views."}


def test_two_views_are_not_kept_in_one_table(kept: View, make_view: MakeView) -> None:
    with pytest.raises(TargetUnfit) as caught:
        make_view("other", BY_KIND, **kept.place)
    assert caught.value.fields == {"target_table": "The view by_kind is kept there."}


def test_only_admins_say_what_is_written_into_a_warehouse(
    kept: View, client_of: Callable[[str], APIClient], alice: APIClient, url: str, shop: Any
) -> None:
    bob = client_of("bob")
    body = {"name": "mine", "query": BY_KIND, "target": str(shop.pk), "target_schema": "public"}
    assert bob.post(url, body, format="json").status_code == 403
    assert bob.patch(f"{url}{kept.pk}/", {"query": "SELECT 1 AS n"}, format="json").status_code == (
        403
    )
    assert bob.post(f"{url}{kept.pk}/refresh/", {}, format="json").status_code == 202
    assert alice.patch(f"{url}{kept.pk}/", {"target": None}, format="json").status_code == 200


def test_query_of_a_view_that_one_in_a_warehouse_reads_is_for_admins_to_change(
    shop: Any,
    make_view: MakeView,
    client_of: Callable[[str], APIClient],
    alice: APIClient,
    url: str,
) -> None:
    read = make_view("read", BY_KIND)
    make_view("between", "SELECT * FROM read")
    place = {"target": shop, "target_schema": "public"}
    make_view("kept", "SELECT * FROM between", is_materialized=True, **place)
    bob, one = client_of("bob"), f"{url}{read.pk}/"
    changed = {"query": BY_KIND.replace("SELECT kind,", "SELECT 'x' AS kind,")}
    assert bob.patch(one, changed, format="json").status_code == 403
    assert bob.patch(one, {"description": "By kind"}, format="json").status_code == 200
    assert alice.patch(one, changed, format="json").status_code == 200


def test_connection_of_another_team_is_no_target(
    shop: Any, alice: APIClient, url: str, save: Save, other_team: Team, owner: dict[str, str]
) -> None:
    theirs = save(name="theirs", of=other_team, **owner)
    for named in ("theirs", str(theirs.pk)):
        body = {"name": "v", "query": BY_KIND, "target": named, "target_schema": "public"}
        answer = alice.post(url, body, format="json")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["target"])
