"""Connections that cannot be saved: each fault is named, and nothing is half saved."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from connectors import registry
from tests.api.shapes import problem
from warehouse.hogql.filters import Operator
from warehouse.models import WarehouseConnection

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"timeout_s": 0}, "config.timeout_s"),
        ({"timeout_s": 3601}, "config.timeout_s"),
        ({"max_rows": "many"}, "config.max_rows"),
        ({"max_bytes_scanned": -1}, "config.max_bytes_scanned"),
        ({"colour": "red"}, "config.colour"),
    ],
)
def test_config_is_judged_field_by_field(
    alice: APIClient, connections_url: str, body: dict[str, Any], config: Any, field: str
) -> None:
    found = problem(alice.post(connections_url, body | {"config": config}), 400, "invalid_input")
    assert set(found["fields"]) == {field}
    assert not WarehouseConnection.all_teams.exists()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"mode": "sideways"}, "mode"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": ["shop"]}, "name"),
        ({"name": "sh\x00op"}, "name"),
        ({"credentials": "password"}, "credentials"),
        ({"credentials": None}, "credentials"),
        ({"config": [1]}, "config"),
        ({"provider": {"a": 1}}, "provider"),
    ],
)
def test_field_of_a_wrong_shape_is_named(
    alice: APIClient, connections_url: str, body: dict[str, Any], changed: Any, field: str
) -> None:
    found = problem(alice.post(connections_url, body | changed), 400, "invalid_input")
    assert set(found["fields"]) == {field}
    assert not WarehouseConnection.all_teams.exists()


def test_choices_are_named_in_bodies_and_in_filters_of_lists(
    alice: APIClient, connections_url: str, body: dict[str, Any]
) -> None:
    queries = connections_url.replace("warehouse_connections", "queries")
    properties = [{"key": "plan", "operator": "regex", "value": "a"}]
    for answer, said in (
        (alice.post(connections_url, body | {"mode": "x"}), {"mode": "sync, direct, hybrid"}),
        (
            alice.post(queries, {"query": "SELECT 1", "dialect": "postgres"}),
            {"dialect": "native, hogql"},
        ),
        (
            alice.post(queries, {"query": "SELECT 1", "filters": {"properties": properties}}),
            {"filters.properties.0.operator": ", ".join(Operator)},
        ),
        (
            alice.get(queries, {"outcome": "done"}),
            {"outcome": "running, succeeded, failed, cancelled"},
        ),
    ):
        found = problem(answer, 400, "invalid_input")
        assert found["fields"] == {at: f"Choose from: {values}." for at, values in said.items()}


@pytest.mark.parametrize("missing", ["name", "provider", "credentials"])
def test_missing_field_is_named(
    alice: APIClient, connections_url: str, body: dict[str, Any], missing: str
) -> None:
    del body[missing]
    found = problem(alice.post(connections_url, body), 400, "invalid_input")
    assert found["fields"] == {missing: "This field is required."}


def test_unknown_provider_is_told_which_there_are(
    alice: APIClient, connections_url: str, body: dict[str, Any]
) -> None:
    answer = alice.post(connections_url, body | {"provider": "oracle"})
    found = problem(answer, 400, "unknown_provider")
    assert set(found["fields"]) == {"provider"}
    assert all(name in found["hint"] for name in registry.names())


@pytest.mark.parametrize(
    ("provider", "changed", "field"),
    [
        ("postgres", {"password": None}, "credentials.password"),
        ("postgres", {"pasword": "x"}, "credentials.pasword"),
        ("postgres", {"port": "many"}, "credentials.port"),
        ("postgres", {"port": 70_000}, "credentials.port"),
        ("postgres", {"host": "db\x00.example.com"}, "credentials.host"),
        ("postgres", {"host": ""}, "credentials.host"),
        ("postgres", {"sslmode": "sometimes"}, "credentials.sslmode"),
        ("snowflake", {"account": "a/../b"}, "credentials.account"),
        ("snowflake", {"password": None, "private_key": "no"}, "credentials.private_key"),
        ("snowflake", {"password": None}, "credentials.private_key"),
        ("bigquery", {"service_account_json": "{"}, "credentials.service_account_json"),
        ("bigquery", {"service_account_json": "[1]"}, "credentials.service_account_json"),
        (
            "bigquery",
            {"service_account_json": {"type": "service_account"}},
            "credentials.service_account_json",
        ),
        ("bigquery", {"project": "../other"}, "credentials.project"),
    ],
)
def test_credential_at_fault_is_named_and_nothing_saved(
    alice: APIClient,
    connections_url: str,
    credentials: dict[str, Any],
    provider: str,
    changed: dict[str, Any],
    field: str,
) -> None:
    values = credentials[provider] | changed
    for url in (connections_url, f"{connections_url}test/"):
        body = {"provider": provider, "credentials": values}
        name = {"name": "mine"} if url == connections_url else {}
        found = problem(alice.post(url, body | name), 400, "invalid_credentials")
        assert set(found["fields"]) == {field}
    assert not WarehouseConnection.all_teams.exists()


def test_missing_credential_is_named(
    alice: APIClient, connections_url: str, body: dict[str, Any]
) -> None:
    answer = alice.post(connections_url, body | {"credentials": {"host": "db.example.com"}})
    found = problem(answer, 400, "invalid_credentials")
    password = found["fields"].pop("credentials.password")
    assert password.startswith("Give the secrets of one way to sign in: password; or ")
    missing = {"credentials.database", "credentials.user"}
    assert found["fields"] == dict.fromkeys(missing, "This field is required.")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "invalid_input"),
        (b"name=shop", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"name": NaN}', 400, "malformed_json"),
        (b'{"name": "\\ud800"}', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b"[]", 400, "invalid_input"),
        (b'"shop"', 400, "invalid_input"),
        (b"null", 400, "invalid_input"),
        (b'{"a": "' + b"x" * 10_000_000 + b'"}', 413, "request_too_large"),
    ],
    ids=[
        *("empty", "a form", "half", "not utf-8", "NaN", "half a pair", "deep", "array", "text"),
        *("null", "10 MB"),
    ],
)
def test_body_that_is_no_json_object_is_refused(
    alice: APIClient, connections_url: str, data: bytes, status: int, code: str
) -> None:
    answer = alice.generic("POST", connections_url, data, content_type="application/json")
    problem(answer, status, code)


def test_whole_emoji_is_text(alice: APIClient, connections_url: str, body: dict[str, Any]) -> None:
    data = json.dumps(body | {"name": "shop 🛒"}).encode()
    answer = alice.generic("POST", connections_url, data, content_type="application/json")
    assert answer.json()["name"] == "shop 🛒"
