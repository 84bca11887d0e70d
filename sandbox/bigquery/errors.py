"""Errors in Google's shape. Nothing here ever asks the client to try again."""

from typing import Any

from sandbox.bigquery.settings import LOCATION

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
}
_LOCATION_TYPES = {"query": "parameter", "Authorization": "header"}


class ApiError(Exception):
    """An answer other than success; also what a failed job carries as its errorResult."""

    def __init__(self, code: int, reason: str, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.location = location

    def proto(self) -> dict[str, str]:
        """Return the ErrorProto of `status.errorResult`."""
        found = {"reason": self.reason, "message": self.message}
        return found | ({"location": self.location} if self.location else {})

    def body(self) -> dict[str, Any]:
        """Return the body of an HTTP error."""
        detail = {"domain": "global", **self.proto()}
        if self.location:
            detail["locationType"] = _LOCATION_TYPES.get(self.location, "other")
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "errors": [detail],
                "status": _STATUS.get(self.code, "UNKNOWN"),
            }
        }


def invalid(message: str) -> ApiError:
    """Return the error for a request that BigQuery would refuse before looking at the SQL."""
    return ApiError(400, "invalid", message)


def invalid_query(message: str) -> ApiError:
    """Return the error for SQL that does not parse, bind or evaluate."""
    return ApiError(400, "invalidQuery", message, location="query")


def not_offered(message: str) -> ApiError:
    """Return the error for what BigQuery can do and this stand-in cannot."""
    return ApiError(501, "notImplemented", f"The BigQuery stand-in: {message}")


def dataset_not_found(project: str, dataset: str) -> ApiError:
    where = f"{project}:{dataset}"
    return ApiError(
        404, "notFound", f"Not found: Dataset {where} was not found in location {LOCATION}"
    )


def table_not_found(project: str, dataset: str, table: str) -> ApiError:
    where = f"{project}:{dataset}.{table}"
    return ApiError(
        404, "notFound", f"Not found: Table {where} was not found in location {LOCATION}"
    )


def job_not_found(project: str, job: str) -> ApiError:
    return ApiError(404, "notFound", f"Not found: Job {project}:{LOCATION}.{job}")


def denied(subject: str, detail: str) -> ApiError:
    """Return Google's 403 about `subject`, such as `Table p:d.t`."""
    return ApiError(403, "accessDenied", f"Access Denied: {subject}: {detail}")


def table_denied(project: str, dataset: str, table: str) -> ApiError:
    where = f"{project}:{dataset}.{table}"
    return denied(
        f"Table {where}",
        f"User does not have permission to query table {where}, or perhaps it does not exist.",
    )


def permission_denied(permission: str, subject: str) -> ApiError:
    """Return Google's 403 that names the missing permission; `subject` is `Dataset p:d` or so."""
    kind = subject.split(" ", 1)[0].lower()
    where = subject.split(" ", 1)[1]
    return denied(
        subject, f"Permission {permission} denied on {kind} {where} (or it may not exist)."
    )
