"""What a refresh costs: bytes and money, or that nobody knows."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from connectors import NetworkPolicy
from connectors.prices import BIGQUERY_MINIMUM_BYTES
from tests.destinations.ends import BigQuery
from tests.views.conftest import MakeView, Save, refreshed, signed_in
from warehouse.models import View

pytestmark = pytest.mark.django_db(transaction=True)


def shown(alice: APIClient, url: str, pk: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The view, and its last refresh."""
    return alice.get(f"{url}{pk}/").json(), alice.get(f"{url}{pk}/refreshes/").json()["results"][0]


def test_refresh_over_a_warehouse_that_bills_bytes_has_its_price(
    own_store: Any,
    alice: APIClient,
    client: Client,
    url: str,
    make_view: MakeView,
    save: Callable[..., Any],
) -> None:
    save("bigquery", name="usage")
    query = "SELECT max(u.latency) AS most FROM usage.analytics.usage AS u"
    view = make_view("counted", query, is_materialized=True)
    before, _ = shown(alice, url, view.pk)
    assert (before["last_cost"], before["last_bytes_billed"]) == (None, None)
    ended = refreshed(view)
    assert ended.cost_high is not None
    assert ended.cost_high > Decimal(0)
    now, last = shown(alice, url, view.pk)
    assert (now["last_bytes_scanned"], now["last_bytes_billed"]) == (
        *(last["bytes_scanned"], last["bytes_billed"]),
    )
    assert last["bytes_billed"] > 0
    assert now["last_cost"] == last["estimate"]["cost"]
    cost = last["estimate"]["cost"]
    assert (Decimal(cost["high"]), cost["currency"], cost["basis"]) == (
        *(ended.cost_high, "USD", "exact"),
    )
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = client.get(reverse("admin:warehouse_viewrefresh_changelist")).content.decode()
    assert "counted" in page
    assert "USD" in page


def test_refresh_in_a_warehouse_costs_what_was_billed_for_all_of_its_statements(
    own_store: Any,
    endpoints: dict[str, Any],
    network: NetworkPolicy,
    alice: APIClient,
    client: Client,
    url: str,
    make_view: MakeView,
    save: Save,
) -> None:
    place = BigQuery(endpoints, network, "")
    place.make()
    try:
        place.execute(f"CREATE TABLE {place.schema}.orders AS SELECT 'a' AS kind, 3 AS n")
        where = {"target": save("bigquery", name="wh", **signed_in(place))}
        query = f"SELECT kind, max(n) AS most FROM wh.{place.schema}.orders GROUP BY kind"
        view = make_view("kept", query, is_materialized=True, target_schema=place.schema, **where)
        refreshed(view)
        now, last = shown(alice, url, view.pk)
    finally:
        place.drop()
    # The query's table, and the table aside.
    assert last["bytes_billed"] == 2 * BIGQUERY_MINIMUM_BYTES
    assert (last["amount_billed"], last["billed_in"]) == ("0.000119", "USD")
    estimated = last["estimate"]["cost"]
    assert (estimated["high"], estimated["basis"]) == ("0.000060", "exact")
    assert now["last_cost"] == {
        "low": "0.000119",
        "high": "0.000119",
        "currency": "USD",
        "basis": "exact",
    }
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = client.get(reverse("admin:warehouse_viewrefresh_changelist")).content.decode()
    assert "0.000119" in page


def test_amount_that_a_warehouse_does_not_say_is_unknown(
    kept: View, alice: APIClient, url: str
) -> None:
    refreshed(kept)
    now, last = shown(alice, url, kept.pk)
    assert (last["amount_billed"], last["billed_in"]) == (None, "")
    assert now["last_cost"] == last["estimate"]["cost"]


def test_unknown_price_is_null_and_that_of_the_store_is_zero(
    own_store: Any,
    alice: APIClient,
    url: str,
    make_view: MakeView,
    save: Callable[..., Any],
    vault: Any,
) -> None:
    vault.execute("CREATE TABLE orders (id bigint)")
    save(name="shop")
    live = make_view("live", "SELECT id FROM shop.public.orders", is_materialized=True)
    refreshed(live)
    now, last = shown(alice, url, live.pk)
    unknown = {"low": None, "high": None, "currency": "USD", "basis": "unknown"}
    assert (now["last_cost"], last["estimate"]["cost"]) == (unknown, unknown)
    assert (last["bytes_billed"], last["amount_billed"]) == (None, None)
    stored = make_view("stored", "SELECT id FROM live", is_materialized=True)
    refreshed(stored)
    now, last = shown(alice, url, stored.pk)
    assert [Decimal(now["last_cost"][end]) for end in ("low", "high")] == [0, 0]
    assert (last["bytes_billed"], now["last_cost"]["basis"]) == (0, "exact")
    assert Decimal(last["amount_billed"]) == 0
