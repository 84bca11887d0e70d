"""Views whose connection has been deleted: they stay, say so, and can be mended or let go."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.views.conftest import MakeView, Rows, Save, Vault, refreshed
from warehouse import connections
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

LOST = "The connection shop has been deleted."


@pytest.fixture
def shop(own_store: Any, vault: Vault, save: Save) -> WarehouseConnection:
    """A connection with one order."""
    vault.execute("CREATE TABLE orders (id bigint)")
    vault.execute("INSERT INTO orders VALUES (7)")
    return save(name="shop")


def test_views_of_a_deleted_connection_are_broken_and_say_why(
    shop: WarehouseConnection,
    alice: APIClient,
    url: str,
    make_view: MakeView,
    rows: Rows,
) -> None:
    seen = make_view("seen", "SELECT id FROM shop.public.orders")
    kept = make_view("kept", "SELECT id FROM shop.public.orders", is_materialized=True)
    refreshed(kept)
    make_view("over_seen", "SELECT id FROM seen")
    make_view("over_kept", "SELECT id FROM kept")
    make_view("apart", "SELECT 1 AS one")
    assert {one["broken"] for one in alice.get(url).json()["results"]} == {None}
    connections_url = url.replace("views", "warehouse_connections")
    assert alice.delete(f"{connections_url}{shop.pk}/").status_code == 204
    assert {one["name"]: one["broken"] for one in alice.get(url).json()["results"]} == {
        "seen": LOST,
        "kept": LOST,
        "over_seen": f"It reads the view seen, which is broken. {LOST}",
        "over_kept": None,
        "apart": None,
    }
    assert rows("SELECT id FROM over_kept") == [(7,)], "what was kept is still read"
    mended = alice.patch(f"{url}{seen.pk}/", {"query": "SELECT 7 AS id"}, format="json")
    assert (mended.status_code, mended.json()["broken"]) == (200, None)


def test_broken_view_is_not_kept_any_more_when_asked(
    shop: WarehouseConnection,
    alice: APIClient,
    url: str,
    make_view: MakeView,
) -> None:
    kept = make_view("kept", "SELECT id FROM shop.public.orders", is_materialized=True)
    refreshed(kept)
    connections.delete(shop)
    answer = alice.patch(f"{url}{kept.pk}/", {"is_materialized": False}, format="json")
    assert answer.status_code == 200, answer.json()
    shown = answer.json()
    assert (shown["is_materialized"], shown["is_stored"], shown["broken"]) == (False, False, LOST)
    assert alice.delete(f"{url}{kept.pk}/").status_code == 204


def test_view_is_whole_again_with_another_connection_of_the_name(
    shop: WarehouseConnection,
    alice: APIClient,
    url: str,
    make_view: MakeView,
    rows: Rows,
    save: Save,
) -> None:
    make_view("seen", "SELECT id FROM shop.public.orders")
    connections.delete(shop)
    save(name="shop")
    (shown,) = alice.get(url).json()["results"]
    assert shown["broken"] is None
    assert rows("SELECT id FROM seen") == [(7,)]
