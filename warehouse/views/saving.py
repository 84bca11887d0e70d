"""Views made, changed and deleted: whatever is saved can be resolved, and no view reads itself."""

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction

from connectors import registry
from connectors.errors import InvalidInput
from warehouse.errors import NameTaken, ViewInUse
from warehouse.events import tables
from warehouse.federation import planner
from warehouse.hogql.errors import HogQLError, PlaceholdersDiffer
from warehouse.models import View, WarehouseConnection
from warehouse.views import catalog, inputs, target
from warehouse.views.inputs import Graph
from warehouse.views.parts import parts

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def create(view: View) -> View:
    """Save a new view. Raises NameTaken, InvalidInput, and HogQLError with the place."""
    with transaction.atomic():
        graph = Graph.locked(view.team_id)
        _refuse_capture(graph, view)
        _save(view)
        _resolve_saved(view)
    return view


def update(view: View, changes: Mapping[str, Any]) -> View:
    """Apply ``changes`` to the fields named. What is kept of another query, or elsewhere, is not
    read any more: the view is computed whenever it is named, until the next refresh.

    Raises as ``create`` does; ViewInUse for another name of a view that others read, InvalidInput
    where one of those could not be read any more; View.DoesNotExist.
    """
    with transaction.atomic():
        graph = Graph.locked(view.team_id)
        view = View.objects.for_team(view.team_id).get(pk=view.pk)
        readers, was = graph.downstream(view), copy(view)
        for name, value in changes.items():
            setattr(view, name, value)
        if view.target is None and was.target is not None:
            view.target_schema = view.target_table = ""
        if readers and view.name != was.name:
            raise _in_use(readers)
        if view.name != was.name:
            _refuse_capture(graph, view)
        is_same = (view.query, view.place) == (was.query, was.place)
        if not is_same or not view.is_materialized:
            view.store_table, view.rows, view.as_of = "", None, None
        _save(view)
        if not is_same or (view.name, view.bucket) != (was.name, was.bucket):
            _resolve_saved(view)
            for reader in readers:
                _resolve_reader(reader, view)
    return view


def delete(view: View) -> None:
    """Raises ViewInUse where others read it."""
    with transaction.atomic():
        if readers := Graph.locked(view.team_id).readers(view):
            raise _in_use(readers)
        view.delete()


def blockers(view: View) -> list[str]:
    """What keeps the view from being refreshed in part; raises as a query of it does."""
    if not view.bucket:
        return []
    found = parts(planner.planned(view.team, view.query, {}).query, view.bucket)
    return found if isinstance(found, list) else []


def _refuse_capture(graph: Graph, view: View) -> None:
    """Raises InvalidInput where other views mean a table by the name."""
    name = view.name.casefold()
    for other in graph.views:
        tables = {one.name.casefold() for one in inputs.of_view(other) if not one.is_view}
        if name in tables and (name,) in planner.names_of(other.query):
            fault = f"The view {other.name} means a table by it: write more of the table's name."
            raise InvalidInput("A view cannot have that name.", fields={"name": fault})


def _save(view: View) -> None:
    _check_name(view)
    if view.target is not None and not view.target_table:
        view.target_table = registry.provider(view.target.provider).capabilities.fold(view.name)
    try:
        with transaction.atomic():
            view.save()
    except IntegrityError as exc:
        if "view_name_in_team" not in str(exc):
            raise
        raise NameTaken(fields={"name": "Another view has it."}) from None


def _resolve_saved(view: View) -> None:
    try:
        _resolve(view)
    except HogQLError as exc:
        exc.fields = {"query": exc.fields["sql"]}
        if isinstance(exc, PlaceholdersDiffer):
            exc.advice = "A view has no placeholders: write the value into its query."
        raise


def _resolve(view: View) -> None:
    """Keep its columns, and what it reads."""
    found = planner.planned(view.team, view.query, {})
    target.check(view, found)
    query = found.query
    view.columns = catalog.dump(query.columns)
    view.inputs = [asdict(one) for one in inputs.of_query(view.team, query)]
    view.lost = []
    view.save(update_fields=["columns", "inputs", "lost"])
    Graph.of(view.team).refuse_cycle(view)


def _resolve_reader(reader: View, changed: View) -> None:
    try:
        _resolve(reader)
    except HogQLError as exc:
        raise InvalidInput(
            f"The view {reader.name} reads {changed.name}, and could not be read any more.",
            fields={"query": exc.detail},
        ) from exc


def _check_name(view: View) -> None:
    folded = view.name.casefold()
    connections = WarehouseConnection.objects.for_team(view.team_id)
    fault = ""
    if not NAME.fullmatch(view.name):
        fault = "Use letters without accents, digits and _, 63 at most, no digit first."
    elif folded in {table.name for table in tables.TABLES}:
        fault = "That is a table that every team has."
    elif any(folded == one.name.casefold() for one in connections):
        fault = "A connection is called so."
    if fault:
        raise InvalidInput("A view cannot have that name.", fields={"name": fault})


def _in_use(readers: list[View]) -> ViewInUse:
    listed = ", ".join(sorted(one.name for one in readers))
    return ViewInUse(f"Other views read this one: {listed}.")
