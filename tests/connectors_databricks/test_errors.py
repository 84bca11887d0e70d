"""Every error that the client can raise, and what becomes of it."""

import inspect
import logging
import ssl
from typing import Any

import pyarrow as pa
import pytest
import requests
import urllib3.exceptions as http
from databricks.sql import exc as client

from connectors import Connector, errors
from connectors.databricks.errors import CLASSES, CONDITIONS, HTTP, SQLSTATES, error_for
from connectors.errors import ConnectorError

from .conftest import Open

# Raised by the telemetry that we switch off, and the warnings of PEP 249.
NEVER = {"TelemetryRateLimitError", "TelemetryNonRateLimitError", "Warning"}


def code(exc: Exception, *, is_open: bool = True) -> str | None:
    found = error_for(exc, is_open=is_open)
    return None if found is None else found.code


def test_every_class_of_the_client_is_in_the_table() -> None:
    theirs = {name for name, kind in vars(client).items() if inspect.isclass(kind)}
    assert theirs - NEVER == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_class_is_mapped_or_asked_for_its_text(name: str) -> None:
    wanted = CLASSES[name]
    assert code(getattr(client, name)("no text that we know")) == (wanted and wanted.code)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[TABLE_OR_VIEW_NOT_FOUND] `a` cannot be found. SQLSTATE: 42P01", "object_not_found"),
        ("[UNRESOLVED_COLUMN.WITH_SUGGESTION] … SQLSTATE: 42703; line 1", "object_not_found"),
        ("[UNRESOLVED_ROUTINE] `f` SQLSTATE: 42883", "sql_invalid"),
        ("[UNBOUND_SQL_PARAMETER] … SQLSTATE: 42P02", "invalid_parameters"),
        ("\n[PARSE_SYNTAX_ERROR] … SQLSTATE: 42601 (line 1, pos 0)", "sql_invalid"),
        ("[INSUFFICIENT_PERMISSIONS] … SQLSTATE: 42501", "permission_denied"),
        ("PERMISSION_DENIED: User does not have USE CATALOG. SQLSTATE: 42501", "permission_denied"),
        ("[DIVIDE_BY_ZERO] … SQLSTATE: 22012", "data_error"),
        ("[CAST_OVERFLOW] … SQLSTATE: 22003", "data_error"),
        ("[USER_RAISED_EXCEPTION] … SQLSTATE: P0001", "data_error"),
        ("[SOMETHING_NEW] … SQLSTATE: 54000", "limit_exceeded"),
        ("[SOMETHING_NEW] … SQLSTATE: HY008", "query_cancelled"),
        ("[SOMETHING_NEW] … SQLSTATE: XX000", None),
        ("Statement has timed out after 5 seconds", "query_timeout"),
        ("Invalid SessionHandle: SessionHandle [0]", "connection_lost"),
        ("Something went wrong", None),
        (None, None),
    ],
)
def test_a_message_tells_by_condition_then_by_sqlstate(
    message: str | None, kind: str | None
) -> None:
    assert code(client.ServerOperationError(message)) == kind
    assert code(client.DatabaseError(message)) == kind


def test_what_a_query_quotes_never_makes_it_worth_a_retry() -> None:
    for table in (CONDITIONS, SQLSTATES):
        assert not [kind for kind in table.values() if kind.retryable]


def test_an_object_that_is_missing_at_sign_in_is_the_connections_own() -> None:
    missing = client.DatabaseError("[SCHEMA_NOT_FOUND] … SQLSTATE: 42704")
    assert (code(missing), code(missing, is_open=False)) == (
        "object_not_found",
        "resource_unusable",
    )


@pytest.mark.parametrize("status", sorted(HTTP))
def test_an_http_status_is_mapped(status: int) -> None:
    exc = client.RequestError("Error during request to server", {"http-code": status})
    assert code(exc) == HTTP[status].code


@pytest.mark.parametrize(
    ("status", "is_open", "kind"),
    [
        (500, True, "connection_lost"),
        (502, False, "host_unreachable"),
        (418, True, None),
        (200, True, None),
    ],
)
def test_an_http_status_of_another_kind(status: int, is_open: bool, kind: str | None) -> None:
    assert code(client.RequestError("…", {"http-code": status}), is_open=is_open) == kind


POOL: Any = None


@pytest.mark.parametrize(
    "exc",
    [
        http.MaxRetryError(POOL, "/", http.NewConnectionError(POOL, "refused")),
        http.ReadTimeoutError(POOL, "/", "read"),
        http.ProtocolError("broken", ConnectionResetError()),
        requests.ConnectionError(),
        requests.Timeout(),
        ConnectionResetError(),
        client.RequestError("…", {}, None, http.ProtocolError("broken")),
        client.RequestError("…", {"method": "GetOperationStatus", "original-exception": "None"}),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_a_broken_connection_is_lost_or_never_was(exc: Exception) -> None:
    assert code(exc) == "connection_lost"
    assert code(exc, is_open=False) == "host_unreachable"


@pytest.mark.parametrize(
    "exc",
    [
        http.MaxRetryError(POOL, "/", http.SSLError(ssl.SSLError())),
        requests.exceptions.SSLError(http.MaxRetryError(POOL, "/", http.SSLError())),
        client.RequestError("…", {}, None, ssl.SSLError()),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_tls_is_told_apart(exc: Exception) -> None:
    assert code(exc) == "tls_failed"


def test_our_own_error_comes_back_from_within_the_clients() -> None:
    ours = errors.CredentialsRejected()
    assert error_for(client.RequestError("…", {}, None, ours), is_open=True) is ours


def test_what_nobody_knows_stays_unknown() -> None:
    assert code(RuntimeError("SQLSTATE: 42P01")) is None
    assert code(ValueError("[TABLE_OR_VIEW_NOT_FOUND]")) is None
    assert code(pa.ArrowInvalid("out of range")) == "data_error"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT * FROM nowhere", errors.ObjectNotFound),
        ("SELECT nothing FROM orders", errors.ObjectNotFound),
        ("SELECT nofunction(1) AS a", errors.SqlInvalid),
        ("SELECT sum(order_id), paid FROM orders", errors.SqlInvalid),
        ("SELECT 1 / 0 AS a", errors.DataError),
        ("SELECT order_id / (order_id - 7) AS a FROM orders", errors.DataError),
        ("SELECT raise_error('SQLSTATE: 08000') AS a", errors.DataError),
    ],
)
def test_a_wrong_query_is_the_right_error_and_spares_the_session(
    shared: Connector, sql: str, kind: type[ConnectorError]
) -> None:
    with pytest.raises(kind):
        shared.query(sql).read_all()
    assert shared.query("SELECT 1 AS one").read_all().num_rows == 1


def test_neither_secret_nor_query_gets_out(
    open_one: Open, by_token: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = open_one()
    with pytest.raises(errors.ObjectNotFound) as caught:
        connector.query("SELECT * FROM canary_4711").read_all()
    (entry,) = [record for record in caplog.records if record.name == "connectors"]
    assert "ServerOperationError: TABLE_OR_VIEW_NOT_FOUND (42P01) query " in entry.driver_text
    shown = [str(vars(record)) for record in caplog.records if record is not entry]
    shown.append(f"{entry.getMessage()} {entry.driver_text}")
    for canary in ("canary_4711", by_token["token"]):
        assert not [text for text in shown if canary in text]
    # Whoever asked is told of the name, and of nothing else.
    told = f"{caught.value} {caught.value.advice} {caught.value.fields}"
    assert by_token["token"] not in told
