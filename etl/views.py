"""Refreshes of views: asked for, claimed by one worker, brought to an end, and what follows them.

As a pipeline's run a refresh has a lease with a fencing number (``etl/lease.py``).
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from connectors.errors import ConnectorError
from etl import stored, tasks
from etl.errors import InputNotRefreshed, LeaseLost, RunAbandoned, ServiceDatabaseFailed
from etl.lease import MAX_ATTEMPTS, Heartbeat, next_fence, silent
from etl.runner import sentence
from warehouse.errors import NotMaterialized
from warehouse.models import RefreshStatus, RefreshTrigger, View, ViewRefresh
from warehouse.views.inputs import Graph, Input
from warehouse.views.outcome import Refreshed
from warehouse.views.refresh import clear, refresh

log = structlog.get_logger(__name__)

QUEUED, RUNNING = RefreshStatus.QUEUED, RefreshStatus.RUNNING
SUCCEEDED, FAILED = RefreshStatus.SUCCEEDED, RefreshStatus.FAILED


def request(
    view: View, trigger: RefreshTrigger, follows: Sequence[ViewRefresh] = ()
) -> ViewRefresh:
    """Queue a refresh, or find the one that waits. It begins after those it ``follows``.

    Raises NotMaterialized; View.DoesNotExist.
    """
    if not view.is_materialized:
        raise NotMaterialized()
    with transaction.atomic():
        # One row of the view's decides, so that of two requests the second finds the first's.
        View.objects.for_team(view.team_id).select_for_update(of=("self",)).get(pk=view.pk)
        given = {"team_id": view.team_id, "trigger": trigger}
        found, _ = view.refreshes.get_or_create(status=QUEUED, defaults=given)
        # One that has waited since its view read others may be awaited by these.
        later = _waiting_for(found) if follows else ()
        found.follows.add(*(one for one in follows if one not in later))
        # What a load has led to must not fail it.
        is_robust = trigger == RefreshTrigger.INPUTS
        transaction.on_commit(lambda: tasks.enqueue_refresh(found), robust=is_robust)
    return found


def request_with_upstream(view: View) -> list[ViewRefresh]:
    """Queue refreshes of all materialized views that it reads, and its own: each begins after those
    of the views that it reads. Raises as ``request`` does.
    """
    if not view.is_materialized:
        raise NotMaterialized()
    with transaction.atomic():
        graph, found = Graph.locked(view.team_id), dict[UUID, ViewRefresh]()
        for one in [*graph.upstream(view), view]:
            if one.is_materialized:
                read = [found[each.pk] for each in graph.upstream(one) if each.pk in found]
                found[one.pk] = request(one, RefreshTrigger.API, read)
    return list(found.values())


def _waiting_for(one: ViewRefresh) -> set[ViewRefresh]:
    """What waits for it, also through others; with itself."""
    seen, left = {one}, [one]
    while left:
        new = [each for each in left.pop().next.filter(status=QUEUED) if each not in seen]
        seen.update(new)
        left += new
    return seen


def loaded(team_id: Any, given: Input) -> None:
    """Queue refreshes of the views that ask to follow it."""
    for view in Graph.of(team_id).refreshed_after(given):
        with suppress(View.DoesNotExist):  # deleted meanwhile
            request(view, RefreshTrigger.INPUTS)


def execute(refresh_id: UUID | str) -> ViewRefresh | None:
    """Claim the refresh and bring it to an end; ``None`` when it is another's, or not its turn.

    One that fails keeps the error; it is queued again when that may pass and tries are left.
    """
    mine = claim(refresh_id)
    if mine is None:
        return None
    log.info("view.refreshing", refresh_id=str(mine.pk), view=str(mine.view_id))
    try:
        with Heartbeat(_held(mine)) as heartbeat:
            done = refresh(mine.view, mine.fence, heartbeat.verify)
        _succeed(mine, done)
    except LeaseLost:
        _let_go(mine)
        return None
    except NotMaterialized as exc:
        _fail(mine, exc)
        _tidy(mine)
    except ConnectorError as exc:
        _fail(mine, exc)
    except DatabaseError:
        connection.close()
        _fail(mine, ServiceDatabaseFailed())
    except Exception as exc:
        log.exception("view.crashed", refresh_id=str(mine.pk), error=type(exc).__name__)
        _fail(mine, ConnectorError("The refresh failed for an unknown reason."))
    return mine


def claim(refresh_id: UUID | str) -> ViewRefresh | None:
    """Take it, if it waits and its turn has come, or its worker is gone."""
    others = ViewRefresh.all_teams.filter(view=OuterRef("view"), status=RUNNING)
    is_next = Q(status=QUEUED) & ~Exists(others.exclude(pk=OuterRef("pk")))
    awaited = ViewRefresh.all_teams.filter(next=OuterRef("pk")).exclude(status=SUCCEEDED)
    with suppress(IntegrityError), transaction.atomic():
        free = ViewRefresh.all_teams.filter((is_next & ~Exists(awaited)) | _stale(), pk=refresh_id)
        waiting = free.filter(attempt__lt=MAX_ATTEMPTS)
        mine = waiting.select_for_update(skip_locked=True, of=("self",)).first()
        if mine is None:
            return None
        ViewRefresh.all_teams.filter(pk=mine.pk).update(
            status=RUNNING,
            attempt=F("attempt") + 1,
            fence=next_fence(),
            heartbeat_at=Now(),
            started_at=Coalesce(F("started_at"), Now()),
        )
        mine.refresh_from_db()
        return mine
    return None


def recover() -> None:
    """End what has lost its worker too often, and hand the workers what was forgotten."""
    for lost in ViewRefresh.all_teams.filter(_stale(), attempt__gte=MAX_ATTEMPTS):
        _fail(lost, RunAbandoned())
        with suppress(ConnectorError):
            clear(lost.view, lost.fence)
    for failed in ViewRefresh.all_teams.filter(status=FAILED, next__status=QUEUED).distinct():
        _give_up_after(failed)
    forgotten = Q(status=QUEUED, next_try_at__lt=tasks.forgotten_since())
    for one in ViewRefresh.all_teams.filter(_stale() | forgotten, attempt__lt=MAX_ATTEMPTS):
        tasks.enqueue_refresh(one)


def _stale() -> Q:
    return Q(status=RUNNING) & silent()


def _held(mine: ViewRefresh) -> models.QuerySet[ViewRefresh]:
    return ViewRefresh.all_teams.filter(pk=mine.pk, fence=mine.fence, status=RUNNING)


def _succeed(mine: ViewRefresh, done: Refreshed) -> None:
    _end(
        mine,
        status=SUCCEEDED,
        error_code="",
        error="",
        mode=done.mode,
        is_incremental=done.is_incremental,
        rows=done.rows,
        rows_computed=done.rows_computed,
        bytes_scanned=done.stats.bytes_scanned,
        bytes_billed=done.stats.bytes_billed,
        amount_billed=done.stats.amount_billed,
        billed_in=done.stats.currency,
        **done.estimate,
    )
    loaded(mine.team_id, Input(mine.view.name, is_view=True))
    _hand_on(mine)


def _fail(mine: ViewRefresh, error: ConnectorError) -> None:
    """Keep the error; queue it again when that may pass, tries are left, and no other waits."""
    said = {"error_code": error.code, "error": sentence(error)[:500]}
    with suppress(LeaseLost):
        if error.retryable and mine.attempt < MAX_ATTEMPTS:
            with suppress(IntegrityError), transaction.atomic():
                _end(mine, status=QUEUED, **said)
                transaction.on_commit(
                    lambda: tasks.enqueue_refresh(mine, tasks.retry_delay_s(mine.attempt))
                )
                return
        _end(mine, status=FAILED, **said)
        _give_up_after(mine)
        _hand_on(mine)


def _give_up_after(failed: ViewRefresh) -> None:
    """What was to follow a refresh that has failed fails, and so does what follows that."""
    error = InputNotRefreshed(f"The view {failed.view.name} could not be refreshed before it.")
    for one in failed.next.filter(status=QUEUED):
        ViewRefresh.all_teams.filter(pk=one.pk, status=QUEUED).update(
            status=FAILED, finished_at=Now(), error_code=error.code, error=error.detail
        )
        _give_up_after(one)


def _end(mine: ViewRefresh, status: RefreshStatus, **values: Any) -> None:
    """Raises LeaseLost when it is another worker's by now."""
    mine.status = status
    mine.finished_at = None if status == QUEUED else timezone.now()
    for name, value in values.items():
        setattr(mine, name, value)
    if not _held(mine).update(status=status, finished_at=mine.finished_at, **values):
        raise LeaseLost()
    log.info(
        "view.refreshed",
        refresh_id=str(mine.pk),
        view=str(mine.view_id),
        status=str(status),
        code=mine.error_code,
    )


def _hand_on(mine: ViewRefresh) -> None:
    """Whose turn it is now."""
    is_next = Q(follows=mine) | Q(view=mine.view)
    for one in ViewRefresh.all_teams.filter(is_next, status=QUEUED).distinct():
        tasks.enqueue_refresh(one)


def _let_go(mine: ViewRefresh) -> None:
    """Another worker has it, or its view is gone: then what was made after that must not stay."""
    log.warning("view.lease_lost", refresh_id=str(mine.pk), attempt=mine.attempt)
    if not View.all_teams.filter(pk=mine.view_id).exists():
        _tidy(mine)


def _tidy(mine: ViewRefresh) -> None:
    """What it has put in place after the store was tidied."""
    with suppress(ConnectorError):
        stored.tidy(mine.team_id)
