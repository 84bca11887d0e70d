"""Spark's answers put into the warehouse's words."""

from typing import Any

from databricks.sql.thrift_api.TCLIService import ttypes as t

from sandbox.databricks.errors import sentence
from sandbox.databricks.statements import in_our_names

NO_SESSION = "Invalid SessionHandle"
NO_OPERATION = "Invalid OperationHandle"
OK = t.TStatus(statusCode=t.TStatusCode.SUCCESS_STATUS)


def failed(message: str) -> Any:
    """Return the status of a call that went wrong."""
    return t.TStatus(
        statusCode=t.TStatusCode.ERROR_STATUS, errorMessage=message, displayMessage=message
    )


def cleaned(answer: Any, catalog: str) -> Any:
    """Take Java and Spark's name of the catalog out of an answer's status; return the answer."""
    status = answer.status
    if status.errorMessage is not None:
        status.errorMessage = status.displayMessage = said(status.errorMessage, catalog)
        status.infoMessages = None
    return answer


def said(message: str | None, catalog: str) -> str:
    """Return what Spark says of a failure, without Java around it."""
    return in_our_names(sentence(message), catalog)
