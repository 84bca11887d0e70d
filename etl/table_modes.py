"""The modes of a connection's tables: what each is, and one for another, whoever asks.

A table that a pipeline fills in the store is in sync. Any other is ``direct`` or ``hybrid`` by its
own mode, or else by its connection's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection as database
from django.db import transaction

from connectors import registry
from etl import pipelines, sync
from etl.models import PipelineTable
from etl.sync import Explanation, Wish
from warehouse import modes
from warehouse.connection_config import ConnectionConfig
from warehouse.hybrid import cache
from warehouse.hybrid.run import TTL_S
from warehouse.models import ConnectionMode, WarehouseConnection
from warehouse.statements import TableName

SYNC, DIRECT, HYBRID = ConnectionMode.SYNC, ConnectionMode.DIRECT, ConnectionMode.HYBRID


@dataclass(frozen=True)
class Modes:
    """Of all tables of a connection, by schema and name; ``own`` and ``synced`` have the others
    than the connection's ``mode``."""

    mode: ConnectionMode
    own: Mapping[TableName, ConnectionMode]
    synced: Mapping[TableName, PipelineTable]

    def of(self, table: TableName) -> ConnectionMode:
        return SYNC if table in self.synced else self.own.get(table, self.mode)

    def stays(self, table: TableName, mode: ConnectionMode | None) -> bool:
        """Whether the table has that mode of its own, or ``None``, already."""
        if table in self.synced:
            return (mode or self.mode) == SYNC
        return self.own.get(table) == mode

    def as_of(self, table: TableName) -> datetime | None:
        """Of its copy in the store; ``None`` while it is read in its warehouse."""
        return self.synced[table].as_of if table in self.synced else None


@dataclass(frozen=True)
class Listed:
    """A table with a mode of its own. ``as_of`` is that of its copy in the store, or of the oldest
    answer that is kept of it; ``None`` where there is none. ``synced`` is as ``sync.tables`` gives
    it."""

    schema: str
    table: str
    mode: ConnectionMode
    as_of: datetime | None
    kept_answers: int = 0
    synced: PipelineTable | None = None


def of(connection: WarehouseConnection) -> Modes:
    """The modes of its tables, as they are now."""
    synced = {(one.source_schema, one.source_table): one for one in sync.tables(connection)}
    return Modes(ConnectionMode(connection.mode), modes.own(connection), synced)


def listed(connection: WarehouseConnection) -> list[Listed]:
    """The tables whose mode is their own, by schema and name."""
    found = of(connection)
    return [_listed(connection, found, name) for name in sorted({*found.own, *found.synced})]


def switch(
    connection: WarehouseConnection, user: Any, wish: Wish, mode: ConnectionMode | None
) -> None:
    """Give a table a mode of its own, or its connection's; how it goes into sync says ``wish``.

    The mode that it has changes nothing. Nothing is left of the mode before: a copy in the store is
    dropped, and kept answers are forgotten. Raises InvalidInput, RunInProgress.
    """
    name = (wish.schema, wish.table)
    with _alone(connection):
        found = of(connection)
        if found.stays(name, mode):
            return
        if mode == SYNC:
            sync.put(connection, user, wish)
        elif name in found.synced:
            sync.take_out(found.synced[name])
        modes.put(connection, name, None if mode == SYNC else mode)
        cache.invalidate(connection.team_id, connection, [wish.table])


def explain(
    connection: WarehouseConnection, wish: Wish, mode: ConnectionMode | None
) -> Explanation:
    """What ``switch`` would do; opens no connection, and changes nothing."""
    found, name = of(connection), (wish.schema, wish.table)
    if found.stays(name, mode):
        return Explanation([f"{wish.schema}.{wish.table} stays as it is."])
    steps, faults = list[str](), dict[str, str]()
    if name in found.synced:
        there = found.synced[name]
        steps, faults = sync.explain_removal(there).steps, _faults(there)
    elif mode == SYNC:
        said = sync.explain(connection, wish)
        steps, faults = said.steps, said.faults
    kept, _ = cache.kept(connection, [wish.table])
    return Explanation(
        [*steps, *_forgotten(kept), *_reading(connection, mode or found.mode)], faults
    )


def explain_connection(connection: WarehouseConnection, mode: ConnectionMode) -> Explanation:
    """What it would be to give the connection that mode."""
    if mode == connection.mode:
        return Explanation([f"{connection.name} stays as it is."])
    kept, _ = cache.kept(connection)
    found = of(connection)
    own = len({*found.own, *found.synced})
    stay = [f"Tables with a mode of their own keep it: {own:,}."] if own else []
    return Explanation([*_forgotten(kept), *_reading(connection, mode), *stay])


def _listed(connection: WarehouseConnection, found: Modes, name: TableName) -> Listed:
    mode, synced = found.of(name), found.synced.get(name)
    if synced is not None:
        return Listed(*name, mode, synced.as_of, synced=synced)
    kept, oldest = cache.kept(connection, [name[1]]) if mode == HYBRID else (0, None)
    return Listed(*name, mode, oldest, kept)


def _faults(table: PipelineTable) -> dict[str, str]:
    """What keeps a table from being taken out of sync now."""
    is_alone = table.pipeline.tables.count() == 1
    if is_alone or pipelines.open_run(table.pipeline) is None:
        return {}
    return {"table": f"Its pipeline is at work on other tables, too: {table.pipeline_id}."}


def _forgotten(kept: int) -> list[str]:
    return [f"Answers that are kept of it are forgotten: {kept:,}."] if kept else []


def _reading(connection: WarehouseConnection, mode: ConnectionMode) -> list[str]:
    """How queries are answered in a mode."""
    label = registry.provider(connection.provider).label
    asked = f"queries run in {label}, which may bill each"
    if mode == SYNC:
        return [f"Where the store does not have a table yet, {asked}. A mode alone copies nothing."]
    if mode == DIRECT:
        return [f"From then on {asked}; their rows are as new as {label}'s."]
    config = ConnectionConfig.parse(connection.config)
    steps = [
        f"An answer of {label} to a query on tables in this mode is kept for "
        f"{config.cache_ttl_s or TTL_S:,} s: whoever asks the same gets it, as old as that, at no "
        "price."
    ]
    if config.serve_stale_s:
        steps.append(
            f"One older by up to {config.serve_stale_s:,} s is served while it is fetched anew."
        )
    return steps


@contextmanager
def _alone(connection: WarehouseConnection) -> Iterator[None]:
    """One switch at a time for each connection: of two at once, the second finds the first done."""
    key = [f"table modes of {connection.pk}"]
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", key)
        yield
