"""The only door to a warehouse's data: price, run and explore on behalf of a team."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import structlog

from connectors.base import Connector
from connectors.result import Result
from connectors.types import Basis, Estimate, Limits, Table
from warehouse import conf, connections, modes
from warehouse.connection_config import ConnectionConfig
from warehouse.direct import DirectRun
from warehouse.federation import planner
from warehouse.federation.leg import told_of
from warehouse.federation.planner import Mode
from warehouse.federation.run import STORE_DIALECT, FederatedRun
from warehouse.federation.tidy import PREFIX
from warehouse.hogql.catalog import CatalogTable
from warehouse.hogql.printing.printer import print_query
from warehouse.hogql.tree import Query
from warehouse.hybrid import flights
from warehouse.hybrid.run import HybridRun, label_of, wish_of
from warehouse.local import StoreRun
from warehouse.models import WarehouseConnection
from warehouse.runs import Run
from warehouse.statements import Language, Statement

MAX_RESULT_BYTES = 100 * 2**20
"""Rows that take more, in Arrow's form, are cut off, and the answer says so."""

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
) -> Run:
    """One read-only query, to be started, iterated for its batches, and closed.

    Over a hybrid connection it may be answered by what was kept of an earlier one, of at most
    ``max_age_s``.
    """
    limits = limits_for(connection, max_rows)
    wish = wish_of(connection, statement, limits, max_age_s)
    direct = partial(_direct, connection, statement, limits)
    if wish is None:
        return direct()
    return HybridRun(wish, label_of(connection, statement, max_rows), direct)


def _direct(connection: WarehouseConnection, statement: Statement, limits: Limits) -> DirectRun:
    """Run in the warehouse, whatever is kept."""
    run_id = str(uuid.uuid4())

    def start(connector: Connector) -> Result:
        log.info("query.started", run_id=run_id, connection=str(connection.pk))
        printed = statement.printed(connection, connector)
        return connector.query(printed.sql, printed.params, limits, run_id)

    return DirectRun(run_id, partial(connections.leased, connection), start)


def run_hogql(
    team: Any, text: str, values: Mapping[str, object] | None = None, max_rows: int | None = None
) -> Run:
    """One query in HogQL over all that the team has, to be used as ``run``'s is.

    Raises HogQLError, and ConnectorError where a connection's tables cannot be read.
    """
    found = planner.planned(team, text, values or {})
    run_id = str(uuid.uuid4())
    log.info("query.planned", mode=found.mode, team=str(team.pk))
    limits = Limits(
        timeout_s=conf.query_timeout_s(),
        max_rows=min(conf.query_max_rows(), max_rows or conf.query_max_rows()),
        max_bytes_returned=MAX_RESULT_BYTES,
    )
    match found.mode:
        case Mode.LOCAL:
            prepare = partial(print_query, found.query, STORE_DIALECT, text)
            return StoreRun(team, prepare, limits, run_id, found.as_of)
        case Mode.PUSH_DOWN:
            ((source, connection),) = found.connections.items()
            printed = print_query(found.query, found.dialects[source], text)
            read = modes.tables_of(found.query)
            return run(connection, Statement(printed.sql, printed.params, tables=read), max_rows)
    split = found.split(f"{PREFIX}{run_id.replace('-', '')}_")
    return FederatedRun(team, split, found, limits, run_id)


@dataclass(frozen=True)
class PlannedLeg:
    """What one connection would be sent; without a connection, what the store would run."""

    connection: WarehouseConnection | None
    sql: str
    estimate: Estimate | None


@dataclass(frozen=True)
class HogQLPlan:
    """How a query would be answered: the parts of several connections, then the store's."""

    mode: Mode
    legs: tuple[PlannedLeg, ...]
    tables: tuple[CatalogTable, ...]
    """Those of connections that it reads."""


def plan_hogql(team: Any, text: str, values: Mapping[str, object] | None = None) -> HogQLPlan:
    """How ``run_hogql`` would answer, without running anything; raises as it does."""
    found = planner.planned(team, text, values or {})
    if found.mode == Mode.LOCAL:
        legs = [PlannedLeg(None, _stored(found.query, text), None)]
        return HogQLPlan(found.mode, tuple(legs), tuple(found.reads))
    split = found.split(PREFIX)
    legs = []
    for leg in split.legs:
        connection = found.connections[leg.source]
        printed = print_query(leg.query, found.dialects[leg.source], text)
        with told_of(connection), connections.leased(connection) as lease:
            estimate = lease.connector.estimate(printed.sql, printed.params)
        legs.append(PlannedLeg(connection, printed.sql, estimate))
    if found.mode == Mode.FEDERATED:
        legs.append(PlannedLeg(None, _stored(split.query, text), None))
    return HogQLPlan(found.mode, tuple(legs), tuple(found.reads))


def _stored(query: Query, text: str) -> str:
    return print_query(query, STORE_DIALECT, text).sql


def limits_for(connection: WarehouseConnection, max_rows: int | None) -> Limits:
    """The tightest of what the caller, the connection and the service allow."""
    config = ConnectionConfig.parse(connection.config)
    rows = [conf.query_max_rows(), config.max_rows, max_rows]
    return Limits(
        timeout_s=config.timeout_s or conf.query_timeout_s(),
        max_rows=min(bound for bound in rows if bound is not None),
        max_bytes_returned=MAX_RESULT_BYTES,
        max_bytes_scanned=config.max_bytes_scanned,
    )
