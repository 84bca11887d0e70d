"""`test/` and `<id>/test/`: four steps, and what is remembered of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from warehouse import connections
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]


def test_saved_connection_remembers_how_its_test_ended(alice: APIClient, shop_url: str) -> None:
    report = alice.post(f"{shop_url}test/").json()
    assert report["ok"]
    assert [step["name"] for step in report["steps"]] == ["resolve", "connect", "sign in", "read"]
    assert all(step["ok"] and step["ms"] >= 0 for step in report["steps"])
    shown = alice.get(shop_url).json()
    assert shown["last_test_status"] == "passed"
    assert shown["last_tested_at"]
    assert shown["last_test_error"] == ""


def test_wrong_password_fails_at_sign_in_with_its_code(
    alice: APIClient, save: Save, connections_url: str, credentials: dict[str, Any]
) -> None:
    broken = save(name="broken", password="not-the-password")
    report = alice.post(f"{connections_url}{broken.pk}/test/").json()
    failed = report["steps"][-1]
    assert (report["ok"], failed["name"], failed["ok"]) == (False, "sign in", False)
    assert failed["code"] == "credentials_rejected"
    assert failed["hint"]
    shown = alice.get(f"{connections_url}{broken.pk}/").json()
    assert shown["last_test_status"] == "failed"
    assert shown["last_test_error"].startswith("sign in: ")
    assert "not-the-password" not in json.dumps([report, shown])


@pytest.mark.parametrize(
    ("changed", "step", "code"),
    [
        ({}, None, None),
        ({"password": "not-the-password"}, "sign in", "credentials_rejected"),
        ({"port": 1}, "resolve", "host_refused"),
        ({"host": "10.255.255.1"}, "resolve", "host_refused"),
        ({"host": "169.254.169.254"}, "resolve", "host_refused"),
        ({"host": "no-such-host.invalid"}, "resolve", "host_unknown"),
    ],
    ids=["right", "password", "port not allowed", "private", "metadata", "unknown host"],
)
def test_unsaved_credentials_are_tested_and_not_kept(
    alice: APIClient,
    connections_url: str,
    credentials: dict[str, Any],
    changed: dict[str, Any],
    step: str | None,
    code: str | None,
) -> None:
    body = {"provider": "postgres", "credentials": credentials["postgres"] | changed}
    report = alice.post(f"{connections_url}test/", body).json()
    failed = next((found for found in report["steps"] if not found["ok"]), None)
    assert report["ok"] is (step is None)
    assert (failed and failed["name"], failed and failed["code"]) == (step, code)
    assert not WarehouseConnection.all_teams.exists()


def test_result_of_a_test_is_dropped_when_credentials_changed_meanwhile(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    alice.patch(shop_url, {"credentials": {"sslmode": "disable"}})
    assert connections.test(shop).ok  # read before the change
    assert alice.get(shop_url).json()["last_test_status"] == "never_tested"
