"""Hybrid connections over HTTP: what an answer says of itself, and how answers are forgotten."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.shapes import problem, result
from tests.hybrid.asking import NOW
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(hybrid: WarehouseConnection, connections_url: str) -> str:
    return f"{connections_url}{hybrid.pk}/"


def test_answer_says_whether_it_was_kept_and_where_it_is_from(alice: APIClient, url: str) -> None:
    first, again = (result(alice.post(f"{url}query/", {"sql": NOW})) for _ in range(2))
    assert first["rows"] == again["rows"]
    assert first["columns"] == again["columns"]
    assert (first["cached"], first["age_s"]) == (False, 0)
    assert again["cached"]
    assert 0 < again["age_s"] < 5
    assert again["source"] == first["source"]
    assert again["source"]["run_id"] == first["run_id"] != again["run_id"]
    assert again["stats"] == {
        "vendor_query_id": None,
        "bytes_scanned": 0,
        "bytes_billed": 0,
        "amount_billed": "0",
        "billed_in": "",
    }
    as_of = datetime.fromisoformat(again["as_of"])
    assert timedelta(0) < datetime.now(UTC) - as_of < timedelta(seconds=5)


def test_caller_may_ask_for_a_younger_answer(alice: APIClient, url: str) -> None:
    first, anew = (
        result(alice.post(f"{url}query/", {"sql": NOW, "max_age_s": age})) for age in (60, 0)
    )
    assert first["rows"] != anew["rows"]
    assert not anew["cached"]
    problem(alice.post(f"{url}query/", {"sql": NOW, "max_age_s": -1}), 400, "invalid_input")


def test_answers_are_forgotten_on_request(
    alice: APIClient, client_of: Callable[[str], APIClient], url: str
) -> None:
    first = result(alice.post(f"{url}query/", {"sql": NOW}))
    assert client_of("vera").post(f"{url}invalidate_cache/").status_code == 403
    assert client_of("bob").post(f"{url}invalidate_cache/").json() == {"forgotten": 1}
    assert result(alice.post(f"{url}query/", {"sql": NOW}))["rows"] != first["rows"]


def test_estimate_says_that_a_kept_answer_is_free(alice: APIClient, url: str) -> None:
    result(alice.post(f"{url}query/", {"sql": NOW}))
    found: dict[str, Any] = alice.post(f"{url}estimate_cost/", {"sql": NOW}).json()
    assert found["cost"] == {"low": "0", "high": "0", "currency": "USD", "basis": "exact"}
    assert found["bytes_scanned"] == 0


def test_hogql_is_kept_too(alice: APIClient, url: str, vault: Any) -> None:
    vault.execute("CREATE TABLE orders AS SELECT 1 AS id")
    vault.execute("GRANT SELECT ON orders TO PUBLIC")
    body = {"sql": "SELECT count() AS n FROM orders WHERE id = {id}", "dialect": "hogql"}
    first = result(alice.post(f"{url}query/", body | {"values": {"id": 1}}))
    vault.execute("INSERT INTO orders VALUES (1)")
    again = result(alice.post(f"{url}query/", body | {"values": {"id": 1}}))
    assert first["rows"] == again["rows"] == [[1]]
    assert again["cached"]
    assert result(alice.post(f"{url}query/", body | {"values": {"id": 2}}))["rows"] == [[0]]
    assert alice.post(f"{url}estimate_cost/", body | {"values": {"id": 1}}).json()["sql"]
