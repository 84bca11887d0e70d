"""Views whose rows are kept in a warehouse: the one that has all that they read computes them."""

from collections.abc import Callable, Iterator

from django.utils import timezone

from connectors import registry
from connectors.errors import Unsupported
from connectors.filling import FillTable, FillTarget
from warehouse import accounts, connections, query_executor
from warehouse.errors import TargetUnfit
from warehouse.federation import planner
from warehouse.federation.planner import Mode, Planned
from warehouse.federation.relations import STORE
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.tables import tables
from warehouse.hybrid import cache
from warehouse.limits import limits_of_whole
from warehouse.models import View, WarehouseConnection
from warehouse.views import catalog, outcome
from warehouse.views.outcome import Refreshed


def check(view: View, found: Planned) -> None:
    """Raises TargetUnfit where the view cannot be kept in its target, by name, and HogQLError where
    its SQL cannot say the query."""
    faults = dict(_faults(view, found))
    if faults:
        raise TargetUnfit(fields=faults)
    for dialect in found.dialects.values() if view.target is not None else ():
        print_query(found.query, dialect, found.text)


def fill(
    view: View, target: WarehouseConnection, fence: int, still_mine: Callable[[], None]
) -> Refreshed:
    """Have the warehouse put the view's answer in place of what its table has. As ``refresh``."""
    now = timezone.now()
    found = planner.planned(view.team, view.query, {})
    check(view, found)
    estimate = accounts.estimated(query_executor.priced(view.team, found))
    printed = print_query(found.query, found.dialects[str(target.pk)], found.text)
    limits = limits_of_whole(target)
    with connections.opened(target, run=str(view.pk)) as connector:
        if not isinstance(connector, FillTable):
            raise Unsupported(f"{connector.label} cannot keep views.")
        place = place_of(view, fence)
        filled = connector.fill(place, printed.sql, printed.params, limits, still_mine)
    outcome.keep(
        view,
        store_table=view.target_table,
        store_columns=catalog.dump(found.query.columns),
        store_bucket="",
        rows=filled.rows,
        as_of=min(now, found.as_of or now),
    )
    cache.invalidate(view.team, target, [view.target_table])
    return Refreshed(Mode.PUSH_DOWN, False, filled.rows, filled.rows, filled.stats, estimate)


def clear(target: WarehouseConnection, place: FillTarget) -> None:
    """Drop what fills have left aside. Raises ConnectorError."""
    with connections.opened(target) as connector:
        if isinstance(connector, FillTable):
            connector.clear(place)


def place_of(view: View, fence: int) -> FillTarget:
    return FillTarget(view.target_schema, view.target_table, view.pk, fence)


def _faults(view: View, found: Planned) -> Iterator[tuple[str, str]]:
    if view.target is None:
        if view.target_schema or view.target_table:
            yield "target", "Name the connection, or leave schema and table empty."
        return
    provider = registry.provider(view.target.provider)
    if not issubclass(provider, FillTable):
        yield "target", f"{provider.label} cannot keep views."
    elif blocked := _blocker(view, view.target, found):
        yield "target", blocked
    if not view.target_schema:
        yield "target_schema", "Name the schema that its table is made in."
    if view.bucket:
        yield "bucket", "Leave it empty: a view in a warehouse is always refreshed whole."
    same = View.objects.for_team(view.team_id).filter(**view.place).exclude(pk=view.pk).first()
    if same is not None:
        yield "target_table", f"The view {same.name} is kept there."


def _blocker(view: View, target: WarehouseConnection, found: Planned) -> str:
    """What keeps the whole query from being run there; empty where nothing does."""
    read = [one.table for one in tables(found.query)]
    stored = sorted({str(one) for one in read if one.source == STORE})
    others = sorted(one.name for one in found.connections.values() if one.pk != target.pk)
    if stored:
        return f"It reads {', '.join(stored)} in the store."
    if others:
        return f"It reads tables of {', '.join(others)}; it may read those of {target.name} alone."
    if not read:
        return f"It reads no table of {target.name}."
    if found.mode != Mode.PUSH_DOWN:
        return f"The SQL of {target.name} cannot say all of it."
    own = (view.target_schema.casefold(), view.target_table.casefold())
    if any(tuple(part.casefold() for part in one.stored_as[-2:]) == own for one in read):
        return "It reads the table that it would be kept in."
    return ""
