"""Views as they are saved, with all that follows: a schedule, a refresh, a table that goes."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from connectors.errors import InvalidInput
from etl import schedule, tasks, views
from etl.lease import next_fence
from warehouse.models import RefreshTrigger, View
from warehouse.views import saving


def create(view: View) -> View:
    """Save a new view; if it is to be materialized, its first refresh is queued.

    Raises as ``saving.create`` does.
    """
    _check(view.schedule)
    with transaction.atomic():
        view = saving.create(view)
        _follow(view)
    return view


def update(view: View, changes: Mapping[str, Any]) -> View:
    """Apply ``changes``; a view that is to be materialized, and of which nothing is kept now, is
    refreshed. Raises as ``saving.update`` does."""
    _check(changes.get("schedule", ""))
    was = view
    with transaction.atomic():
        view = saving.update(was, changes)
        _follow(view)
        if not view.is_materialized or view.place != was.place:
            _tidy(was)
    return view


def delete(view: View) -> None:
    """Raises ViewInUse where others read it."""
    with transaction.atomic():
        schedule.remove(view)
        _tidy(view)
        saving.delete(view)


def _check(text: str) -> None:
    try:
        schedule.parse(text)
    except ValueError as exc:
        raise InvalidInput("The schedule cannot be used.", fields={"schedule": str(exc)}) from None


def _follow(view: View) -> None:
    schedule.apply(view)
    if view.is_materialized and not view.store_table:
        views.request(view, RefreshTrigger.API)


def _tidy(was: View) -> None:
    """What is not kept any more goes; of a view in a warehouse, what refreshes have left aside."""
    if not was.is_materialized:
        return
    if was.target_id is None:
        tidying = tasks.tidy_store.s(team_id=str(was.team_id))
    else:
        tidying = tasks.clear_target.s(
            connection_id=str(was.target_id),
            view_id=str(was.pk),
            schema=was.target_schema,
            table=was.target_table,
            # Later refreshes may be at it by then.
            fence=next_fence(),
        )
    transaction.on_commit(tidying.delay)
