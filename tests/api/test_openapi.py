"""The OpenAPI document and the page that shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db

HTTP = {"get", "post", "patch", "delete"}
CURSOR = "http://api.example.org/accounts/?cursor="
DEFAULTS = (None, {}, "", "direct", "public", "PUBLIC", True, 0, 10, 24, 200)


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    answer = client.get("/api/schema/?format=json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in methods.keys() & HTTP:
            yield f"{method} {path}", methods[method]


def parts(document: dict[str, Any], node: Any) -> Iterator[dict[str, Any]]:
    """Every schema object that can be reached from a node, through references too."""
    if isinstance(node, list):
        for item in node:
            yield from parts(document, item)
    elif isinstance(node, dict):
        if reference := node.get("$ref"):
            node = document["components"]["schemas"][reference.rpartition("/")[2]]
        yield node
        for name, item in node.items():
            # The names in there are the API's, not OpenAPI's.
            yield from parts(document, list(item.values()) if name == "properties" else item)


def test_document_is_valid_and_complete(tmp_path: Path) -> None:
    file = tmp_path / "openapi.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))
    assert "/estimate_cost/" in file.read_text()


def test_every_route_is_in_it_with_its_error_shape(document: dict[str, Any]) -> None:
    found = dict(operations(document))
    assert len(found) == 68
    for name, operation in found.items():
        problem = operation["responses"]["default"]["content"]
        assert list(problem) == ["application/problem+json"], name
    assert "/api/environments/{team_id}/warehouse_connections/{id}/query/" in document["paths"]


def test_token_and_session_are_the_ways_to_sign_in(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
    assert schemes["cookieAuth"]["name"] == "sessionid"


def test_credentials_are_write_only_and_in_no_answer(document: dict[str, Any]) -> None:
    written = 0
    for name, operation in operations(document):
        for part in parts(document, operation["responses"]):
            assert "credentials" not in part.get("properties", {}), name
        for part in parts(document, operation.get("requestBody", {})):
            if field := part.get("properties", {}).get("credentials"):
                assert field["writeOnly"] is True
                written += 1
    assert written == 3


def test_no_example_or_default_could_be_a_secret(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        for part in parts(document, operation):
            assert "examples" not in part
            assert str(part.get("example", CURSOR)).startswith(CURSOR)
            if "type" in part:
                assert part.get("default") in DEFAULTS


def test_page_shows_it_without_reaching_outside(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) >= 3
    for asset in assets:
        assert not re.match(r"(https?:)?//", asset), asset
        assert client.get(asset).status_code == 200, asset
    assert json.dumps("/api/schema/") in page
    assert not re.search(r"https?://(?!localhost|testserver)", page)
