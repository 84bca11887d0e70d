"""What a refresh costs: bytes and money, or that nobody knows."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from tests.views.conftest import MakeView, refreshed

pytestmark = pytest.mark.django_db(transaction=True)


def shown(alice: APIClient, url: str, pk: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The view, and its last refresh."""
    return alice.get(f"{url}{pk}/").json(), alice.get(f"{url}{pk}/refreshes/").json()[0]


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
    assert last["bytes_billed"] is None
    stored = make_view("stored", "SELECT id FROM live", is_materialized=True)
    refreshed(stored)
    now, last = shown(alice, url, stored.pk)
    assert [Decimal(now["last_cost"][end]) for end in ("low", "high")] == [0, 0]
    assert (last["bytes_billed"], now["last_cost"]["basis"]) == (0, "exact")
