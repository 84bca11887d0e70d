"""Who gets a token, and what a call without one is answered."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jwt
import pytest
import requests
from google.auth.exceptions import RefreshError

from sandbox.services.bigquery import new_private_key
from tests.waiting import wait_for

from .conftest import Client, Server, connect, rows

SCOPE = "https://www.googleapis.com/auth/bigquery"
TOKEN_URI = "https://oauth2.googleapis.com/token"


def ask_for_token(
    endpoint: dict[str, Any], account: dict[str, Any], algorithm: str = "RS256", **claims: Any
) -> requests.Response:
    now = int(time.time())
    wanted = {
        "iss": account["client_email"],
        "aud": TOKEN_URI,
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    assertion = jwt.encode(wanted | claims, account["private_key"], algorithm=algorithm)
    return send_assertion(endpoint, assertion)


def send_assertion(endpoint: dict[str, Any], assertion: str) -> requests.Response:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return requests.post(f"{endpoint['api_endpoint']}/token", data=form, timeout=5)


def list_datasets(endpoint: dict[str, Any], **headers: str) -> requests.Response:
    url = f"{endpoint['api_endpoint']}/bigquery/v2/projects/{endpoint['project']}/datasets"
    return requests.get(url, headers=headers, timeout=5)


def test_the_key_file_signs_in(reader: Client) -> None:
    assert rows(reader, "SELECT SESSION_USER() AS who")[0]["who"].startswith("reader@")


def test_a_key_that_is_not_the_accounts_is_refused(endpoint: dict[str, Any]) -> None:
    stolen = {**endpoint["service_account"], "private_key": new_private_key()}
    client = connect(endpoint | {"stolen": stolen}, "stolen")
    with pytest.raises(RefreshError, match="invalid_grant"):
        client.query("SELECT 1")


def test_an_unknown_account_is_refused(endpoint: dict[str, Any]) -> None:
    answer = ask_for_token(endpoint, endpoint["service_account"], iss="nobody@example.test")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -600, "iat": -1200},
        {"exp": 7200},
        {"aud": "https://example.test/token"},
        {"iat": 600, "exp": 1200},
    ],
    ids=["expired", "too long", "for somebody else", "from the future"],
)
def test_an_assertion_that_does_not_hold_is_refused(
    endpoint: dict[str, Any], claims: dict[str, Any]
) -> None:
    # Times are given in seconds from now, which is later than when the tests were collected.
    now = int(time.time())
    given = {name: now + at if isinstance(at, int) else at for name, at in claims.items()}
    answer = ask_for_token(endpoint, endpoint["service_account"], **given)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_assertion_that_is_no_jwt_is_refused(endpoint: dict[str, Any]) -> None:
    answer = send_assertion(endpoint, "not.a.token")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_unsigned_assertion_is_refused(endpoint: dict[str, Any]) -> None:
    account = {**endpoint["service_account"], "private_key": ""}
    answer = ask_for_token(endpoint, account, algorithm="none")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_assertion_without_a_scope_is_refused(endpoint: dict[str, Any]) -> None:
    answer = ask_for_token(endpoint, endpoint["service_account"], scope="")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_tokens_are_never_the_same(endpoint: dict[str, Any]) -> None:
    answers = [ask_for_token(endpoint, endpoint["service_account"]) for _ in range(2)]
    first, second = (answer.json()["access_token"] for answer in answers)
    assert first != second
    assert min(len(first), len(second)) > 30


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({}, "required"), ({"Authorization": "Bearer made-up"}, "authError")],
    ids=["no token", "wrong token"],
)
def test_a_call_without_a_good_token_is_unauthorized(
    endpoint: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    answer = list_datasets(endpoint, **headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (401, "UNAUTHENTICATED")
    assert error["errors"][0]["reason"] == reason


def test_a_token_expires(run_server: Callable[..., AbstractContextManager[Server]]) -> None:
    with run_server(token_lifetime_s=1) as server:
        token = ask_for_token(server.endpoint, server.endpoint["admin"]).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert list_datasets(server.endpoint, **headers).status_code == 200
        assert wait_for(
            lambda: list_datasets(server.endpoint, **headers).status_code == 401, seconds=3
        )
        # The client fetches a new one by itself.
        assert rows(server.client(), "SELECT 1 AS one") == [{"one": 1}]
