"""The rows of a query that a worker has run, read as the query itself would be."""

from typing import Any

from django.utils import timezone

from connectors.errors import ConnectorError
from connectors.types import RunStats
from warehouse import conf
from warehouse.errors import QueryRunning, ResultGone, ServiceFailed
from warehouse.hybrid.kept_rows import KeptRows
from warehouse.models import QueryOutcome, QueryRun
from warehouse.runs import Origin, Run


def rows_of(row: QueryRun) -> Run:
    """Raises QueryRunning, ResultGone, and what the query itself has ended with."""
    if row.outcome == QueryOutcome.RUNNING:
        raise QueryRunning()
    if row.outcome != QueryOutcome.SUCCEEDED:
        raise error_of(row)
    if row.result_expires_at is None or row.result_expires_at < timezone.now():
        raise ResultGone()
    return KeptRun(row)


def error_of(row: QueryRun) -> ConnectorError:
    """The error that a query has ended with, of its class again."""
    kind = _by_code(ConnectorError, row.error_code) or ServiceFailed
    error = kind.__new__(kind)
    # Some make their sentence themselves; here it is made already.
    ConnectorError.__init__(error, row.error, hint=row.error_hint, fields=row.error_fields)
    return error


class KeptRun(KeptRows):
    """With the figures of the run that made them."""

    def __init__(self, row: QueryRun) -> None:
        super().__init__(str(row.pk), row, conf.query_timeout_s())
        self._entry = row

    @property
    def stats(self) -> RunStats:
        row = self._entry
        return RunStats(
            row.vendor_query_id,
            row.bytes_scanned,
            row.bytes_billed,
            row.amount_billed,
            row.billed_in,
        )

    @property
    def origin(self) -> Origin:
        row = self._entry
        return Origin(
            as_of=row.as_of or row.created_at,
            run_id=row.source_run_id,
            vendor_query_id=row.vendor_query_id,
            cached=bool(row.cached),
            age_s=_age_s(row),
        )


def _age_s(row: QueryRun) -> float:
    if not row.cached or row.as_of is None or row.started_at is None:
        return 0.0
    return (row.started_at - row.as_of).total_seconds()


def _by_code(kind: type[ConnectorError], code: str) -> type[ConnectorError] | None:
    if kind.code == code:
        return kind
    found: Any = (_by_code(one, code) for one in kind.__subclasses__())
    return next((one for one in found if one is not None), None)
