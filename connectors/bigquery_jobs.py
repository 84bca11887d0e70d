"""Jobs of BigQuery: waiting for one, what it says of itself, and the values bound to it."""

import itertools
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from connectors import errors
from connectors.errors import InvalidParameters
from connectors.types import Params

# The client's own annotations are partial and refuse its documented retry=None.
Job = Any

POLL_S = (0.05, 0.1, 0.2, 0.5)
CALL_TIMEOUT_S = 5.0


def wait(job: Job, timeout_s: float) -> None:
    """Wait for a job with a deadline of our own: ``result(timeout=)`` overruns by seconds."""
    deadline = time.monotonic() + timeout_s
    try:
        _poll(job, deadline)
    except BaseException:
        # Whatever ended the wait, the job would run on and be billed. If the cancel fails too,
        # the first error is the one that says why.
        with suppress(Exception):
            job.cancel(retry=None, timeout=CALL_TIMEOUT_S)
        raise
    if job.error_result and "timed out" in job.error_result.get("message", ""):
        raise errors.QueryTimeout()


def _poll(job: Job, deadline: float) -> None:
    for attempt in itertools.count():
        if job.done(retry=None, timeout=CALL_TIMEOUT_S):
            return
        if time.monotonic() > deadline:
            raise errors.QueryTimeout()
        time.sleep(POLL_S[min(attempt, len(POLL_S) - 1)])


def accuracy(job: Job) -> str | None:
    """``PRECISE``, or how the dry run's bytes may be wrong; the client has no property for it."""
    found: str | None = (
        job._properties.get("statistics", {}).get("query", {}).get("totalBytesProcessedAccuracy")
    )
    return found


def query_parameters(params: Params) -> list[Any]:
    if isinstance(params, Mapping):
        return [_query_parameter(name, value) for name, value in params.items()]
    return [_query_parameter(None, value) for value in params]


def _query_parameter(name: str | None, value: Any) -> Any:
    from google.cloud import bigquery

    if isinstance(value, list):
        kinds = {_parameter_type(item) for item in value} or {"STRING"}
        if len(kinds) > 1:
            raise InvalidParameters("The values of an array parameter must be of one type.")
        return bigquery.ArrayQueryParameter(name, kinds.pop(), value)
    return bigquery.ScalarQueryParameter(name, _parameter_type(value), value)


def _parameter_type(value: object) -> str:
    kinds = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING", bytes: "BYTES"}
    if value is None:
        return "STRING"
    if type(value) not in kinds:
        raise InvalidParameters("A parameter must be text, a number, a truth value or a list.")
    return kinds[type(value)]


def label(value: str) -> str:
    """A label value as BigQuery takes it: lower case, at most 63 of [a-z0-9_-]."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in value.lower())[:63]
