"""Queries that outlive their request: a worker runs them, and their rows are kept for KEPT_S, as
far as a team's have room."""

import time
from contextlib import closing
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, QuerySet, Sum, Window
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from connectors.errors import ConnectorError
from warehouse import accounts, query_executor
from warehouse.accounts import Asked
from warehouse.errors import QueueUnavailable, ServiceFailed
from warehouse.hybrid import pieces
from warehouse.hybrid.keeping import CONTENT_BYTES
from warehouse.hybrid.spool import Spool
from warehouse.models import QueryOutcome, QueryRun
from warehouse.recorded import RecordedRun
from warehouse.tasks import execute_query

log = structlog.get_logger(__name__)

KEPT_S = 3600
ROOM_BYTES = 2**30
"""For the kept rows of one team, as Arrow has them."""
POLL_S = 0.03
LONGEST_POLL_S = 0.25
"""How often a query's entry is looked at: it is all that a worker and whoever waits both have."""


def hand_over(asked: Asked, inputs: dict[str, Any]) -> QueryRun:
    """Give a query to the workers; raises QueueUnavailable."""
    row = accounts.entry(asked, inputs=inputs)
    accounts.reserve(row)
    transaction.on_commit(partial(_enqueue, row))
    return row


def await_end(row: QueryRun, wait_s: float) -> QueryRun:
    """The entry as it is when the query is over, or its process gone, or after that time."""
    mine = QueryRun.objects.for_team(row.team_id).filter(pk=row.pk)
    deadline, pause_s = time.monotonic() + wait_s, POLL_S
    while True:
        row.refresh_from_db()
        left_s = deadline - time.monotonic()
        if row.outcome != QueryOutcome.RUNNING or left_s <= 0:
            return row
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_POLL_S)
        accounts.end_lost(mine)


def execute(run_id: str) -> None:
    """Run a query that waits, and keep its rows, unless another worker has it or it is over."""
    claimed = accounts.claim(run_id)
    if claimed is None:
        return
    row, inputs = claimed
    try:
        with query_executor.resumed(row, inputs) as run:
            _keep(run)
        make_room(row.team_id)
    except ConnectorError as exc:
        log.info("query.failed", run_id=run_id, code=exc.code)


def forget_expired() -> int:
    """Let go of rows whose time is over; how many queries they are of."""
    return _forget(QueryRun.all_teams.filter(result_expires_at__lt=Now()))


def make_room(team: Any) -> int:
    """Let go of a team's oldest rows, until the rest fits into ROOM_BYTES; likewise."""
    newer = Window(Sum("result_bytes"), order_by=F("result_expires_at").desc())
    kept = QueryRun.objects.for_team(team).filter(result_expires_at__isnull=False)
    return _forget(kept.annotate(newer=newer).filter(newer__gt=ROOM_BYTES))


def _forget(runs: QuerySet[QueryRun]) -> int:
    gone = list(runs.order_by().only("team", "in_store"))
    nothing = {"content": None, "in_store": False, "result_bytes": None, "result_expires_at": None}
    QueryRun.all_teams.filter(pk__in=[run.pk for run in gone]).update(**nothing)
    pieces.drop(gone)
    return len(gone)


def _keep(run: RecordedRun) -> None:
    run.start()
    # The run's own limits bound it, and not what the cache may hold.
    with closing(Spool(run.schema, inf)) as spool:
        for batch in run:
            spool.add(batch)
        with run.noted():
            file = spool.finish()
            if not spool.is_whole:
                raise ServiceFailed()
            content = file.read() if spool.size_bytes <= CONTENT_BYTES else None
            if content is None:
                pieces.write(run.row, file)
        expires_at = Now() + timedelta(seconds=KEPT_S)
        run.keep(
            content=content,
            in_store=content is None,
            result_bytes=spool.size_bytes,
            result_expires_at=expires_at,
        )


def _enqueue(row: QueryRun) -> None:
    try:
        execute_query.delay(run_id=str(row.pk))
    except OperationalError as exc:
        error = QueueUnavailable()
        accounts.settle(row, None, error)
        raise error from exc
