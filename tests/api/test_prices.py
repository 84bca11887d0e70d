"""A team's own prices: kept in a connection's config, used by its estimates."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from connectors.prices import LISTED
from tests.api.shapes import problem
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]


def test_list_prices_are_named_with_their_day(
    alice: APIClient, save: Save, connections_url: str
) -> None:
    url = f"{connections_url}{save('bigquery').pk}/"
    price = alice.post(f"{url}estimate_cost/", {"sql": "SELECT 1 AS one"}).json()
    assert (
        f"6.25 USD a TiB, 10 MiB a table at least, by list prices of {LISTED}"
        in (price["explanation"])
    )
    assert price["cost"]["currency"] == "USD"


def test_own_prices_count_from_the_next_estimate_on(
    alice: APIClient, save: Save, connections_url: str
) -> None:
    url = f"{connections_url}{save('snowflake').pk}/"
    sql = {"sql": "SELECT * FROM INFORMATION_SCHEMA.TABLES"}
    before = alice.post(f"{url}estimate_cost/", sql).json()
    own = {
        "currency": "EUR", "per_credit_low": "20.00", "per_credit_high": 40, "as_of": "2026-10-01",
    }  # fmt: skip
    changed = alice.patch(url, {"config": {"prices": own}}).json()
    assert changed["config"]["prices"] == own | {"per_credit_high": "40"}
    after = alice.post(f"{url}estimate_cost/", sql).json()
    assert "the team's own prices of 2026-10-01" in after["explanation"]
    assert after["cost"]["currency"] == "EUR"
    if before["cost"]["high"] is not None:
        assert Decimal(after["cost"]["high"]) == pytest.approx(
            10 * Decimal(before["cost"]["high"]), abs=Decimal("0.00001")
        )
    alice.patch(url, {"config": {}})
    assert alice.post(f"{url}estimate_cost/", sql).json() == before


@pytest.mark.parametrize(
    ("provider", "prices", "field"),
    [
        ("bigquery", {"per_tib": "much"}, "config.prices.per_tib"),
        ("bigquery", {"per_tib": -1}, "config.prices.per_tib"),
        ("bigquery", {"per_credit_low": 1}, "config.prices.per_credit_low"),
        ("bigquery", {"currency": "EUR"}, "config.prices.per_tib"),
        ("bigquery", {"per_tib": 1, "currency": "€"}, "config.prices.currency"),
        ("snowflake", {"per_credit_low": 9}, "config.prices.per_credit_high"),
        ("postgres", {"per_tib": 1}, "config.prices"),
        ("bigquery", [1], "config.prices"),
        ("bigquery", "cheap", "config.prices"),
    ],
)
def test_price_at_fault_is_named_and_nothing_saved(
    alice: APIClient,
    connections_url: str,
    credentials: dict[str, Any],
    provider: str,
    prices: Any,
    field: str,
) -> None:
    body = {"name": "x", "provider": provider, "credentials": credentials[provider]}
    answer = alice.post(connections_url, body | {"config": {"prices": prices}})
    assert set(problem(answer, 400, "invalid_input")["fields"]) == {field}
    assert not WarehouseConnection.all_teams.exists()
