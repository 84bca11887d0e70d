"""The team's books of its queries. ``reserve`` opens an entry before anything runs, and ``settle``
closes it with what it was. Where nothing had to run, as the rows were at hand, ``settle`` alone
writes it; a query that could not even be planned has none.

Whoever runs a query gives a sign of life every BEAT_S, and hears then whether it is to be ended.
After LOST_S of silence its process is gone, and the entry is closed. All times are the database's.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.db import DatabaseError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from connectors.errors import ConnectorError, QueryCancelled
from connectors.types import Basis, Estimate, Params
from warehouse import secrets
from warehouse.errors import QueryAbandoned, ServiceFailed
from warehouse.models import QueryOutcome, QueryRun, WarehouseConnection
from warehouse.money import money
from warehouse.runs import Run, total
from warehouse.statements import Language

log = structlog.get_logger(__name__)

BEAT_S = 1.0
LOST_S = 15.0
TAKEN_WITHIN_S = 900.0
"""A run that no worker has taken by then is given up: its message may be lost."""


@dataclass(frozen=True)
class PlannedLeg:
    """What one connection would be sent; without a connection, what the store would run.
    ``params`` are in no books."""

    connection: WarehouseConnection | None
    sql: str
    estimate: Estimate | None = None
    params: Params = field(default=(), repr=False)


@dataclass(frozen=True)
class Asked:
    """A query on its way in, as far as it is known before it runs."""

    team_id: Any
    user: Any
    text: str
    dialect: Language
    mode: str
    connection: WarehouseConnection | None = None
    legs: Collection[PlannedLeg] | None = None


def entry(
    asked: Asked, run_id: str | None = None, *, inputs: dict[str, Any] | None = None
) -> QueryRun:
    """The entry of a query, not written yet; with ``inputs``, of one that waits for a worker, who
    finds them there."""
    row = QueryRun(
        pk=run_id or uuid.uuid4(),
        team_id=asked.team_id,
        user=asked.user,
        text=asked.text,
        dialect=asked.dialect,
        mode=asked.mode,
        connection=asked.connection,
        started_at=Now() if inputs is None else None,
        **_planned(asked.legs),
    )
    if inputs is not None:
        row.sealed_inputs = secrets.encrypt(inputs, row.secret_context)
    return row


def reserve(row: QueryRun) -> None:
    """Write the entry of a query that is about to run; one that has waited is written already."""
    if not is_written(row):
        row.save(force_insert=True)


def is_written(row: QueryRun) -> bool:
    return not row._state.adding


def claim(run_id: str) -> tuple[QueryRun, dict[str, Any]] | None:
    """The run and its inputs, for the worker who is first to take it; ``None`` for all others."""
    row = QueryRun.all_teams.filter(pk=run_id).first()
    waits = Q(outcome=QueryOutcome.RUNNING, started_at=None)
    taken = QueryRun.all_teams.filter(waits, pk=run_id).update(
        started_at=Now(), heartbeat_at=Now(), sealed_inputs=""
    )
    if row is None or not taken:
        return None
    return row, secrets.decrypt(row.sealed_inputs, row.secret_context)


def price(row: QueryRun, legs: Collection[PlannedLeg]) -> None:
    """Write down what the query was planned to be, with its estimates."""
    _of(row).update(**_planned(legs))


def replan(team: Any, run_id: str, legs: Collection[PlannedLeg]) -> None:
    """Write down what is sent after all, as a query runs; what it was to cost stays."""
    rows = QueryRun.objects.for_team(team).filter(pk=run_id)
    rows.update(plan=[as_json(leg) for leg in legs])


def settle(row: QueryRun, run: Run | None, error: BaseException | None, **kept: Any) -> None:
    """Close the entry: with the run's figures where it has begun, and with how it ended. One that
    was not reserved is written whole.

    No failure of the books is one of the query.
    """
    facts = {} if run is None else _figures(run)
    facts |= _ended(error) | kept | {"sealed_inputs": "", "finished_at": Now()}
    try:
        if is_written(row):
            _of(row).update(**facts)
        else:
            _write(row, facts | _begun(run))
    except DatabaseError as exc:
        log.warning("query.not_settled", run_id=str(row.pk), error=type(exc).__name__)


def ask_to_end(row: QueryRun) -> None:
    """Have the query ended, in whichever process it runs; one that is over stays as it is."""
    running = _of(row).filter(outcome=QueryOutcome.RUNNING)
    running.update(cancel_asked_at=Coalesce(F("cancel_asked_at"), Now()))
    running.filter(started_at=None).update(
        **_ended(QueryCancelled()), sealed_inputs="", finished_at=Now()
    )


def beat(run_ids: Collection[str]) -> set[str]:
    """Say that these run on; those that are to be ended."""
    rows = QueryRun.all_teams.filter(pk__in=run_ids)
    rows.update(heartbeat_at=Now())
    asked = rows.filter(cancel_asked_at__isnull=False).values_list("pk", flat=True)
    return {str(pk) for pk in asked}


def silent(run_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of them that nobody has run for LOST_S, whether their entries are closed or not."""
    rows = QueryRun.all_teams.filter(pk__in=run_ids, heartbeat_at__lt=_lost_before())
    return set(rows.order_by().values_list("pk", flat=True))


def end_lost(rows: QuerySet[QueryRun] | None = None) -> int:
    """Close the entries of queries whose process is gone, of all teams or of these; how many."""
    lost = Q(started_at__isnull=False, heartbeat_at__lt=_lost_before())
    untaken = Q(started_at=None, created_at__lt=Now() - timedelta(seconds=TAKEN_WITHIN_S))
    among = QueryRun.all_teams.all() if rows is None else rows
    open_still = among.filter(lost | untaken, outcome=QueryOutcome.RUNNING).order_by()
    count = open_still.update(**_ended(QueryAbandoned()), sealed_inputs="", finished_at=Now())
    if count:
        log.warning("query.lost", queries=count)
    return count


def estimated(legs: Collection[PlannedLeg]) -> dict[str, Any]:
    """Bytes and money of all legs, by the names of the columns that keep them; nothing where one
    has no estimate."""
    asked = [leg.estimate for leg in legs if leg.connection is not None]
    estimates = [one for one in asked if one is not None]
    return _sums(estimates) if len(estimates) == len(asked) else {}


def as_json(leg: PlannedLeg) -> dict[str, Any]:
    """A leg, in the books and wherever a plan is shown."""
    return {
        "connection": leg.connection.name if leg.connection else None,
        "sql": leg.sql,
        "estimate": estimate_as_json(leg.estimate) if leg.estimate else None,
    }


def estimate_as_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "bytes_scanned": estimate.bytes_scanned,
        "rows": estimate.rows,
        "cost": {
            "low": money(estimate.cost_low),
            "high": money(estimate.cost_high),
            "currency": estimate.currency,
            "basis": estimate.basis,
        },
        "explanation": estimate.explanation,
    }


def _lost_before() -> Any:
    return Now() - timedelta(seconds=LOST_S)


def _of(row: QueryRun) -> QuerySet[QueryRun]:
    return QueryRun.objects.for_team(row.team_id).filter(pk=row.pk)


def _write(row: QueryRun, facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        setattr(row, name, value)
    row.save(force_insert=True)


def _begun(run: Run | None) -> dict[str, Any]:
    """When that was, by the database's clock: it has told how old the rows at hand were then."""
    if run is None:
        return {}
    at = run.origin.as_of + timedelta(seconds=run.origin.age_s)
    return {"created_at": at, "started_at": at}


def _figures(run: Run) -> dict[str, Any]:
    stats, origin = run.stats, run.origin
    return {
        "rows": run.rows,
        "truncated": run.truncated,
        "cached": origin.cached,
        "as_of": origin.as_of,
        "source_run_id": origin.run_id,
        "vendor_query_id": origin.vendor_query_id,
        "bytes_scanned": stats.bytes_scanned,
        "bytes_billed": stats.bytes_billed,
        "amount_billed": stats.amount_billed,
        "billed_in": stats.currency,
    }


def _ended(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {"outcome": QueryOutcome.SUCCEEDED}
    told = error if isinstance(error, ConnectorError) else ServiceFailed()
    is_cancelled = isinstance(error, QueryCancelled)
    return {
        "outcome": QueryOutcome.CANCELLED if is_cancelled else QueryOutcome.FAILED,
        "error_code": told.code,
        "error": told.detail,
        "error_hint": told.advice,
        "error_fields": told.fields,
    }


def _planned(legs: Collection[PlannedLeg] | None) -> dict[str, Any]:
    if legs is None:
        return {}
    return {"plan": [as_json(leg) for leg in legs]} | estimated(legs)


def _sums(estimates: list[Estimate]) -> dict[str, Any]:
    """Over legs: what one of them does not know, the sum does not either."""
    money, bases = ({one.currency for one in estimates}, {one.basis for one in estimates})
    if len(money) > 1:
        return {"estimated_bytes": total(one.bytes_scanned for one in estimates)}
    return {
        "estimated_bytes": total(one.bytes_scanned for one in estimates),
        "cost_low": total(one.cost_low for one in estimates),
        "cost_high": total(one.cost_high for one in estimates),
        "currency": "".join(money),
        "basis": max(bases, key=list(Basis).index, default=Basis.EXACT).value,
    }
