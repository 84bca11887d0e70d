"""The tree of errors, and that every driver's own errors have a place in it."""

import inspect
import re
from types import ModuleType
from typing import Any

import psycopg.errors
import pyarrow as pa
import pytest
import requests.exceptions
import snowflake.connector.errors
from google.api_core import exceptions as google_api
from google.auth import exceptions as google_auth

from connectors import errors
from connectors.bigquery import errors as bigquery_errors
from connectors.errors import ConnectorError
from connectors.postgres import wire as postgres_wire
from connectors.snowflake import errors as snowflake_errors

CLASSES = {name: found for name, found in vars(errors).items() if isinstance(found, type)}


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES.keys())
def test_error_says_what_went_wrong_and_what_to_do(kind: type[ConnectorError]) -> None:
    assert issubclass(kind, ConnectorError)
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.message.endswith(".")
    assert kind.hint.endswith(".")
    assert kind.__doc__
    assert isinstance(kind.retryable, bool)


def test_codes_are_unique() -> None:
    # The last leaf, of what is not mapped, is the root's own answer.
    codes = [kind.code for kind in CLASSES.values() if kind is not errors.WarehouseError]
    assert len(codes) == len(set(codes))


def test_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    path: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:│   |    )*)(?:├── |└── )?(\w+)", line):
            depth = found.start(2)
            path[depth] = found[2]
            parents = [name for at, name in sorted(path.items()) if at < depth]
            drawn[found[2]] = parents[-1] if parents else "Exception"
    assert drawn == {
        name: kind.__base__.__name__ for name, kind in CLASSES.items() if kind.__base__
    }


def test_docstring_marks_what_is_retryable() -> None:
    marked = set(re.findall(r"(\w+) +\(retryable\)", errors.__doc__ or ""))
    assert marked == {name for name, kind in CLASSES.items() if kind.retryable}


def test_error_takes_words_of_its_own() -> None:
    error = errors.ObjectNotFound("No table x.", hint="List them.", fields={"table": "x"})
    assert (str(error), error.advice, error.fields) == ("No table x.", "List them.", {"table": "x"})
    assert (error.code, error.retryable) == ("object_not_found", False)


# Drivers


def classes_of(module: ModuleType, root: type[BaseException]) -> dict[str, type[BaseException]]:
    """Every exception class a driver's module has, by name."""
    found = inspect.getmembers(module, inspect.isclass)
    return {name: kind for name, kind in found if issubclass(kind, root)}


POSTGRES_UNMAPPED_STATES = frozenset(
    """02 03 09 0B 0F 0L 0Z 10 23 24 25 26 27 2B 2D 34 3B 44 58 F0 XX""".split()
)
"""They cannot come out of one read-only query, or say that the server or this code is broken."""
POSTGRES_UNMAPPED = frozenset(
    "DatabaseError Error IntegrityError InterfaceError InternalError NotSupportedError".split()
)


def test_every_error_of_psycopg_is_mapped_or_known() -> None:
    found = classes_of(psycopg.errors, psycopg.Error)
    unmapped = {
        (kind.sqlstate or "")[:2] or name  # type: ignore[attr-defined]
        for name, kind in found.items()
        if not name.startswith("_") and postgres_wire.error_for(kind("x")) is None  # type: ignore[arg-type]
    }
    assert unmapped == POSTGRES_UNMAPPED_STATES | POSTGRES_UNMAPPED


SNOWFLAKE_UNMAPPED = frozenset(
    """BadRequest BindUploadError ConfigManagerError ConfigSourceError DatabaseError Error
    IntegrityError InternalError MethodNotAllowed MissingConfigOptionError MissingDependencyError
    NotSupportedError ProgrammingError""".split()
)
"""Without a number or state they say nothing, or that this code calls the client wrongly."""


def test_every_error_of_snowflakes_client_is_mapped_or_known() -> None:
    found = classes_of(snowflake.connector.errors, snowflake.connector.errors.Error)
    unmapped = {
        name for name, kind in found.items() if snowflake_errors.error_for(_made(kind)) is None
    }
    assert unmapped == SNOWFLAKE_UNMAPPED


GOOGLE_UNMAPPED = frozenset(
    """AsyncRestUnsupportedParameterError ClientError DuplicateCredentialArgs
    GoogleAPICallError GoogleAPIError LengthRequired MethodNotAllowed MethodNotImplemented
    MissingStatusHeaderError MovedPermanently NotModified PreconditionFailed Redirection
    RequestRangeNotSatisfiable ResumableTransferError ResumeIncomplete ServerError
    TemporaryRedirect TransferStalledError UnseekableStreamError UploadCancelledError""".split()
)
"""Of uploads, which are not done here; of redirects, which are not followed; or a mere base."""
GOOGLE_AUTH_UNMAPPED = frozenset(
    """ClientCertError GoogleAuthError MutualTLSChannelError OAuthError ResponseError
    UserAccessTokenError""".split()
)
"""Of ways to sign in that are not offered, or that this code calls the library wrongly."""
REQUESTS_UNMAPPED = frozenset(
    """CompatJSONDecodeError BaseHTTPError FileModeWarning HTTPError InvalidHeader InvalidJSONError
    InvalidProxyURL InvalidSchema InvalidURL JSONDecodeError MissingSchema RequestException
    RequestsDependencyWarning RequestsWarning RetryError StreamConsumedError URLRequired
    UnrewindableBodyError""".split()
)
"""That this code calls the library wrongly, or that what answers is not Google's API."""


@pytest.mark.parametrize(
    ("module", "known"),
    [
        (google_api, GOOGLE_UNMAPPED),
        (google_auth, GOOGLE_AUTH_UNMAPPED),
        (requests.exceptions, REQUESTS_UNMAPPED),
    ],
    ids=["api", "auth", "requests"],
)
def test_every_error_of_googles_clients_is_mapped_or_known(
    module: ModuleType, known: frozenset[str]
) -> None:
    found = classes_of(module, Exception)
    unmapped = {
        name for name, kind in found.items() if bigquery_errors.error_for(_made(kind)) is None
    }
    assert unmapped == known


def _made(kind: type[BaseException]) -> Any:
    """An instance of an exception class whose constructor may want more than we have."""
    for arguments in (("x",), (), ("x", "x"), ("x", "x", 0)):
        try:
            return kind(*arguments)
        except TypeError:
            continue
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (psycopg.errors.UndefinedTable("x"), "object_not_found"),
        (psycopg.errors.InsufficientPrivilege("x"), "permission_denied"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), "permission_denied"),
        (psycopg.errors.QueryCanceled("x"), "query_timeout"),
        (psycopg.errors.AdminShutdown("x"), "connection_lost"),
        (psycopg.errors.DeadlockDetected("x"), "warehouse_busy"),
        (psycopg.errors.LockNotAvailable("x"), "warehouse_busy"),
        (psycopg.errors.NumericValueOutOfRange("x"), "data_error"),
        (psycopg.errors.ConnectionTimeout("x"), "host_unreachable"),
        (pa.ArrowInvalid("x"), "data_error"),
        (ValueError("x"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_of_postgres_is_the_most_specific_of_ours(exc: Exception, code: str | None) -> None:
    found = postgres_wire.error_for(exc)
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("number", "state", "kind", "code"),
    [
        (390100, "28000", "DatabaseError", "credentials_rejected"),
        (390303, "08001", "DatabaseError", "credentials_rejected"),
        (390189, "08001", "DatabaseError", "resource_unusable"),
        (390112, "08001", "DatabaseError", "connection_lost"),
        (250001, "08001", "OperationalError", "host_unreachable"),
        (250001, "08001", "ForbiddenError", "host_unknown"),
        (2003, "42S02", "ProgrammingError", "object_not_found"),
        (1003, "42000", "ProgrammingError", "sql_invalid"),
        (604, "57014", "ProgrammingError", "query_cancelled"),
        (630, "57014", "ProgrammingError", "query_timeout"),
        (999_999, "22018", "ProgrammingError", "data_error"),
        (252010, None, "OperationalError", "connection_lost"),
        (999_999, None, "ProgrammingError", None),
    ],
)
def test_error_of_snowflake_goes_by_class_number_state(
    number: int, state: str | None, kind: str, code: str | None
) -> None:
    exc = _made(getattr(snowflake.connector.errors, kind))
    exc.errno, exc.sqlstate = number, state
    found = snowflake_errors.error_for(exc)
    assert (found.code if found else None) == code
    assert snowflake_errors.error_for(ValueError("x")) is None


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (404, "notFound", "object_not_found"),
        (403, "accessDenied", "permission_denied"),
        (403, "quotaExceeded", "limit_exceeded"),
        (403, "rateLimitExceeded", "warehouse_busy"),
        (400, "invalidQuery", "sql_invalid"),
        (500, "somethingNew", "connection_lost"),
        (418, "somethingNew", None),
    ],
)
def test_error_of_bigquery_goes_by_reason_then_status(
    status: int, reason: str, code: str | None
) -> None:
    exc = google_api.GoogleAPICallError("x", errors=[{"reason": reason}])
    exc.code = status
    found = bigquery_errors.error_for(exc)
    assert (found.code if found else None) == code
