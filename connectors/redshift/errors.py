"""Redshift's errors as ours: by SQLSTATE, by the code in a detail, and AWS's by their codes."""

import re

import psycopg

from connectors import errors
from connectors.errors import ConnectorError
from connectors.postgres import wire

DETAIL_CODE = re.compile(r"^\s*code:\s+(\d+)\s*$", re.MULTILINE)
INTERNAL_ERROR = "XX000"
DETAILS: dict[int, tuple[type[ConnectorError], str]] = {
    1016: (errors.LimitExceeded, "The query needs more disk than the warehouse has left."),
    1020: (errors.QueryCancelled, "The warehouse aborted the query."),
    1023: (errors.WarehouseBusy, "A transaction that ran at the same time was in the way."),
    1058: (errors.DataError, "A number is too large for its type."),
    1207: (errors.DataError, "A text that should be a number is none."),
    15001: (errors.DataError, "A staged file does not fit its table."),
    15007: (errors.DataError, "A file of an external table does not fit the table."),
}
"""What Redshift's compute nodes report as SQLSTATE XX000, by the code in the error's detail.

Sources: Amazon Redshift Database Developer Guide (serializable isolation, load errors), and the
errors people quote from their clusters. Every other XX000 is unknown, and therefore terminal.
"""

LOAD_FAILED, ROLE_REFUSED = 8001, 30000
OF_THE_BUCKET = re.compile(r"S3|manifest", re.IGNORECASE)
"""What Redshift says of files; a value too long for its column has the same code."""

AWS_ERRORS: dict[str, type[ConnectorError]] = {
    "AccessDenied": errors.CredentialsRejected,
    "AccessDeniedException": errors.CredentialsRejected,
    "ClusterNotFound": errors.ResourceUnusable,
    "ExpiredToken": errors.CredentialsRejected,
    "ExpiredTokenException": errors.CredentialsRejected,
    "IncompleteSignature": errors.CredentialsRejected,
    "InternalFailure": errors.WarehouseBusy,
    "InternalServerException": errors.WarehouseBusy,
    "InvalidClientTokenId": errors.CredentialsRejected,
    "InvalidSignatureException": errors.CredentialsRejected,
    "MissingAuthenticationToken": errors.CredentialsRejected,
    "OptInRequired": errors.CredentialsRejected,
    "RequestExpired": errors.CredentialsRejected,
    "ResourceNotFoundException": errors.ResourceUnusable,
    "ServiceUnavailable": errors.WarehouseBusy,
    "SignatureDoesNotMatch": errors.CredentialsRejected,
    "Throttling": errors.WarehouseBusy,
    "ThrottlingException": errors.WarehouseBusy,
    "UnrecognizedClientException": errors.CredentialsRejected,
    "UnsupportedOperation": errors.ResourceUnusable,
    "ValidationError": errors.InvalidCredentials,
    "ValidationException": errors.InvalidCredentials,
}
"""AWS's error codes to ours.

Sources: the errors of GetClusterCredentials and GetCredentials and the common errors in the
Amazon Redshift and Redshift Serverless API References.
"""

NAMED_BY = {"GetClusterCredentials": "cluster_identifier", "GetCredentials": "workgroup"}


def error_for(exc: Exception) -> ConnectorError | None:
    """Our error for one of psycopg's, Arrow's or botocore's; ``None`` when no table has it."""
    if isinstance(exc, psycopg.Error) and exc.sqlstate == INTERNAL_ERROR:
        return _internal(exc)
    return wire.error_for(exc) or _aws(exc)


def _internal(exc: psycopg.Error) -> ConnectorError | None:
    detail = DETAIL_CODE.search(exc.diag.message_detail or "")
    code = int(detail[1]) if detail else None
    if code == ROLE_REFUSED:
        return _unreadable("The warehouse may not use this role.")
    if code == LOAD_FAILED and OF_THE_BUCKET.search(exc.diag.message_primary or ""):
        return _unreadable("The warehouse could not read the staged files.")
    if code == LOAD_FAILED:
        return errors.DataError("A value does not fit its column.")
    found = DETAILS.get(code) if code else None
    if found is None:
        return None
    kind, sentence = found
    return kind(sentence)


def _unreadable(sentence: str) -> ConnectorError:
    return errors.ResourceUnusable(
        sentence,
        fields={"stage": sentence},
        hint="Attach the role to the cluster or workgroup, and let it list the bucket and get "
        "its objects. Bucket and warehouse have to be in the same region.",
    )


def _aws(exc: Exception) -> ConnectorError | None:
    from botocore import exceptions

    match exc:
        case exceptions.ClientError():
            return _refusal(str(exc.response.get("Error", {}).get("Code", "")), exc.operation_name)
        case exceptions.SSLError():
            return errors.TlsFailed(hint="The certificate of the AWS endpoint is not trusted.")
        case _ if isinstance(exc, _without_identity()):
            return errors.CredentialsRejected("There is no AWS identity to sign in with.")
        case (
            exceptions.ConnectionError()
            | exceptions.HTTPClientError()
            | exceptions.IncompleteReadError()
        ):
            return errors.HostUnreachable("The AWS endpoint did not answer.")
        case exceptions.ParamValidationError():
            return errors.InvalidCredentials("AWS does not accept these identifiers.")
        case _:
            return None


def _without_identity() -> tuple[type[Exception], ...]:
    """What botocore raises where this machine should have an AWS identity and has none."""
    from botocore import exceptions

    return (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.ConfigNotFound,
        exceptions.ConfigParseError,
        exceptions.InfiniteLoopConfigError,
        exceptions.InvalidConfigError,
        exceptions.LoginError,
        exceptions.MetadataRetrievalError,
        exceptions.NoAuthTokenError,
        exceptions.ProfileNotFound,
        exceptions.RefreshWithMFAUnsupportedError,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
        exceptions.UnknownCredentialError,
    )


def _refusal(code: str, operation: str) -> ConnectorError | None:
    found = AWS_ERRORS.get(code.removesuffix("Fault"))
    if found is None:
        return None
    if found is errors.CredentialsRejected:
        return found(
            "AWS refused the key, or does not let it have database credentials.",
            fields={"secret_access_key": "AWS refused this key, or what it is asked for."},
            hint="Check the key, and that its policy allows redshift:GetClusterCredentials for "
            "this cluster and user, or redshift-serverless:GetCredentials for this workgroup.",
        )
    if found is errors.ResourceUnusable:
        sentence = "AWS knows no such cluster or workgroup in that region."
        return found(sentence, fields={NAMED_BY[operation]: sentence})
    return found()
