"""Who gets in, and what a call without a good token is answered."""

from pathlib import Path
from typing import Any

import pytest
import requests
from databricks import sql
from databricks.sql.exc import RequestError

from sandbox.databricks.server import HISTORY_PATH, TOKEN_PATH
from sandbox.databricks.settings import BadSettings, load
from sandbox.files import write_json
from tests.databricks_standin import StandIn, bridge_here
from tests.waiting import wait_for

from .conftest import Connect, rows


def ask_for_token(endpoint: dict[str, Any], **changes: str) -> requests.Response:
    known = endpoint["oauth"] | changes
    form = {
        "grant_type": changes.get("grant_type", "client_credentials"),
        "scope": changes.get("scope", "all-apis"),
    }
    return requests.post(
        f"http://{endpoint['host']}:{endpoint['port']}{TOKEN_PATH}",
        data=form,
        auth=(known["client_id"], known["client_secret"]),
        timeout=5,
    )


def history(endpoint: dict[str, Any], authorization: str | None) -> requests.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"http://{endpoint['host']}:{endpoint['port']}{HISTORY_PATH}"
    return requests.get(url, headers=headers, timeout=5)


def test_the_access_token_signs_in(connect: Connect) -> None:
    with connect().cursor() as cursor:
        assert rows(cursor, "SELECT 1") == [(1,)]


def test_a_wrong_token_is_refused_as_the_vendor_does(
    connect: Connect, endpoint: dict[str, Any]
) -> None:
    with pytest.raises(RequestError, match="Invalid access token") as caught:
        connect(endpoint | {"token": "dapi-wrong"})
    assert caught.value.context["http-code"] == 403


@pytest.mark.parametrize(
    ("authorization", "status", "message"),
    [
        (None, 401, "Credential was not sent or was of an unsupported type for this API."),
        ("Bearer wrong", 403, "Invalid access token."),
        ("Bearer ", 403, "Invalid access token."),
        ("Basic dXNlcjpzZWNyZXQ=", 403, "Invalid access token."),
    ],
)
def test_every_path_wants_a_token(
    endpoint: dict[str, Any], authorization: str | None, status: int, message: str
) -> None:
    answer = history(endpoint, authorization)
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert answer.headers["x-databricks-reason-phrase"] == message


def test_a_service_principal_gets_tokens_for_its_secret(endpoint: dict[str, Any]) -> None:
    first, second = (ask_for_token(endpoint).json() for _ in range(2))
    assert first["access_token"] != second["access_token"]
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    assert history(endpoint, f"Bearer {first['access_token']}").status_code == 200


def test_a_token_of_a_service_principal_opens_a_session(endpoint: dict[str, Any]) -> None:
    token = ask_for_token(endpoint).json()["access_token"]
    connection = sql.connect(
        endpoint["host"],
        endpoint["http_path"],
        credentials_provider=lambda: lambda: {"Authorization": f"Bearer {token}"},
        _connection_uri=f"http://127.0.0.1:{endpoint['port']}{endpoint['http_path']}",
        enable_telemetry=False,
    )
    with connection, connection.cursor() as cursor:
        assert rows(cursor, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "everything"}, 400, "invalid_scope"),
    ],
)
def test_a_bad_request_for_a_token_is_refused(
    endpoint: dict[str, Any], changes: dict[str, str], status: int, error: str
) -> None:
    answer = ask_for_token(endpoint, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_token_expires(standin: StandIn) -> None:
    with bridge_here(standin, token_lifetime_s=1) as endpoint:
        bearer = f"Bearer {ask_for_token(endpoint).json()['access_token']}"
        assert history(endpoint, bearer).status_code == 200
        assert wait_for(lambda: history(endpoint, bearer).status_code == 403, 3)


def test_an_unknown_warehouse_is_not_found(connect: Connect, endpoint: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="does not exist") as caught:
        connect(endpoint | {"http_path": "/sql/1.0/warehouses/ffffffffffffffff"})
    assert caught.value.context["http-code"] == 404


@pytest.mark.parametrize("secret", ["token", "client_secret"])
def test_no_secret_is_in_a_command_line(standin: StandIn, secret: str) -> None:
    endpoint = standin.endpoint
    wanted = (endpoint | endpoint["oauth"])[secret].encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (folder / "cmdline").exists():
            assert wanted not in _read(folder / "cmdline") + _read(folder / "environ")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_settings_that_others_can_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    write_json(path, {})
    with pytest.raises(BadSettings, match="incomplete"):
        load(path)
    path.chmod(0o644)
    with pytest.raises(BadSettings, match="0600"):
        load(path)
