"""How a query would be answered: which system would be sent what, and at what price."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from connectors.types import Estimate
from warehouse import connections
from warehouse.accounts import PlannedLeg
from warehouse.federation.homes import Move, move_of
from warehouse.federation.leg import told_of
from warehouse.federation.legs import Legs
from warehouse.federation.planner import STORE_DIALECT, Mode, Planned
from warehouse.federation.tidy import PREFIX
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.printing.printed import Printed
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.tree import Query
from warehouse.models import WarehouseConnection


@dataclass(frozen=True)
class HogQLPlan:
    """The parts of several connections, then the store's, then that of the connection to which
    their rows are moved."""

    mode: Mode
    reason: str | None
    """Why no single system answers it, where none does."""
    legs: tuple[PlannedLeg, ...]
    tables: tuple[CatalogTable, ...]
    """Those of connections that it reads, and the views whose rows are kept."""
    joined_in: WarehouseConnection | None = None
    """To which the rows of all other parts are moved; ``None`` where none are."""

    @classmethod
    def of(cls, team: Any, found: Planned, *, may_move: bool = True) -> Self:
        """Without prices. Raises HogQLError."""
        reads = tuple(found.reads)
        if found.mode == Mode.LOCAL:
            return cls(found.mode, found.reason, (_stored(found.query, found.text),), reads)
        legs = Legs(team, found.split(PREFIX), found, PREFIX)
        move = move_of(legs) if may_move else None
        joined_in = None if move is None else found.connections[move.home]
        parts = tuple(planned_legs(legs, move))
        return cls(found.mode, found.reason, parts, reads, joined_in)


def planned_legs(legs: Legs, move: Move | None) -> list[PlannedLeg]:
    """What connections are sent, and what the store then runs; where rows are moved, what it gives
    of them, and what is asked where they go, as if there were none. With the estimates that have
    been asked for already."""
    found = legs.found

    def asked(source: str, printed: Printed, estimate: Estimate | None = None) -> PlannedLeg:
        return PlannedLeg(found.connections[source], printed.sql, estimate, printed.params)

    parts = [
        asked(one.leg.source, one.printed, one.estimate)
        for one in legs
        if move is None or one.leg.source != move.home
    ]
    if found.mode != Mode.FEDERATED:
        return parts
    if move is None:
        return [*parts, PlannedLeg(None, legs.printed.sql)]
    given = [_stored(leg.query, found.text) for leg in move.split.legs]
    return [*parts, *given, asked(move.home, move.printed({}))]


def with_prices(legs: Iterable[PlannedLeg]) -> tuple[PlannedLeg, ...]:
    """With the price of each that a connection would be sent. Raises ConnectorError."""
    return tuple(map(_with_price, legs))


def _with_price(leg: PlannedLeg) -> PlannedLeg:
    if leg.connection is None or leg.estimate is not None:
        return leg
    with told_of(leg.connection), connections.leased(leg.connection) as lease:
        return replace(leg, estimate=lease.connector.estimate(leg.sql, leg.params))


def _stored(query: Query, text: str) -> PlannedLeg:
    return PlannedLeg(None, print_query(query, STORE_DIALECT, text).sql)
