"""Views that cannot be computed any more, since a connection that they read has been deleted."""

from typing import Any
from uuid import UUID

from warehouse.models import View, WarehouseConnection
from warehouse.views.inputs import Graph, of_view


def lose(connection: WarehouseConnection) -> None:
    """Have the views that read the connection, which is about to be deleted, know it."""
    for view in Graph.locked(connection.team_id).views:
        if any(one.connection == str(connection.pk) for one in of_view(view)):
            view.lost = sorted({*view.lost, connection.name})
            view.save(update_fields=["lost"])


def reasons(team: Any) -> dict[UUID, str]:
    """Why each view that is broken is so. One whose rows are kept can be read and not refreshed:
    so those that read it are not broken.

    With another connection of that name, or another query, a view is not broken any more.
    """
    there = set(WarehouseConnection.objects.for_team(team).values_list("name", flat=True))
    graph, found = Graph.of(team), dict[UUID, str]()

    def add(view: View, reason: str) -> None:
        if view.pk in found:
            return
        found[view.pk] = reason
        for reader in [] if view.store_table else graph.readers(view):
            add(reader, f"It reads the view {view.name}, which is broken. {reason}")

    for view in graph.views:
        if lost := [name for name in view.lost if name not in there]:
            add(view, f"The connection {', '.join(lost)} has been deleted.")
    return found
