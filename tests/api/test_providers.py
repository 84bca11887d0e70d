"""`warehouse_providers/` and `manage.py providers`: what a form, or a person, has to know."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from connectors import registry
from warehouse.models import Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(client_of: Callable[[str], APIClient], team: Team) -> dict[str, dict[str, Any]]:
    """Every provider by name, as a viewer sees it."""
    answer = client_of("vera").get(f"/api/environments/{team.pk}/warehouse_providers/")
    assert answer.status_code == 200
    return {provider["name"]: provider for provider in json.loads(answer.content)}


def test_every_provider_is_published_whole(published: dict[str, dict[str, Any]]) -> None:
    assert tuple(published) == registry.names()
    for provider in published.values():
        assert set(provider) == {
            "name", "label", "capabilities", "credentials_form", "sign_in", "example", "grants",
            "config_form",
        }  # fmt: skip
        assert provider["label"]
        assert set(provider["capabilities"]) == {
            "dialect", "cost_basis", "read_only_session", "limits_time", "limits_bytes_scanned",
        }  # fmt: skip


@pytest.mark.parametrize("name", registry.names())
def test_form_says_what_is_secret_and_how_one_can_sign_in(
    published: dict[str, dict[str, Any]], name: str
) -> None:
    provider = published[name]
    form = provider["credentials_form"]
    model = registry.provider(name).credentials_model
    fields = form["properties"]
    secret = {
        field
        for field, shape in fields.items()
        if any(part.get("writeOnly") for part in (shape, *shape.get("anyOf", ())))
    }
    assert secret == model.secret_fields()
    assert form["additionalProperties"] is False
    assert {way["title"] for way in provider["sign_in"]} == {
        way["title"] for way in form.get("oneOf", ())
    }
    for way in provider["sign_in"]:
        assert {*way["needs"], *way["may_have"]} <= set(fields)


def test_example_and_grants_are_there_to_be_copied(published: dict[str, dict[str, Any]]) -> None:
    for name, provider in published.items():
        if not provider["example"]:
            continue
        registry.provider(name).credentials_model.parse(provider["example"])
        assert "<" in provider["grants"]
    assert published["postgres"]["example"]


def test_config_has_the_limits_that_are_kept_and_the_prices_that_there_are(
    published: dict[str, dict[str, Any]],
) -> None:
    fields = {name: one["config_form"]["properties"] for name, one in published.items()}
    kept = {"cache_ttl_s", "serve_stale_s"}
    assert set(fields["postgres"]) == {"timeout_s", "max_rows", "joins_here"} | kept
    assert "joins_here" not in fields["redshift"]
    limits = {"timeout_s", "max_rows", "max_bytes_scanned", "joins_here"}
    assert set(fields["bigquery"]) == limits | kept | {"prices"}
    prices = fields["bigquery"]["prices"]["properties"]
    assert set(prices) == {"currency", "as_of", "per_tib"}
    assert prices["per_tib"]["default"] == "6.25"
    assert all(field["title"] for form in fields.values() for field in form.values())


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("providers", *arguments, stdout=out)
    return out.getvalue()


def test_command_lists_them_in_columns() -> None:
    head, *lines = said().splitlines()
    at = head.index("price")
    for name, basis in (("bigquery", "exact"), ("postgres", "unknown"), ("snowflake", "rough")):
        (line,) = [line for line in lines if line.startswith(name)]
        assert line[at:].startswith(basis)


def test_command_shows_the_form_and_the_grants_of_one() -> None:
    text = said("postgres")
    assert "Sign in by Password: password" in text
    assert text.endswith(f"\n\n{registry.provider('postgres').grants}\n")
    (line,) = [line for line in text.splitlines() if line.startswith("password ")]
    assert "secret" in line


def test_command_names_the_providers_there_are() -> None:
    with pytest.raises(CommandError, match=r"no such provider.*postgres"):
        said("oracle")
