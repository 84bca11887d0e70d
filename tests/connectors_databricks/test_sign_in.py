"""Credentials, hosts, and every way in which a session does not come about."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from connectors import Connector, NetworkPolicy
from connectors.databricks.auth import CredentialsProvider
from connectors.databricks.credentials import DatabricksCredentials
from connectors.errors import (
    ConnectorError,
    CredentialsRejected,
    HostRefused,
    InvalidCredentials,
    ResourceUnusable,
)
from connectors.providers import databricks
from connectors.providers.databricks import Databricks
from tests.databricks_standin import CHECKOUT, StandIn, bridge_here
from tests.waiting import wait_for

from .conftest import Answers, Open

GOOD = {
    "host": "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
    "http_path": "/sql/1.0/warehouses/a1b2c3d4e5f6a7b8",
    "token": "dapi0123456789abcdef",
    "catalog": "main",
}
PRINCIPAL = {"token": None, "client_id": "id", "client_secret": "secret"}


UNKNOWN = [
    ("http_path", "/sql/1.0/warehouses/ffffffffffffffff"),
    ("catalog", "nowhere"),
    ("schema", "nowhere"),
]


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
    ("changes", "step", "code"),
    [
        ({"token": "dapi-wrong"}, "sign in", "credentials_rejected"),
        (PRINCIPAL, "sign in", "credentials_rejected"),
        *(({field: name}, "usable", "resource_unusable") for field, name in UNKNOWN),
        ({"protocol": "https"}, "TLS", "tls_failed"),
    ],
)
def test_what_is_wrong_fails_at_its_step(
    open_one: Open, changes: dict[str, Any], step: str, code: str
) -> None:
    started = time.monotonic()
    assert failure(open_one(**changes)) == (step, code)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("field", "name"), UNKNOWN)
def test_what_cannot_be_used_is_named(open_one: Open, field: str, name: str) -> None:
    connector = open_one(**{field: name})
    for verb in (
        connector.fetch_tables,
        lambda: connector.estimate("SELECT 1 AS one"),
        lambda: connector.query("SELECT 1 AS one"),
    ):
        with pytest.raises(ResourceUnusable) as caught:
            verb()
        assert set(caught.value.fields) == {field}


def test_a_schema_that_is_made_later_is_found(open_one: Open, owner: Any, new_schema: str) -> None:
    connector = open_one(schema=new_schema)
    with pytest.raises(ResourceUnusable):
        connector.query("SELECT 1 AS one")
    owner.execute(f"CREATE SCHEMA {new_schema}")
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1


def test_a_schema_that_a_session_only_seems_to_have_is_told(
    open_one: Open, owner: Any, new_schema: str
) -> None:
    owner.execute(f"CREATE SCHEMA {new_schema}")
    connector = open_one(schema=new_schema)
    connector.query("SELECT 1 AS one").close()
    owner.execute(f"DROP SCHEMA {new_schema}")
    with pytest.raises(ResourceUnusable) as caught:
        connector._usable()
    assert set(caught.value.fields) == {"schema"}


def test_a_check_says_what_it_works_with(open_one: Open, by_token: dict[str, Any]) -> None:
    steps = {step.name: step for step in open_one().check().steps}
    warehouse = by_token["http_path"].rpartition("/")[2]
    assert steps["usable"].detail == f"warehouse {warehouse}, catalog sandbox, schema sales"
    # Whether a principal may write is told neither by a session nor by the metadata calls.
    assert steps["write refused"].detail.startswith("Not known")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [({"token": "dapi-wrong"}, {"token"}), (PRINCIPAL, {"client_id", "client_secret"})],
)
def test_a_secret_that_is_refused_is_named(
    open_one: Open, changes: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(CredentialsRejected) as caught:
        open_one(**changes).query("SELECT 1 AS one")
    assert set(caught.value.fields) == fields


def test_a_principal_that_may_not_use_the_warehouse_is_told_so(
    open_one: Open, answering: Callable[..., Answers]
) -> None:
    server = answering(403, grants_tokens=True)
    connector = open_one(port=server.server_port, **PRINCIPAL)
    assert failure(connector) == ("usable", "resource_unusable")


def test_a_session_that_the_server_has_ended_is_replaced(
    open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = open_one()
    connector.query("SELECT 1 AS one").close()
    monkeypatch.setattr(databricks, "IDLE_S", 0)
    first = connector._connection
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
    assert connector._connection is first
    first.session.close()
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
    assert connector._connection is not first


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
        (401, {}, "credentials_rejected"),
        (403, {}, "credentials_rejected"),
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


@pytest.mark.parametrize("status", [302, 307])
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
    open_one: Open, standin: StandIn, by_oauth: dict[str, Any]
) -> None:
    with bridge_here(standin, token_lifetime_s=1) as endpoint:
        connector = open_one(by_oauth, port=endpoint["port"])
        began = time.monotonic()

        def reads() -> bool:
            assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
            return time.monotonic() - began > 1.5

        assert wait_for(reads, 20)


def test_a_token_is_asked_for_once(standin: StandIn, by_oauth: dict[str, Any]) -> None:
    form = DatabricksCredentials.parse(by_oauth)
    provider = CredentialsProvider(form, form.url())
    assert provider.headers() == provider()()


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
    connector = Databricks(GOOD | {"host": host})
    (endpoint,) = connector._endpoints()
    connector._judge(endpoint)
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
    connector = Databricks(GOOD | changes)
    (endpoint,) = connector._endpoints()
    with pytest.raises(HostRefused):
        connector._judge(endpoint)
    policy = NetworkPolicy.allowing([endpoint.host])
    Databricks(GOOD | changes, network=policy)._judge(endpoint)


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
        ({"token": None}, "token"),
        ({"client_id": "id"}, "client_id"),
        ({"client_id": "id", "client_secret": "secret"}, "token"),
        ({"token": None, "client_id": "id"}, "client_secret"),
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
