"""Credentials, hosts, and every way in which a session does not come about."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors import Connector, NetworkPolicy
from connectors.databricks_auth import SignIn
from connectors.errors import ConnectorError, HostRefused, InvalidCredentials
from connectors.providers import databricks
from connectors.providers.databricks import Databricks, DatabricksCredentials
from tests.databricks_standin import CHECKOUT, StandIn, bridge, wait_for

from .conftest import Answers, Open

GOOD = {
    "host": "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
    "http_path": "/sql/1.0/warehouses/a1b2c3d4e5f6a7b8",
    "token": "dapi0123456789abcdef",
    "catalog": "main",
}
PRINCIPAL = {"token": None, "client_id": "id", "client_secret": "secret"}


def failure(connector: Connector) -> tuple[str, str] | None:
    """The step of a check that fails, and its code."""
    step = connector.check().failure
    return None if step is None else (step.name, step.code)


@pytest.mark.parametrize("way", ["by_token", "by_oauth"])
def test_each_way_of_signing_in_works(
    open_one: Open, way: str, request: pytest.FixtureRequest
) -> None:
    connector = open_one(request.getfixturevalue(way))
    assert connector.check().ok
    assert connector.query("SELECT 1 AS one").read_all().to_pylist() == [{"one": 1}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "dapi-wrong"}, "credentials_rejected"),
        (PRINCIPAL, "credentials_rejected"),
        ({"http_path": "/sql/1.0/warehouses/ffffffffffffffff"}, "resource_unusable"),
        ({"catalog": "nowhere"}, "resource_unusable"),
        ({"schema": "nowhere"}, "resource_unusable"),
        ({"protocol": "https"}, "tls_failed"),
    ],
)
def test_what_is_wrong_fails_at_sign_in(open_one: Open, changes: dict[str, Any], code: str) -> None:
    started = time.monotonic()
    assert failure(open_one(**changes)) == ("sign in", code)
    assert time.monotonic() - started < 5


def test_a_closed_port_is_unreachable(open_one: Open, closed_port: int) -> None:
    connector = open_one(port=closed_port)
    assert failure(connector) == ("connect", "host_unreachable")
    with pytest.raises(ConnectorError) as caught:
        connector.query("SELECT 1 AS one")
    assert caught.value.code == "host_unreachable"


def test_a_server_that_never_answers_is_given_up(
    open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databricks, "SOCKET_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert failure(open_one(port=silent.getsockname()[1])) == ("sign in", "host_unreachable")
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (400, {}, "resource_unusable"),
        (401, {}, "credentials_rejected"),
        (403, {}, "credentials_rejected"),
        (404, {}, "resource_unusable"),
        (429, {"Retry_After": "60"}, "warehouse_busy"),
        (500, {}, "host_unreachable"),
        (503, {}, "warehouse_busy"),
        (503, {"Retry_After": "60"}, "warehouse_busy"),
    ],
)
def test_an_http_error_is_told_quickly(
    open_one: Open, answering: Callable[..., Answers], status: int, headers: Any, code: str
) -> None:
    server, started = answering(status, **headers), time.monotonic()
    assert failure(open_one(port=server.server_port)) == ("sign in", code)
    assert time.monotonic() - started < 4
    assert 1 <= server.requests <= 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("changes", [{}, PRINCIPAL], ids=["token", "principal"])
def test_a_redirect_leads_nowhere(
    open_one: Open, answering: Callable[..., Answers], status: int, changes: dict[str, Any]
) -> None:
    elsewhere = answering(200)
    server = answering(status, Location=f"http://127.0.0.1:{elsewhere.server_port}/")
    step, _ = failure(open_one(port=server.server_port, **changes)) or ("", "")
    assert step == "sign in"
    assert (server.requests > 0, elsewhere.requests) == (True, 0)


def test_a_token_endpoint_that_answers_nonsense_is_told(
    open_one: Open, answering: Callable[..., Answers]
) -> None:
    connector = open_one(port=answering(200).server_port, **PRINCIPAL)
    assert failure(connector) == ("sign in", "connect_failed")


def test_a_token_is_renewed_before_it_ends(
    open_one: Open, standin: StandIn, by_oauth: dict[str, Any], tmp_path: Path
) -> None:
    with bridge(tmp_path, standin, token_lifetime_s=2) as own:
        connector = open_one(by_oauth, port=own.endpoint["port"])
        began = time.monotonic()

        def reads() -> bool:
            assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
            return time.monotonic() - began > 3

        assert wait_for(reads, 20)


def test_a_token_is_asked_for_once(standin: StandIn, by_oauth: dict[str, Any]) -> None:
    form = DatabricksCredentials.parse(by_oauth)
    sign_in = SignIn(form, form.url())
    assert sign_in.headers() == sign_in()()


@pytest.mark.parametrize(
    "host",
    [
        "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
        "1234567890.0.gcp.databricks.com",
        "adb-123.4.azuredatabricks.net",
        "DBC-1.cloud.databricks.us",
        "adb-1.databricks.azure.us",
    ],
)
def test_the_vendors_hosts_are_allowed(host: str) -> None:
    (endpoint,) = Databricks(GOOD | {"host": host})._endpoints()
    assert (endpoint.host, endpoint.port) == (host, 443)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "databricks.com.example.com"},
        {"host": "evildatabricks.com"},
        {"host": "127.0.0.1"},
        {"host": "169.254.169.254"},
        {"protocol": "http"},
    ],
)
def test_other_hosts_are_refused_unless_allowed(changes: dict[str, Any]) -> None:
    with pytest.raises(HostRefused):
        Databricks(GOOD | changes)._endpoints()
    host = changes.get("host", GOOD["host"])
    Databricks(GOOD | changes, network=NetworkPolicy.allowing([host]))._endpoints()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": "https://dbc-1.cloud.databricks.com"}, "host"),
        ({"host": "dbc-1.cloud.databricks.com/evil"}, "host"),
        ({"host": "user@dbc-1.cloud.databricks.com"}, "host"),
        ({"http_path": "/api/2.0/clusters"}, "http_path"),
        ({"http_path": "/sql/1.0/../../api"}, "http_path"),
        ({"http_path": "/sql/1.0/warehouses/a?b=c"}, "http_path"),
        ({"token": "two words"}, "token"),
        ({"token": "line\nbreak"}, "token"),
        ({"catalog": ""}, "catalog"),
        ({"token": None}, "credentials"),
        ({"client_id": "id"}, "credentials"),
        ({"client_id": "id", "client_secret": "secret"}, "credentials"),
        ({"token": None, "client_id": "id"}, "credentials"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_form_with_a_fault_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        DatabricksCredentials.parse(GOOD | changes)
    assert list(caught.value.fields) == [field]
    assert "dapi0123" not in str(caught.value.fields)


@pytest.mark.parametrize(
    "path",
    [
        "/sql/1.0/warehouses/a1b2c3d4e5f6a7b8",
        "sql/1.0/endpoints/a1b2c3d4e5f6a7b8",
        "sql/protocolv1/o/1234567890123456/1234-123456-slid123",
        "/sql/1.0/warehouses/a1b2c3d4?o=123456",
    ],
)
def test_every_spelling_of_a_path_is_taken(path: str) -> None:
    assert DatabricksCredentials.parse(GOOD | {"http_path": path}).http_path == path


def test_secrets_are_known_and_masked() -> None:
    assert DatabricksCredentials.secret_fields() == {"token", "client_secret"}
    form = DatabricksCredentials.parse(GOOD)
    assert form.mask(f"a {GOOD['token']} b") == "a *** b"
    assert form.reveal() == GOOD | {"schema": "default", "port": 443, "protocol": "https"}
    assert GOOD["token"] not in form.target() + repr(form)


def test_the_client_is_imported_when_it_connects() -> None:
    code = (
        "import sys, connectors.registry as r; r.provider('databricks'); "
        "sys.exit(bool({'databricks', 'thrift', 'pandas', 'requests'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False, timeout=30)
    assert ran.returncode == 0
