"""S3's errors as ours, by their codes. Source: Amazon S3 API Reference, Error responses."""

from connectors import errors
from connectors.errors import ConnectorError

ERRORS: dict[str, type[ConnectorError]] = {
    "AccessDenied": errors.PermissionDenied,
    "AllAccessDisabled": errors.PermissionDenied,
    "EntityTooLarge": errors.LimitExceeded,
    "ExpiredToken": errors.CredentialsRejected,
    "InternalError": errors.WarehouseBusy,
    "InvalidAccessKeyId": errors.CredentialsRejected,
    "InvalidToken": errors.CredentialsRejected,
    "NoSuchBucket": errors.ResourceUnusable,
    "NoSuchKey": errors.ObjectNotFound,
    "NoSuchUpload": errors.ObjectNotFound,
    "PermanentRedirect": errors.ResourceUnusable,
    "RequestTimeout": errors.ConnectionLost,
    "RequestTimeTooSkewed": errors.CredentialsRejected,
    "ServiceUnavailable": errors.WarehouseBusy,
    "SignatureDoesNotMatch": errors.CredentialsRejected,
    "SlowDown": errors.WarehouseBusy,
}
BY_STATUS: dict[int, type[ConnectorError]] = {
    403: errors.PermissionDenied,
    404: errors.ObjectNotFound,
    500: errors.WarehouseBusy,
    503: errors.WarehouseBusy,
}
"""Where an answer has no code: HEAD has no body."""


def error_for(exc: Exception, *, is_open: bool) -> ConnectorError | None:
    """Our error for one of botocore's or boto3's; ``None`` when no table has it."""
    from boto3.exceptions import S3UploadFailedError
    from botocore import exceptions

    match exc:
        case S3UploadFailedError() if isinstance(exc.__context__, exceptions.ClientError):
            return _refusal(exc.__context__)
        case exceptions.ClientError():
            return _refusal(exc)
        case exceptions.SSLError():
            return errors.TlsFailed()
        case exceptions.NoCredentialsError() | exceptions.CredentialRetrievalError():
            return errors.CredentialsRejected("This machine has no AWS identity to sign in with.")
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return errors.ConnectionLost() if is_open else errors.HostUnreachable()
        case exceptions.IncompleteReadError():
            return errors.ConnectionLost()
        case _:
            return None


def _refusal(exc: "Exception") -> ConnectorError | None:
    answer = getattr(exc, "response", {})
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    found = ERRORS.get(answer.get("Error", {}).get("Code", "")) or BY_STATUS.get(status)
    if found is errors.ResourceUnusable:
        sentence = "There is no such bucket in that region."
        return found(sentence, fields={"bucket": sentence})
    if found is errors.CredentialsRejected:
        sentence = "S3 refused this key."
        return found(sentence, fields={"secret_access_key": sentence})
    return found() if found else None
