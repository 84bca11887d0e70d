"""The one shape of an error: problem details (RFC 9457) with a stable code, fields and a hint."""

from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig
from django.core.exceptions import PermissionDenied as DjangoDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from kombu.exceptions import OperationalError as QueueSilent
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from connectors import errors
from connectors.errors import ConnectorError
from connectors.sql_guard import MAX_SQL_CHARS
from etl.errors import RunEnded, RunInProgress, RunNotFailed, RunSuperseded
from warehouse.errors import (
    ConnectionInUse,
    CredentialsUnreadable,
    KeysUnavailable,
    NameTaken,
    QueryAbandoned,
    QueryRunning,
    QueueUnavailable,
    ResultGone,
    ServiceFailed,
    StoreLost,
    StoreUnavailable,
    ViewInUse,
)

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
"""An engine that has died is back by then."""

STATUS: dict[type[ConnectorError], int] = {
    errors.InvalidInput: 400,
    NameTaken: 409,
    ConnectionInUse: 409,
    RunInProgress: 409,
    RunEnded: 409,
    RunNotFailed: 409,
    RunSuperseded: 409,
    ViewInUse: 409,
    errors.ConnectError: 502,
    errors.HostRefused: 400,
    errors.HostUnknown: 400,
    errors.CredentialsRejected: 422,
    errors.QueryError: 400,
    errors.QueryTimeout: 504,
    errors.ConnectionLost: 502,
    errors.WarehouseBusy: 503,
    errors.Unsupported: 400,
    CredentialsUnreadable: 503,
    KeysUnavailable: 503,
    StoreUnavailable: 503,
    StoreLost: 503,
    QueryRunning: 409,
    ResultGone: 410,
    QueryAbandoned: 503,
    QueueUnavailable: 503,
    ServiceFailed: 500,
    ConnectorError: 502,
}
"""HTTP status of an error class; a class that is not here has its nearest parent's."""

DRF_CODES: dict[type[drf.APIException], tuple[str, str]] = {
    drf.NotAuthenticated: ("not_authenticated", "Send a header Authorization: Bearer <token>."),
    drf.AuthenticationFailed: ("token_invalid", "Ask for a new token."),
    drf.PermissionDenied: (
        "forbidden",
        "Ask an admin of the team for the role; a browser's session must send its CSRF token too.",
    ),
    drf.NotFound: ("not_found", "Check the id and the team in the address."),
    drf.MethodNotAllowed: ("method_not_allowed", "See the API documentation."),
    drf.ParseError: ("malformed_json", "The body must be a JSON object."),
    drf.UnsupportedMediaType: ("unsupported_media_type", "Send application/json."),
    drf.NotAcceptable: ("not_acceptable", "Accept application/json."),
    drf.Throttled: ("throttled", "Try again later."),
}


@dataclass(frozen=True)
class Problem:
    """One error as a client sees it."""

    status: int
    code: str
    title: str
    hint: str
    fields: dict[str, str] = field(default_factory=dict)
    retryable: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "hint": self.hint,
            "fields": self.fields,
            "retryable": self.retryable,
        }


def of(exc: Exception, **where: str) -> Problem:
    """The problem of any exception. One that nobody foresaw is logged with ``where``."""
    match exc:
        case ConnectorError():
            return _of_error(exc)
        case drf.ValidationError():
            fields = dict(_flatten(exc.detail))
            hint = "Correct the fields named and send it again."
            return Problem(400, "invalid_input", "The input cannot be used.", hint, fields)
        case Http404() | ObjectDoesNotExist():
            # The latter, where somebody has deleted it since it was found.
            return _of_drf(drf.NotFound())
        case DjangoDenied():
            return _of_drf(drf.PermissionDenied())
        case drf.APIException():
            return _of_drf(exc)
        case QueueSilent():
            hint = "Nothing is lost: a run that was asked for starts once the queue is back."
            return Problem(503, "queue_unavailable", "The workers' queue does not answer.", hint)
        case RequestDataTooBig():
            hint = (
                f"A query has {MAX_SQL_CHARS:,} characters at most; send fewer events in a batch."
            )
            return Problem(413, "request_too_large", "The request is too large.", hint)
        case _:
            log.error("api.crashed", error=type(exc).__name__, exc_info=exc, **where)
            return _unexpected()


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: every exception ends as a problem."""
    set_rollback()
    problem = of(exc, path=context["request"].path)
    headers = _headers(exc, problem)
    return Response(problem.as_json(), problem.status, headers=headers, content_type=CONTENT_TYPE)


def respond(problem: Problem) -> HttpResponse:
    """The problem as an answer from outside DRF."""
    return JsonResponse(problem.as_json(), status=problem.status, content_type=CONTENT_TYPE)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return respond(_unexpected())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    problem = _of_drf(drf.NotFound())
    if not request.path.endswith("/"):
        problem = replace(problem, hint="Addresses of the API end with a slash.")
    return respond(problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a host name that is not ours, a header no client sends."""
    return respond(Problem(400, "bad_request", "The request is malformed.", "Check its address."))


def _of_error(error: ConnectorError) -> Problem:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return Problem(
        status, error.code, error.detail, error.advice, error.fields, retryable=error.retryable
    )


def _unexpected() -> Problem:
    return Problem(500, "internal_error", "The service failed.", "Ask the operator: it is logged.")


def _of_drf(exc: drf.APIException) -> Problem:
    known = next((DRF_CODES[kind] for kind in type(exc).__mro__ if kind in DRF_CODES), None)
    code, hint = known or ("error", "See the API documentation.")
    detail = "Not found." if code == "not_found" else str(exc.detail)
    return Problem(exc.status_code, code, detail, hint, retryable=code == "throttled")


def _headers(exc: Exception, problem: Problem) -> dict[str, str]:
    header, wait_s = getattr(exc, "auth_header", None), getattr(exc, "wait", None)
    if problem.status == 503 and problem.retryable:
        wait_s = RETRY_AFTER_S
    headers = {"WWW-Authenticate": header} if header else {}
    return headers | ({"Retry-After": str(wait_s)} if wait_s else {})


def _flatten(detail: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(detail, dict):
        return [
            pair
            for name, part in detail.items()
            for pair in _flatten(part, f"{path}.{name}" if path else str(name))
        ]
    if isinstance(detail, list) and any(isinstance(part, dict | list) for part in detail):
        return [
            pair for i, part in enumerate(detail) if part for pair in _flatten(part, f"{path}.{i}")
        ]
    text = " ".join(map(str, detail)) if isinstance(detail, list) else str(detail)
    return [(path or "body", text)]
