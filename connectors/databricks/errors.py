"""Databricks' errors as ours: by the client's class, the error condition and the SQLSTATE."""

import re
import ssl
from collections.abc import Iterator

import pyarrow as pa

from connectors import errors
from connectors.errors import ConnectorError

CLASSES: dict[str, type[ConnectorError] | None] = {
    "CursorAlreadyClosedError": errors.QueryCancelled,
    "DataError": errors.ConnectionLost,
    "DatabaseError": None,
    "Error": None,
    "IntegrityError": None,
    "InterfaceError": errors.ConnectionLost,
    "InternalError": None,
    "InvalidServerResponseError": errors.ResourceUnusable,
    "MaxRetryDurationError": errors.WarehouseBusy,
    "NonRecoverableNetworkError": errors.WarehouseError,
    "NotSupportedError": errors.InvalidParameters,
    "OperationalError": None,
    "ProgrammingError": None,
    "RequestError": None,
    "ReydenThriftUnsupportedError": errors.ResourceUnusable,
    "ServerOperationError": None,
    "SessionAlreadyClosedError": errors.ConnectionLost,
    "TransactionError": None,
    "UnsafeToRetryError": errors.ConnectionLost,
}
"""Every error class of databricks.sql.exc that can reach us; ``None``: its text or code tells.

DataError is raised when rows of a fetch are missing, NotSupportedError when a value has no type
as a parameter, MaxRetryDurationError when the warehouse asks for more patience than we have.
"""

CONDITIONS: dict[str, type[ConnectorError]] = {
    "INSUFFICIENT_PERMISSIONS": errors.PermissionDenied,
    "INVALID_PARAMETER_VALUE": errors.InvalidParameters,
    "OPERATION_CANCELED": errors.QueryCancelled,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "QUERY_EXECUTION_TIMEOUT_EXCEEDED": errors.QueryTimeout,
    "SCHEMA_NOT_FOUND": errors.ObjectNotFound,
    "TABLE_OR_VIEW_NOT_FOUND": errors.ObjectNotFound,
    "UNAUTHORIZED_ACCESS": errors.PermissionDenied,
    "UNBOUND_SQL_PARAMETER": errors.InvalidParameters,
    "UNRESOLVED_COLUMN": errors.ObjectNotFound,
    "UNRESOLVED_ROUTINE": errors.SqlInvalid,
    "USER_RAISED_EXCEPTION": errors.DataError,
}
"""Error condition (its first part) to ours, before the SQLSTATE is asked.

Source: docs.databricks.com/error-messages/error-classes.
"""

SQLSTATES: dict[str, type[ConnectorError]] = {
    "07": errors.InvalidParameters,
    "0A": errors.SqlInvalid,
    "22": errors.DataError,
    "23": errors.DataError,
    "28": errors.PermissionDenied,
    "42": errors.SqlInvalid,
    "42501": errors.PermissionDenied,
    "42703": errors.ObjectNotFound,
    "42704": errors.ObjectNotFound,
    "42P01": errors.ObjectNotFound,
    "42P02": errors.InvalidParameters,
    "53": errors.LimitExceeded,
    "54": errors.LimitExceeded,
    "57014": errors.QueryCancelled,
    "57KD0": errors.QueryTimeout,
    "HY008": errors.QueryCancelled,
    "HYT00": errors.QueryTimeout,
    "P0001": errors.DataError,
}
"""SQLSTATE, or the beginning of one, to ours; the longest match wins. None of these is worth a
retry: the text that a SQLSTATE is read from may quote the query.

Source: docs.databricks.com/error-messages/sqlstates.
"""

PHRASES: tuple[tuple[str, type[ConnectorError]], ...] = (
    (r"^Invalid SessionHandle", errors.ConnectionLost),
    (r"^Statement has timed out", errors.QueryTimeout),
    (r"^(?:Database|Schema|Catalog) '.*' (?:was )?not found", errors.ObjectNotFound),
)
"""Beginnings of messages that have neither condition nor SQLSTATE."""

HTTP: dict[int, type[ConnectorError]] = {
    400: errors.ResourceUnusable,
    401: errors.CredentialsRejected,
    403: errors.CredentialsRejected,
    404: errors.ResourceUnusable,
    429: errors.WarehouseBusy,
    503: errors.WarehouseBusy,
}

CONDITION = re.compile(r"^\s*\[(?P<name>[A-Z][A-Z0-9_]*)[\].]")
SQLSTATE = re.compile(r"SQLSTATE: (\w{5})")


def error_for(exc: Exception, *, is_open: bool) -> ConnectorError | None:
    """Our error for one of the client's; ``None`` when it is not in the tables.

    ``is_open``: there is a session, so that what is lost is not merely out of reach.
    """
    if isinstance(exc, pa.ArrowInvalid):
        return errors.DataError("A value is outside the range of its column's type.")
    chain = list(_chain(exc))
    for one in chain:
        if isinstance(one, ConnectorError):
            # Raised by our own sign-in, and wrapped by the client that called it.
            return one
    code = http_code(exc)
    if code is not None and code >= 400:
        return HTTP[code]() if code in HTTP else _lost(is_open) if code >= 500 else None
    transport = _transport_error(chain, is_open=is_open)
    if transport is not None:
        return transport
    if _went_unanswered(exc):
        return _lost(is_open)
    for one in chain:
        kind = CLASSES.get(type(one).__name__) if _is_clients(one) else None
        if kind is not None:
            return kind()
    found = by_text(getattr(exc, "message", None)) if _is_clients(exc) else None
    if found is errors.ObjectNotFound and not is_open:
        return errors.ResourceUnusable()
    return found() if found else None


def by_text(message: str | None) -> type[ConnectorError] | None:
    """Our error for what the server says; ``None`` when it is not in the tables."""
    text = message or ""
    condition = CONDITION.match(text)
    if condition and condition["name"] in CONDITIONS:
        return CONDITIONS[condition["name"]]
    if state := SQLSTATE.search(text):
        matches = [prefix for prefix in SQLSTATES if state[1].startswith(prefix)]
        return SQLSTATES[max(matches, key=len)] if matches else None
    return next((kind for phrase, kind in PHRASES if re.match(phrase, text)), None)


def said(exc: Exception) -> str:
    """Condition, state and query: the text repeats names and values of the statement."""
    if not _is_clients(exc) or http_code(exc) is not None:
        return str(exc)
    text = getattr(exc, "message", None) or ""
    condition, state = CONDITION.match(text), SQLSTATE.search(text)
    context = getattr(exc, "context", None) or {}
    named = f"{condition['name'] if condition else None} ({state[1] if state else None})"
    return f"{named} query {context.get('operation-id')}"


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """An error and whatever is behind it: causes, contexts, and those the client keeps inside."""
    seen: set[int] = set()
    waiting = [exc]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = (part for part in one.args if isinstance(part, BaseException))
        reason = getattr(one, "reason", None)
        waiting += [*inside, reason if isinstance(reason, BaseException) else None]
        waiting += [one.__cause__, one.__context__]


def _transport_error(chain: list[BaseException], *, is_open: bool) -> ConnectorError | None:
    """The error of a connection that failed below HTTP."""
    import requests
    import urllib3.exceptions as http

    if any(isinstance(one, ssl.SSLError | http.SSLError) for one in chain):
        return errors.TlsFailed()
    below = (http.HTTPError, requests.ConnectionError, requests.Timeout, ConnectionError, EOFError)
    return _lost(is_open) if any(isinstance(one, below) for one in chain) else None


def _went_unanswered(exc: Exception) -> bool:
    """The server did not answer how a statement goes: there the client drops what it caught."""
    context = getattr(exc, "context", None) or {}
    asked = context.get("method") == "GetOperationStatus"
    return _is_clients(exc) and asked and context.get("original-exception") == "None"


def _lost(is_open: bool) -> ConnectorError:
    return errors.ConnectionLost() if is_open else errors.HostUnreachable()


def http_code(exc: Exception) -> int | None:
    """The status that the warehouse's own server answered with, if it is that which went wrong."""
    context = getattr(exc, "context", None)
    code = context.get("http-code") if isinstance(context, dict) else None
    return code if isinstance(code, int) else None


def _is_clients(exc: BaseException) -> bool:
    return type(exc).__module__ == "databricks.sql.exc"
