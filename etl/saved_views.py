"""Views as they are saved, with all that follows: a schedule, a refresh, a table that goes."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from connectors.errors import InvalidInput
from etl import schedule, tasks, views
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
    was_in_store = _is_in_store(view)
    with transaction.atomic():
        view = saving.update(view, changes)
        _follow(view)
        if was_in_store and not _is_in_store(view):
            _tidy(view)
    return view


def delete(view: View) -> None:
    """Raises ViewInUse where others read it."""
    with transaction.atomic():
        schedule.remove(view)
        saving.delete(view)
        _tidy(view)


def _is_in_store(view: View) -> bool:
    """Its rows are to be kept there, and in no warehouse."""
    return view.is_materialized and view.target_id is None


def _check(text: str) -> None:
    try:
        schedule.parse(text)
    except ValueError as exc:
        raise InvalidInput("The schedule cannot be used.", fields={"schedule": str(exc)}) from None


def _follow(view: View) -> None:
    schedule.apply(view)
    if view.is_materialized and not view.store_table:
        views.request(view, RefreshTrigger.API)


def _tidy(view: View) -> None:
    team_id = str(view.team_id)
    transaction.on_commit(lambda: tasks.tidy_store.delay(team_id=team_id))
