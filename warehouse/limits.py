"""How long a query may run, and how much it may read and bring."""

import time
from dataclasses import replace

from connectors.types import Limits
from warehouse import conf
from warehouse.connection_config import ConnectionConfig
from warehouse.models import WarehouseConnection

MAX_RESULT_BYTES = 100 * 2**20
"""Rows that take more, in Arrow's form, are cut off, and the answer says so."""
WHOLE = Limits(timeout_s=3600, max_rows=10_000_000, max_bytes_returned=2 * 2**30)
"""The most that is read of one query where all of its answer is wanted."""


def limits_for(connection: WarehouseConnection | None, max_rows: int | None) -> Limits:
    """The tightest of what the caller, the connection and the service allow; ``None`` where the
    store answers."""
    config = ConnectionConfig.parse({} if connection is None else connection.config)
    rows = [conf.query_max_rows(), config.max_rows, max_rows]
    return Limits(
        timeout_s=config.timeout_s or conf.query_timeout_s(),
        max_rows=min(bound for bound in rows if bound is not None),
        max_bytes_returned=MAX_RESULT_BYTES,
        max_bytes_scanned=config.max_bytes_scanned,
    )


def limits_of_whole(connection: WarehouseConnection) -> Limits:
    """Those of a query over the connection whose answer is kept."""
    own = ConnectionConfig.parse(connection.config)
    timeout_s = own.timeout_s or WHOLE.timeout_s
    return replace(WHOLE, timeout_s=timeout_s, max_bytes_scanned=own.max_bytes_scanned)


def limits_until(most: Limits, deadline: float) -> Limits:
    """``most``, with the time that is left until then (of the monotonic clock)."""
    return replace(most, timeout_s=max(1.0, deadline - time.monotonic()))


def limits_of_part(connection: WarehouseConnection, most: Limits, deadline: float) -> Limits:
    """Likewise, of what the connection is asked for a query over several: what it allows counts
    there as in any other."""
    own, until = ConnectionConfig.parse(connection.config), limits_until(most, deadline)
    return replace(
        until,
        timeout_s=min(own.timeout_s or until.timeout_s, until.timeout_s),
        max_bytes_scanned=own.max_bytes_scanned,
    )
