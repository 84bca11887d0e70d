"""The only door to a warehouse's data: price, run and explore on behalf of a team."""

import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import structlog

from connectors.base import Connector
from connectors.errors import ConnectorError, ObjectNotFound
from connectors.result import Result
from connectors.types import Basis, Estimate, Limits, Table
from warehouse import accounts, connections, modes
from warehouse.accounts import Asked, PlannedLeg
from warehouse.connection_config import ConnectionConfig
from warehouse.direct import DirectRun
from warehouse.federation import planner
from warehouse.federation.homes import move_of
from warehouse.federation.legs import Legs
from warehouse.federation.moved import MovedRun
from warehouse.federation.plan import HogQLPlan, planned_legs, with_prices
from warehouse.federation.planner import STORE_DIALECT, Mode, Planned
from warehouse.federation.run import FederatedRun
from warehouse.federation.tidy import PREFIX
from warehouse.hogql.printing.printer import print_query
from warehouse.hybrid import flights
from warehouse.hybrid.run import HybridRun, label_of, wish_of
from warehouse.limits import WHOLE, limits_for, limits_of_whole
from warehouse.local import StoreRun
from warehouse.models import QueryRun, WarehouseConnection
from warehouse.near import hinted
from warehouse.recorded import RecordedRun
from warehouse.runs import OlderRun, Run
from warehouse.statements import Language, Statement

log = structlog.get_logger(__name__)


def list_tables(
    connection: WarehouseConnection,
    schema: str | None = None,
    *,
    search: str | None = None,
    after: tuple[str, str] | None = None,
    limit: int,
) -> tuple[list[Table], bool]:
    """At most ``limit`` tables by schema and name, from metadata only; and whether more follow."""
    with connections.leased(connection) as lease:
        tables = lease.connector.fetch_tables(schema, search=search, after=after, limit=limit + 1)
    return tables[:limit], len(tables) > limit


@dataclass(frozen=True)
class Plan:
    """What would be sent to the warehouse, and what that would read and cost."""

    sql: str
    estimate: Estimate


def plan(connection: WarehouseConnection, statement: Statement) -> Plan:
    """What a query would read and cost, without running it."""
    wish = wish_of(connection, statement, limits_for(connection, None))
    is_kept = wish is not None and flights.fresh(wish) is not None
    if is_kept and statement.language == Language.NATIVE:
        return Plan(statement.sql, _nothing(connection))
    with connections.leased(connection) as lease:
        printed = statement.printed(connection, lease.connector)
        if is_kept:
            return Plan(printed.sql, _nothing(connection))
        with hinted(connection, printed.sql):
            return Plan(printed.sql, lease.connector.estimate(printed.sql, printed.params))


def _nothing(connection: WarehouseConnection) -> Estimate:
    """The price of an answer that is kept."""
    prices = ConnectionConfig.parse(connection.config).prices or {}
    return Estimate(
        bytes_scanned=0,
        rows=None,
        cost_low=Decimal(0),
        cost_high=Decimal(0),
        currency=str(prices.get("currency", "USD")),
        basis=Basis.EXACT,
        explanation="The answer is kept: the warehouse would not be asked.",
    )


def run(
    connection: WarehouseConnection,
    statement: Statement,
    max_rows: int | None = None,
    max_age_s: float | None = None,
    *,
    user: Any = None,
) -> RecordedRun:
    """One read-only query, to be started, iterated for its batches, and closed.

    Over a hybrid connection it may be answered by what was kept of an earlier one, of at most
    ``max_age_s``.
    """
    row = accounts.entry(
        Asked(
            connection.team_id,
            user,
            statement.sql,
            statement.language,
            Mode.PUSH_DOWN,
            connection=connection,
        )
    )
    run_id = str(row.pk)
    return RecordedRun(partial(_over, connection, statement, run_id, max_rows, max_age_s), row)


def _over(
    connection: WarehouseConnection,
    statement: Statement,
    run_id: str,
    max_rows: int | None,
    max_age_s: float | None = None,
) -> Run:
    """The query in one warehouse, or what is kept of its answer."""
    limits = limits_for(connection, max_rows)
    wish = wish_of(connection, statement, limits, max_age_s)
    direct = partial(_direct, connection, statement, limits, run_id)
    if wish is None:
        return direct()
    return HybridRun(wish, label_of(connection, statement, max_rows), direct)


def _direct(
    connection: WarehouseConnection, statement: Statement, limits: Limits, run_id: str
) -> DirectRun:
    """Run in the warehouse, whatever is kept."""

    def start(connector: Connector) -> Result:
        log.info("query.started", run_id=run_id, connection=str(connection.pk))
        printed = statement.printed(connection, connector)
        with hinted(connection, printed.sql):
            return connector.query(printed.sql, printed.params, limits, run_id)

    return DirectRun(run_id, partial(connections.leased, connection), start)


def run_hogql(
    team: Any,
    text: str,
    values: Mapping[str, object] | None = None,
    max_rows: int | None = None,
    *,
    user: Any = None,
) -> RecordedRun:
    """One query in HogQL over all that the team has, to be used as ``run``'s is.

    Raises HogQLError, and ConnectorError where a connection's tables cannot be read.
    """
    found, run_id = planner.planned(team, text, values or {}), str(uuid.uuid4())
    asked, legs = _planned(team, found, run_id, max_rows)
    row = accounts.entry(Asked(team.pk, user, text, Language.HOGQL, found.mode, legs=legs), run_id)
    return RecordedRun(lambda: asked, row)


def plan_waiting(team: Any, text: str, values: Mapping[str, object], user: Any) -> Asked:
    """A query in HogQL that a worker is to run, who plans it anew and then asks where its rows are
    best joined; raises as ``run_hogql`` does."""
    found = planner.planned(team, text, values)
    legs = HogQLPlan.of(team, found, may_move=False).legs
    return Asked(team.pk, user, text, Language.HOGQL, found.mode, legs=legs)


def resumed(row: QueryRun, inputs: Mapping[str, Any]) -> RecordedRun:
    """The query of an entry that has waited, with what it was given; it is priced when it starts,
    as nobody waits for each of its moments."""
    again = _native_again if row.dialect == Language.NATIVE else _hogql_again
    return RecordedRun(partial(again, row, inputs), row)


def _native_again(row: QueryRun, inputs: Mapping[str, Any]) -> Run:
    if row.connection is None:
        raise ObjectNotFound("The connection has been deleted.", hint="Ask another one.")
    statement = Statement(row.text, inputs["params"])
    with suppress(ConnectorError):  # a price that cannot be had is unknown, and stops nobody
        priced = plan(row.connection, statement)
        accounts.price(row, [PlannedLeg(row.connection, priced.sql, priced.estimate)])
    return _over(row.connection, statement, str(row.pk), inputs["max_rows"])


def _hogql_again(row: QueryRun, inputs: Mapping[str, Any]) -> Run:
    found = planner.planned(row.team, row.text, inputs["values"])
    asked, legs = _planned(row.team, found, str(row.pk), inputs["max_rows"])
    accounts.price(row, _priced(legs))
    return asked


def priced(team: Any, found: Planned) -> Collection[PlannedLeg]:
    """What ``run_whole`` would send where, and what it would cost."""
    return _priced(HogQLPlan.of(team, found, may_move=False).legs)


def _priced(legs: Collection[PlannedLeg]) -> Collection[PlannedLeg]:
    """A price that cannot be had is unknown, and stops nobody."""
    with suppress(ConnectorError):
        return with_prices(legs)
    return legs


def _planned(
    team: Any, found: Planned, run_id: str, max_rows: int | None
) -> tuple[Run, list[PlannedLeg]]:
    """The run that answers a query, and what it will send where."""
    log.info("query.planned", mode=found.mode, team=str(team.pk))
    push_down = partial(_over, run_id=run_id, max_rows=max_rows)
    limits = limits_for(None, max_rows)
    return _by_mode(team, found, run_id, limits, push_down, may_move=True)


def _by_mode(
    team: Any,
    found: Planned,
    run_id: str,
    limits: Limits,
    push_down: Callable[[WarehouseConnection, Statement], Run],
    *,
    may_move: bool = False,
) -> tuple[Run, list[PlannedLeg]]:
    """Likewise; ``push_down`` makes the run of what one warehouse answers. Rows that are to be kept
    are of the same types each time, so what they are made of may not be moved."""
    match found.mode:
        case Mode.LOCAL:
            printed = print_query(found.query, STORE_DIALECT, found.text)
            stored = StoreRun(team, lambda: printed, limits, run_id, found.as_of)
            return stored, [PlannedLeg(None, printed.sql)]
        case Mode.PUSH_DOWN:
            ((source, connection),) = found.connections.items()
            printed = print_query(found.query, found.dialects[source], found.text)
            statement = Statement(printed.sql, printed.params, tables=modes.tables_of(found.query))
            asked = push_down(connection, statement)
            if found.as_of is not None:
                asked = OlderRun(asked, found.as_of)
            return asked, [PlannedLeg(connection, printed.sql, params=printed.params)]
    split = found.split(f"{PREFIX}{run_id.replace('-', '')}_")
    legs = Legs(team, split, found, run_id)
    move = move_of(legs) if may_move else None
    sent = planned_legs(legs, move)
    if move is None:
        return FederatedRun(legs, limits), sent
    return MovedRun(legs, move, limits, partial(accounts.replan, team, run_id)), sent


def run_whole(team: Any, found: Planned) -> Run:
    """All rows of a planned query, for whoever keeps them; ``truncated`` beyond WHOLE.

    What one warehouse runs whole is run anew, whatever is kept.
    """
    run_id = str(uuid.uuid4())

    def anew(connection: WarehouseConnection, statement: Statement) -> Run:
        return _direct(connection, statement, limits_of_whole(connection), run_id)

    run, _ = _by_mode(team, found, run_id, WHOLE, anew)
    return run


def plan_hogql(team: Any, text: str, values: Mapping[str, object] | None = None) -> HogQLPlan:
    """How ``run_hogql`` would answer, and at what price, without running anything; raises as it
    does."""
    found = HogQLPlan.of(team, planner.planned(team, text, values or {}))
    return replace(found, legs=with_prices(found.legs))
