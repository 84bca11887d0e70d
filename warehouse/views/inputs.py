"""What a view reads by itself, and which views lead to which."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.db import connection

from warehouse.hogql import tree
from warehouse.hogql.errors import ViewCycle
from warehouse.hogql.resolved import Resolved
from warehouse.models import View, WarehouseConnection
from warehouse.store import names


@dataclass(frozen=True)
class Input:
    """A view by its name, a table of a connection, or one of the team's own, such as events."""

    name: str
    schema: str = ""
    connection: str = ""
    is_view: bool = False


def of_query(team: Any, query: tree.Query) -> list[Input]:
    """What a resolved query reads, each once; of a view that it reads, not what that one reads."""
    ids = {one.name: str(one.pk) for one in WarehouseConnection.objects.for_team(team)}
    found = [_input(ids, relation) for relation in _relations(query)]
    return list(dict.fromkeys(found))


def of_view(view: View) -> list[Input]:
    """As it was when the view was last saved."""
    return [Input(**one) for one in view.inputs]


class Graph:
    """A team's views by what they read; it has no cycles."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        self._by_name = {view.name.casefold(): view for view in views}

    @classmethod
    def of(cls, team: Any) -> Self:
        return cls(list(View.objects.for_team(team)))

    @classmethod
    def locked(cls, team: Any) -> Self:
        """As it is now. Nobody else makes, changes or deletes a view until the transaction's end,
        for two changes at once could make a cycle, or a reader of nothing."""
        with connection.cursor() as cursor:
            # Rows could not be locked that are yet to be made.
            key = [f"views:{getattr(team, 'pk', team)}"]
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", key)
        return cls(list(View.objects.for_team(team).select_for_update(of=("self",))))

    def read_by(self, view: View) -> list[View]:
        """The views that it reads itself."""
        named = [one.name.casefold() for one in of_view(view) if one.is_view]
        return [self._by_name[name] for name in named if name in self._by_name]

    def readers(self, view: View) -> list[View]:
        """The views that read it themselves."""
        return [one for one in self.views if view in self.read_by(one)]

    def upstream(self, view: View) -> list[View]:
        """All that it reads, also through others: each after those that it reads itself."""
        return self._all(view, self.read_by)

    def downstream(self, view: View) -> list[View]:
        """All that read it, also through others: each after those of them that it reads."""
        return self._all(view, self.readers)[::-1]

    def refreshed_after(self, given: Input) -> list[View]:
        """The materialized views that ask to be refreshed after this one was, also where views that
        are not materialized stand between."""
        return list(dict.fromkeys(self._after(given)))

    def refuse_cycle(self, view: View) -> None:
        """Raises ViewCycle where the view reads itself."""
        way = self._way(view, view, set())
        if way:
            path = " → ".join(one.name for one in way)
            raise ViewCycle(f"The view {view.name} reads itself: {path}.")

    def _way(self, start: View, end: View, seen: set[UUID]) -> list[View]:
        for one in self.read_by(start):
            if one == end:
                return [start, one]
            if one.pk not in seen:
                seen.add(one.pk)
                if way := self._way(one, end, seen):
                    return [start, *way]
        return []

    def _all(self, view: View, following: Callable[[View], list[View]]) -> list[View]:
        """All that follow it, each after those that follow it itself."""
        seen, found = {view.pk}, list[View]()

        def add(one: View) -> None:
            for other in following(one):
                if other.pk not in seen:
                    seen.add(other.pk)
                    add(other)
                    found.append(other)

        add(view)
        return found

    def _after(self, given: Input) -> Iterator[View]:
        for view in self.views:
            if given in of_view(view):
                if not view.is_materialized:
                    yield from self._after(Input(view.name, is_view=True))
                elif view.after_inputs:
                    yield view


def _relations(part: Resolved) -> Iterator[tree.Relation]:
    """Tables and views, without what is inside of views."""
    left = [part]
    while left:
        one = left.pop()
        if isinstance(one, tree.TableRelation) or (
            isinstance(one, tree.QueryRelation) and one.view
        ):
            yield one
        else:
            left += one.parts()


def _input(ids: dict[str, str], relation: tree.Relation) -> Input:
    if isinstance(relation, tree.QueryRelation):
        return Input(relation.view, is_view=True)
    if not isinstance(relation, tree.TableRelation):
        raise TypeError(relation)
    table = relation.table
    if len(table.path) == 1:
        # Of tables in a warehouse only those of views are called by one name.
        is_view = bool(table.source) or any(one.startswith(names.VIEWS) for one in table.stored_as)
        return Input(table.name, is_view=is_view)
    connection, schema, name = table.path
    return Input(name, schema, ids[connection])
