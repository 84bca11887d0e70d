"""A query over a hybrid connection: its answer from the cache, or from the warehouse."""

import threading
from collections.abc import Callable
from contextlib import suppress

import structlog

from connectors.errors import ConnectorError, ObjectNotFound, QueryCancelled
from connectors.types import Limits
from warehouse import modes
from warehouse.connection_config import ConnectionConfig
from warehouse.errors import ConnectionPaused
from warehouse.hybrid import flights, keys
from warehouse.hybrid.cached import CachedRun
from warehouse.hybrid.flights import Flight, Found, Wish
from warehouse.hybrid.keeping import KeepingRun, Label
from warehouse.models import WarehouseConnection
from warehouse.runs import ChosenRun, Run
from warehouse.statements import Statement

log = structlog.get_logger(__name__)

TTL_S = 300
"""How long an answer is good where the connection does not say."""


def wish_of(
    connection: WarehouseConnection,
    statement: Statement,
    limits: Limits,
    max_age_s: float | None = None,
) -> Wish | None:
    """Which kept answer would do; ``None`` where none can: another mode, of the connection or of
    a table, or odd parameters.

    ``max_age_s`` takes the place of the connection's, and then nothing older is served.
    """
    if not modes.keeps(connection, statement):
        return None
    return wish_for(connection, statement, limits, max_age_s)


def wish_for(
    connection: WarehouseConnection,
    statement: Statement,
    limits: Limits,
    max_age_s: float | None = None,
) -> Wish | None:
    """The same of a statement that is known to be kept."""
    key = keys.key_of(connection, statement, limits)
    if key is None:
        return None
    config = ConnectionConfig.parse(connection.config)
    if max_age_s is not None:
        return Wish(connection, key, max_age_s, 0, limits.timeout_s)
    ttl_s, stale_s = config.cache_ttl_s or TTL_S, config.serve_stale_s or 0
    return Wish(connection, key, ttl_s, stale_s, limits.timeout_s)


def label_of(connection: WarehouseConnection, statement: Statement, max_rows: int | None) -> Label:
    """What is remembered with an answer; ``max_rows`` is what the caller has asked for."""
    config = ConnectionConfig.parse(connection.config)
    kept_s = (config.cache_ttl_s or TTL_S) + (config.serve_stale_s or 0)
    inputs = keys.inputs_of(statement, max_rows) if config.serve_stale_s else ""
    return Label(statement.sql, inputs, kept_s)


class HybridRun(ChosenRun):
    """``direct`` makes the run that asks the warehouse, where that has to be."""

    def __init__(self, wish: Wish, label: Label, direct: Callable[[], Run]) -> None:
        self._wish = wish
        self._label = label
        self._direct = direct()
        self.run_id = self._direct.run_id
        self._cancelled = threading.Event()
        self._seen: Found | None = None

    def start_at_hand(self) -> bool:
        """With an answer that is in the service's database, and has come with the look for it; one
        in the store has to be read there."""
        if self._wish.connection.is_active:
            self._seen = flights.fresh(self._wish)
        if self._seen is None or self._seen.result.in_store:
            return False
        with suppress(ConnectorError):
            self._open(self._seen)
        return self._run is not None

    def start(self) -> None:
        """Waits for whoever has asked the same. Raises ConnectorError, ConnectionPaused."""
        if not self._wish.connection.is_active:
            raise ConnectionPaused()
        # What has been seen already need not be looked for.
        found = self._seen or flights.search(self._wish, self._cancelled)
        while not self._started(found):
            found = flights.search(self._wish, self._cancelled)

    def _started(self, found: Found | Flight | None) -> bool:
        """False when the answer has been forgotten since it was found."""
        match found:
            case Found():
                return self._started_cached(found)
            case Flight():
                self._run = KeepingRun(self._direct, found, self._label)
            case None:
                self._run = self._direct
        if self._cancelled.is_set():
            raise QueryCancelled()
        self._run.start()
        return True

    def _started_cached(self, found: Found) -> bool:
        """Likewise; one that cannot be read is asked for directly."""
        try:
            self._open(found)
        except ObjectNotFound:
            self._wish.results().filter(pk=found.result.pk).delete()
            return False
        except ConnectorError:
            return self._started(None)
        return True

    def _open(self, found: Found) -> None:
        """Raises ConnectorError where it cannot be read, and ObjectNotFound where it is gone."""
        cached = CachedRun(self.run_id, found, self._wish.timeout_s)
        try:
            cached.start()
        except ConnectorError as exc:
            cached.close()
            log.warning("cached_result.not_read", result=str(found.result.pk), code=exc.code)
            raise
        self._run = cached

    def cancel(self) -> bool:
        """While it waits for another's fetch, only the waiting ends."""
        self._cancelled.set()
        return True if self._run is None else self._run.cancel()
