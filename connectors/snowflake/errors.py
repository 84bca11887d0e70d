"""What Snowflake's client raises, as our errors."""

from http.client import HTTPException

import pyarrow as pa

from connectors import errors
from connectors.errors import ConnectorError

ERRORS: dict[int, type[ConnectorError]] = {
    606: errors.ResourceUnusable,
    # A lock that another transaction holds, perhaps one of a worker that is gone.
    625: errors.WarehouseBusy,
    604: errors.QueryCancelled,
    630: errors.QueryTimeout,
    904: errors.ObjectNotFound,
    1003: errors.SqlInvalid,
    2002: errors.TableTaken,
    2003: errors.ObjectNotFound,
    2043: errors.ResourceUnusable,
    2049: errors.InvalidParameters,
    3001: errors.PermissionDenied,
    # INFORMATION_SCHEMA gives up where a read of it is not narrow enough.
    90030: errors.LimitExceeded,
    90105: errors.ResourceUnusable,
    90106: errors.ResourceUnusable,
    100035: errors.DataError,
    100038: errors.DataError,
    100051: errors.DataError,
    100132: errors.DataError,
    250001: errors.HostUnreachable,
    250003: errors.HostUnreachable,
    250005: errors.HostUnreachable,
    252001: errors.InvalidParameters,
    252013: errors.ConnectionLost,
    390111: errors.ConnectionLost,
    390112: errors.ConnectionLost,
    390113: errors.ConnectionLost,
    390114: errors.ConnectionLost,
    390115: errors.ConnectionLost,
    390189: errors.ResourceUnusable,
    390201: errors.ResourceUnusable,
    # The account's network policy lets this machine not in, or wants to be asked.
    390422: errors.ConnectError,
    390432: errors.ConnectError,
}
"""Snowflake's error numbers to ours; by SQLSTATE class where a number is missing."""

SQLSTATES: dict[str, type[ConnectorError]] = {
    "02": errors.ObjectNotFound,
    "08": errors.ConnectionLost,
    "0A": errors.SqlInvalid,
    "22": errors.DataError,
    "28": errors.CredentialsRejected,
    "42": errors.SqlInvalid,
    "53": errors.LimitExceeded,
    "57": errors.QueryCancelled,
}


SIGN_IN = range(390_000, 396_000)
"""Numbers of refused sign-ins; the client gives all of them the state of a lost connection."""

CLASSES: dict[str, type[ConnectorError]] = {
    "BadGatewayError": errors.WarehouseBusy,
    "ForbiddenError": errors.HostUnknown,
    "GatewayTimeoutError": errors.WarehouseBusy,
    "HttpError": errors.ConnectionLost,
    "InternalServerError": errors.WarehouseBusy,
    "NonRetryableTlsError": errors.TlsFailed,
    "OtherHTTPRetryableError": errors.WarehouseBusy,
    "PresignedUrlExpiredError": errors.ConnectionLost,
    "RefreshTokenError": errors.CredentialsRejected,
    "RequestExceedMaxRetryError": errors.ConnectionLost,
    "RequestTimeoutError": errors.WarehouseBusy,
    "RevocationCheckError": errors.TlsFailed,
    "ServiceUnavailableError": errors.WarehouseBusy,
    "TokenExpiredError": errors.CredentialsRejected,
    "TooManyRequests": errors.WarehouseBusy,
}
"""The client's own classes that say more than a number; 403 is how it hears of a wrong account."""

GENERAL: dict[str, type[ConnectorError]] = {
    "DataError": errors.DataError,
    "InterfaceError": errors.ConnectionLost,
    "OperationalError": errors.ConnectionLost,
}
"""Its classes that say little, for an error with neither a known number nor a known state."""


ROLE_REFUSED = frozenset({390186, 390189})
"""Who signs in is let in, but not in the role asked for."""


def error_for(exc: Exception) -> ConnectorError | None:
    """Our error for one of the client's; ``None`` when it is not in the table."""
    from snowflake.connector import errors as client
    from snowflake.connector.vendored.urllib3.exceptions import HTTPError

    # Chunks of a result fail with whatever the client's HTTP library says.
    if isinstance(exc, OSError | HTTPException | HTTPError):
        return errors.ConnectionLost()
    if isinstance(exc, pa.ArrowInvalid):
        return errors.DataError("A value is outside the range of its column's type.")
    if not isinstance(exc, client.Error):
        return None
    name = type(exc).__name__
    mapped = (
        CLASSES.get(name)
        or ERRORS.get(number := exc.errno or 0)
        or (errors.CredentialsRejected if number in SIGN_IN else None)
        or SQLSTATES.get((exc.sqlstate or "")[:2])
        or GENERAL.get(name)
    )
    return mapped() if mapped else None


def said(exc: Exception) -> str:
    """Number, state and query id: the text repeats names and values of the statement."""
    from snowflake.connector.errors import Error

    if isinstance(exc, Error):
        return f"{exc.errno} ({exc.sqlstate}) query {exc.sfqid}"
    return str(exc)
