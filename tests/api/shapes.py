"""What answers of the API look like, so that tests say only what is theirs."""

import json
from typing import Any

RESULT = set(
    "run_id columns rows row_count truncated stats error cached age_s as_of source".split()
)
PROBLEM = {"type", "title", "status", "code", "hint", "fields", "retryable"}


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The body of an error of the one shape, with this status and code."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    assert set(body) == PROBLEM
    assert body["status"] == status
    assert body["title"]
    assert body["hint"]
    assert isinstance(body["retryable"], bool)
    assert all(isinstance(text, str) and text for text in body["fields"].values())
    return body


def result(answer: Any) -> dict[str, Any]:
    """The whole body of a streamed result that has begun well."""
    assert answer.status_code == 200, answer.json()
    assert answer["Content-Type"] == "application/json"
    found: dict[str, Any] = json.loads(answer.getvalue())
    assert set(found) == RESULT
    return found
