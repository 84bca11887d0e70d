"""Where a team's data comes from and goes to: connection → table → view → view."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Max

from warehouse import synced
from warehouse.models import View, ViewRefresh, WarehouseConnection
from warehouse.views.inputs import Graph, Input, of_view


class NodeKind(StrEnum):
    CONNECTION = "connection"
    TABLE = "table"
    VIEW = "view"


class NodeMode(StrEnum):
    """``store``: its rows are in the store. ``direct``: they are read in their warehouse, or, of a
    view, computed whenever it is read."""

    STORE = "store"
    DIRECT = "direct"


@dataclass(frozen=True)
class Node:
    """``id`` is the node's own in one lineage. ``as_of`` is ``None`` where rows are read live."""

    id: str
    kind: NodeKind
    name: str
    mode: NodeMode
    as_of: datetime | None = None
    last_refresh: datetime | None = None


@dataclass(frozen=True)
class Lineage:
    """``edges`` lead from what is read to what reads it, by the nodes' ids, and from a view to the
    table of a warehouse that keeps its rows."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def of_team(team: Any) -> Lineage:
    """All views, with what they read."""
    return _Drawing(team).of(Graph.of(team).views)


def of_one(view: View) -> Lineage:
    """One view, with all that leads to it, and all views that it leads to."""
    graph = Graph.of(view.team)
    return _Drawing(view.team).of([*graph.upstream(view), view, *graph.downstream(view)])


class _Drawing:
    def __init__(self, team: Any) -> None:
        self._connections = {
            str(one.pk): one.name for one in WarehouseConnection.objects.for_team(team)
        }
        self._synced = {
            (str(one.connection_id), one.schema, one.table): one.as_of
            for one in synced.store_tables(team)
        }
        ended = ViewRefresh.objects.for_team(team).order_by().values_list("view")
        self._ended = dict(ended.annotate(Max("finished_at")))
        self._nodes: dict[str, Node] = {}
        self._edges: list[tuple[str, str]] = []

    def of(self, views: Any) -> Lineage:
        listed = list(views)
        ids = {view.name.casefold(): f"view:{view.pk}" for view in listed}
        for view in listed:
            self._add_view(view)
            for given in of_view(view):
                start = ids.get(given.name.casefold()) if given.is_view else self._table(given)
                if start is not None:
                    self._edges.append((start, f"view:{view.pk}"))
            if view.target_id is not None:
                kept = Input(view.target_table, view.target_schema, str(view.target_id))
                self._edges.append((f"view:{view.pk}", self._table(kept)))
        return Lineage(tuple(self._nodes.values()), tuple(dict.fromkeys(self._edges)))

    def _add_view(self, view: View) -> None:
        key = f"view:{view.pk}"
        is_in_store = view.store_table and view.target_id is None
        mode = NodeMode.STORE if is_in_store else NodeMode.DIRECT
        ended = self._ended.get(view.pk)
        self._nodes[key] = Node(key, NodeKind.VIEW, view.name, mode, view.as_of, ended)

    def _table(self, given: Input) -> str:
        if not given.connection:
            key = f"table:{given.name}"
            self._nodes[key] = Node(key, NodeKind.TABLE, given.name, NodeMode.STORE)
            return key
        place = given.connection, given.schema, given.name
        as_of = self._synced.get(place)
        source = f"connection:{given.connection}"
        # A connection may be gone, and the view cannot be read any more.
        called = self._connections.get(given.connection, given.connection)
        key = f"table:{'.'.join(place)}"
        mode = NodeMode.DIRECT if as_of is None else NodeMode.STORE
        name = f"{called}.{given.schema}.{given.name}"
        self._nodes[source] = Node(source, NodeKind.CONNECTION, called, NodeMode.DIRECT)
        self._nodes[key] = Node(key, NodeKind.TABLE, name, mode, as_of)
        self._edges.append((source, key))
        return key
