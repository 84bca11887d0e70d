"""Tables of legs that a killed process, or one that could not reach the store, has left there."""

import re
from uuid import UUID

import structlog

from connectors.errors import ConnectorError
from warehouse import accounts
from warehouse.store import client, ddl, place

log = structlog.get_logger(__name__)

PREFIX = "leg_"
"""Of the names of all tables that legs make in the store, and of no other's."""
LONGEST_S = 2 * 3600
"""No run lasts longer: a query has at most an hour."""
_ALL = """SELECT database, name, metadata_modification_time < now() - {age_s:UInt32} AS is_old
FROM system.tables WHERE startsWith(database, 'team_') AND startsWith(name, {prefix:String})"""
_OF_RUN = re.compile(PREFIX + r"([0-9a-f]{32})_")


def sweep(older_than_s: int = LONGEST_S) -> int:
    """Drop those of queries that give no sign of life, and of what is in no books those older than
    that; how many."""
    if not place.configured():
        return 0
    try:
        with client.owner().query(_ALL, {"prefix": PREFIX, "age_s": older_than_s}) as rows:
            there = [(_run_of(one["name"]), one) for one in rows.read_all().to_pylist()]
        silent = accounts.silent({run for run, _ in there if run})
        left = [one for run, one in there if run in silent or one["is_old"]]
        for one in left:
            client.owner().command(ddl.drop_table(one["database"], one["name"]))
    except ConnectorError as exc:
        log.warning("legs.not_swept", code=exc.code)
        return 0
    log.info("legs.swept", tables=len(left))
    return len(left)


def _run_of(table: str) -> UUID | None:
    found = _OF_RUN.match(table)
    return UUID(found[1]) if found else None
