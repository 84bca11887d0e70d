"""What Google's clients raise, as our errors."""

from collections.abc import Mapping

from connectors import errors
from connectors.errors import ConnectorError

REASONS: dict[str, type[ConnectorError]] = {
    "accessDenied": errors.PermissionDenied,
    "authError": errors.CredentialsRejected,
    "backendError": errors.ConnectionLost,
    "billingNotEnabled": errors.ResourceUnusable,
    "billingTierLimitExceeded": errors.LimitExceeded,
    "blocked": errors.ResourceUnusable,
    "bytesBilledLimitExceeded": errors.LimitExceeded,
    "forbidden": errors.PermissionDenied,
    "internalError": errors.ConnectionLost,
    "invalid": errors.SqlInvalid,
    "invalidQuery": errors.SqlInvalid,
    "jobBackendError": errors.ConnectionLost,
    "jobInternalError": errors.ConnectionLost,
    "jobRateLimitExceeded": errors.WarehouseBusy,
    "notFound": errors.ObjectNotFound,
    "quotaExceeded": errors.LimitExceeded,
    "rateLimitExceeded": errors.WarehouseBusy,
    "resourceInUse": errors.WarehouseBusy,
    "resourcesExceeded": errors.LimitExceeded,
    "responseTooLarge": errors.LimitExceeded,
    "stopped": errors.QueryCancelled,
    "tableUnavailable": errors.WarehouseBusy,
    "timeout": errors.QueryTimeout,
}
"""Reason of an API error to ours. Source: cloud.google.com/bigquery/docs/error-messages."""


STATUSES: dict[int, type[ConnectorError]] = {
    400: errors.SqlInvalid,
    401: errors.CredentialsRejected,
    403: errors.PermissionDenied,
    404: errors.ObjectNotFound,
    409: errors.WarehouseBusy,
    429: errors.WarehouseBusy,
    499: errors.QueryCancelled,
    500: errors.ConnectionLost,
    502: errors.WarehouseBusy,
    503: errors.WarehouseBusy,
    504: errors.QueryTimeout,
}
"""Status of an API error that gives no reason we know."""


def error_for(exc: Exception) -> ConnectorError | None:
    """Our error for one of Google's; ``None`` when it is not in the tables."""
    import grpc
    from google.api_core import exceptions as api

    if isinstance(exc, api.ServiceUnavailable) and isinstance(exc.response, grpc.RpcError):
        # Over REST it says that the service is busy, here that the connection broke.
        return errors.ConnectionLost()
    if isinstance(exc, api.GoogleAPICallError) and exc.code is not None:
        details = exc.errors[0] if exc.errors else {}
        reason = details.get("reason", "") if isinstance(details, Mapping) else ""
        mapped = REASONS.get(reason) or STATUSES.get(exc.code)
    else:
        mapped = _by_class(exc)
    return mapped() if mapped else None


def _by_class(exc: Exception) -> type[ConnectorError] | None:
    """A sign-in that may succeed later is told from one that was refused."""
    import pyarrow as pa
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    kinds: tuple[
        tuple[type[Exception] | tuple[type[Exception], ...], type[ConnectorError]], ...
    ] = (
        ((auth.RefreshError, auth.DefaultCredentialsError), errors.CredentialsRejected),
        (requests.exceptions.SSLError, errors.TlsFailed),
        ((auth.TransportError, auth.TimeoutError), errors.HostUnreachable),
        ((requests.ConnectionError, requests.Timeout), errors.HostUnreachable),
        (requests.TooManyRedirects, errors.HostRefused),
        (requests.exceptions.ChunkedEncodingError, errors.ConnectionLost),
        (requests.exceptions.ContentDecodingError, errors.ConnectionLost),
        (pa.ArrowInvalid, errors.DataError),
        ((api.DataLoss, api.RetryError, api.Unknown), errors.ConnectionLost),
    )
    if isinstance(exc, auth.RefreshError) and exc.retryable:
        return errors.HostUnreachable
    return next((ours for theirs, ours in kinds if isinstance(exc, theirs)), None)


def said(exc: Exception) -> str:
    """Status and reason: the message repeats names and values of the statement."""
    from google.api_core.exceptions import GoogleAPICallError

    if isinstance(exc, GoogleAPICallError):
        reasons = [error.get("reason") for error in exc.errors if isinstance(error, Mapping)]
        return f"{exc.code} {reasons}"
    return str(exc)
