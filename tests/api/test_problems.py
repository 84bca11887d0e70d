"""The one shape of an error, whatever went wrong and wherever."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection as database
from django.test import Client, RequestFactory
from rest_framework import exceptions as drf
from rest_framework.test import APIClient

import etl.errors
import warehouse.errors
from api import problems
from connectors import errors
from connectors.errors import ConnectorError, WarehouseBusy
from tests.api.shapes import PROBLEM, problem
from warehouse.errors import ServiceFailed, StoreLost, StoreUnavailable
from warehouse.models import WarehouseConnection

TREES = (errors, warehouse.errors, etl.errors)
CLASSES = sorted(
    {
        found
        for module in TREES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, ConnectorError)
    },
    key=lambda found: found.__name__,
)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_class_has_a_status_and_words_for_people(kind: type[ConnectorError]) -> None:
    made = kind("reason") if kind is errors.SqlRefused else kind()
    found = problems.of(made).as_json()
    assert set(found) == PROBLEM
    assert 400 <= found["status"] < 600
    assert (found["status"] == 500) == (kind is ServiceFailed)
    assert (found["code"], found["retryable"]) == (kind.code, kind.retryable)
    assert found["title"]
    assert found["hint"]


@pytest.mark.parametrize("kind", CLASSES)
def test_fault_of_the_caller_is_a_4xx(kind: type[ConnectorError]) -> None:
    made = kind("reason") if kind is errors.SqlRefused else kind()
    if isinstance(made, errors.InvalidInput):
        assert problems.of(made).status in (400, 409, 410)


def test_codes_are_told_apart() -> None:
    codes = [kind.code for kind in CLASSES if kind is not errors.WarehouseError]
    assert sorted(set(codes)) == sorted(codes)


def test_error_class_of_another_package_has_its_parents_status() -> None:
    class NewTimeout(errors.QueryTimeout):
        """A provider's own."""

    assert problems.of(NewTimeout()).status == 504


@pytest.mark.parametrize("path", ["/", "/api/", "/api/environments/", "/nowhere", "/api/docs/x"])
@pytest.mark.django_db
def test_address_that_is_not_there(client: Client, path: str) -> None:
    client.raise_request_exception = False
    answer = client.get(path, follow=True)
    problem(answer, 404, "not_found")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
def test_address_without_the_slash_at_its_end(
    alice: APIClient, connections_url: str, method: str
) -> None:
    found = problem(getattr(alice, method)(connections_url[:-1]), 404, "not_found")
    assert "end with a slash" in found["hint"]


def test_people_are_led_to_the_address_with_the_slash(client: Client) -> None:
    assert client.get("/admin").headers["Location"] == "/admin/"


def test_host_name_that_is_not_ours(client: Client) -> None:
    problem(client.get("/api/schema/", headers={"host": "evil.example"}), 400, "bad_request")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_body_of_another_type(alice: APIClient, connections_url: str, content_type: str) -> None:
    answer = alice.generic("POST", connections_url, "name=shop", content_type=content_type)
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.django_db
def test_answer_of_another_type(alice: APIClient, connections_url: str) -> None:
    problem(alice.get(connections_url, headers={"accept": "text/csv"}), 406, "not_acceptable")


@pytest.mark.django_db
def test_method_that_is_not_there(alice: APIClient, connections_url: str) -> None:
    problem(alice.put(connections_url, {}), 405, "method_not_allowed")


def test_throttled_client_is_told_when_to_come_again() -> None:
    answer = problems.handle(drf.Throttled(wait=7), {"request": RequestFactory().get("/")})
    assert (answer.status_code, answer.data["code"]) == (429, "throttled")
    assert (answer["Retry-After"], answer.data["retryable"]) == ("7", True)


@pytest.mark.parametrize("error", [StoreLost(), StoreUnavailable(), WarehouseBusy()])
def test_what_is_over_in_a_moment_says_when_to_come_again(error: ConnectorError) -> None:
    answer = problems.handle(error, {"request": RequestFactory().get("/")})
    assert (answer.status_code, answer.data["retryable"]) == (503, True)
    assert int(answer["Retry-After"]) > 0


def test_refusal_of_a_host_project_has_the_shape_too() -> None:
    assert (problems.of(PermissionDenied()).status, problems.of(PermissionDenied()).code) == (
        403,
        "forbidden",
    )


def test_nested_faults_are_named_by_their_path() -> None:
    detail = {"tables": [{}, {"source_table": ["Missing."]}], "name": ["A.", "B."]}
    found = problems.of(drf.ValidationError(detail))
    assert found.fields == {"tables.1.source_table": "Missing.", "name": "A. B."}


@pytest.fixture
def table_taken_away(transactional_db: None) -> Iterator[Callable[[], None]]:
    """Renames the connections' table, so that every read of it fails."""
    name, away = "warehouse_warehouseconnection", "taken_away"

    def rename(old: str, new: str) -> None:
        with database.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    yield lambda: rename(name, away)
    rename(away, name)


def test_crash_says_nothing_of_its_cause_and_is_logged(
    alice: APIClient,
    connections_url: str,
    table_taken_away: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    alice.raise_request_exception = False
    table_taken_away()
    answer = alice.get(connections_url)
    problem(answer, 500, "internal_error")
    assert "warehouseconnection" not in answer.content.decode()
    crash = next(record for record in caplog.records if "api.crashed" in record.getMessage())
    assert "ProgrammingError" in crash.getMessage()


@pytest.mark.django_db
def test_crash_outside_the_api_has_the_shape_too(client: Client) -> None:
    from django.urls import get_resolver

    handler = get_resolver().resolve_error_handler(500)
    body = json.loads(handler(None).content)
    assert (set(body), body["code"]) == (PROBLEM, "internal_error")


@pytest.mark.django_db
def test_stored_provider_that_is_gone_is_told_like_any_other(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    WarehouseConnection.all_teams.update(provider="uninstalled")
    problem(alice.post(f"{shop_url}query/", {"sql": "SELECT 1"}), 400, "unknown_provider")
    assert alice.get(shop_url).status_code == 200


@pytest.mark.django_db
def test_stored_config_that_is_broken_is_told_like_any_other(
    alice: APIClient, shop: WarehouseConnection, shop_url: str
) -> None:
    WarehouseConnection.all_teams.update(config={"timeout_s": "soon"})
    problem(alice.post(f"{shop_url}query/", {"sql": "SELECT 1"}), 400, "invalid_input")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM no_such_table_9631",
        "SELECT no_such_column_9631 FROM pg_class",
        "SELECT 'value_9631'::int",
        "SELECT ('{\"a\": value_9631'::text)::json",
        "SELECT no_such_function_9631()",
    ],
)
def test_no_text_of_a_driver_gets_out(alice: APIClient, shop_url: str, sql: str) -> None:
    for verb in ("query", "estimate_cost"):
        said: Any = alice.post(f"{shop_url}{verb}/", {"sql": sql})
        text = said.content if not said.streaming else said.getvalue()
        # Names are told as the query itself has them.
        assert not re.search(b'(value|function)_9631|relation "|column "', text)
        assert b"LINE" not in text
