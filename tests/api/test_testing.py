"""`test/` and `<id>/test/`: their steps, and what is remembered of them."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from rest_framework.test import APIClient

from tests.service.running import environment, web
from tests.waiting import until
from warehouse import connection_test
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db

Save = Callable[..., WarehouseConnection]
STEPS = [
    "resolve", "network policy", "connect", "TLS", "sign in", "usable", "read", "write refused",
]  # fmt: skip


def test_saved_connection_remembers_how_its_test_ended(alice: APIClient, shop_url: str) -> None:
    report = alice.post(f"{shop_url}test/").json()
    assert report["ok"]
    assert [step["name"] for step in report["steps"]] == STEPS
    assert all(step["ok"] and step["ms"] >= 0 for step in report["steps"])
    assert not any(step["warning"] for step in report["steps"])
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
        ({"port": 1}, "network policy", "host_refused"),
        ({"host": "10.255.255.1"}, "network policy", "host_refused"),
        ({"host": "169.254.169.254"}, "network policy", "host_refused"),
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
    alice.patch(shop_url, {"credentials": {"database": "postgres"}})
    assert connection_test.of(shop).run().ok  # read before the change
    assert alice.get(shop_url).json()["last_test_status"] == "never_tested"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_step_that_is_a_warning_is_said_to_be_one(
    alice: APIClient, save: Save, connections_url: str, endpoints: dict[str, Any]
) -> None:
    owner = urlsplit(endpoints["postgres"]["datavault_dsn"])
    connection = save(user=owner.username, password=owner.password)
    report = alice.post(f"{connections_url}{connection.pk}/test/").json()
    last = report["steps"][-1]
    assert (report["ok"], last["ok"], last["warning"]) == (True, True, True)
    assert (last["name"], last["code"]) == ("write refused", "role_can_write")
    assert last["hint"]


def test_test_can_be_cancelled_and_is_then_not_remembered(
    save: Save, silent_port: int, settings: Any
) -> None:
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = ["127.0.0.1"]
    connection = save(host="127.0.0.1", port=silent_port)
    test = connection_test.of(connection)
    assert test.cancel() is False  # it does not run yet
    with ThreadPoolExecutor(1) as other:
        running = other.submit(test.run)
        assert until(test.cancel)
        report = running.result(2)
    assert report.failure is not None
    assert report.failure.code == "query_cancelled"
    connection.refresh_from_db()
    assert connection.last_test_status == "never_tested"


@pytest.mark.django_db(transaction=True)
def test_client_that_goes_away_ends_the_test(
    alice: APIClient,
    credentials: dict[str, Any],
    connections_url: str,
    silent_port: int,
    tmp_path: Path,
) -> None:
    body = {
        "provider": "postgres",
        "credentials": credentials["postgres"] | {"host": "127.0.0.1", "port": silent_port},
    }
    with web(tmp_path, environment(WAREHOUSE_ALLOWED_PRIVATE_HOSTS="127.0.0.1")) as (at, running):
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                f"{at}{connections_url}test/",
                json=body,
                headers={"Authorization": alice._credentials["HTTP_AUTHORIZATION"]},
                timeout=0.5,
            )
        assert until(lambda: '"event": "test.cancelled"' in running.log.read_text())
    assert '"reached": true' in running.log.read_text()
