"""Tables of legs that a killed process has left in the store."""

import structlog

from connectors.errors import ConnectorError
from warehouse.store import client, ddl, place

log = structlog.get_logger(__name__)

PREFIX = "leg_"
"""Of the names of all tables that legs make in the store, and of no other's."""
LONGEST_S = 2 * 3600
"""No run lasts longer: a query has at most an hour."""
_LEFT = """SELECT database, name FROM system.tables
WHERE startsWith(database, 'team_') AND startsWith(name, {prefix:String})
    AND metadata_modification_time < now() - {age_s:UInt32}"""


def sweep(older_than_s: int = LONGEST_S) -> int:
    """Drop them; how many."""
    if not place.configured():
        return 0
    try:
        with client.owner().query(_LEFT, {"prefix": PREFIX, "age_s": older_than_s}) as rows:
            left = rows.read_all().to_pylist()
        for one in left:
            client.owner().command(ddl.drop_table(one["database"], one["name"]))
    except ConnectorError as exc:
        log.warning("legs.not_swept", code=exc.code)
        return 0
    log.info("legs.swept", tables=len(left))
    return len(left)
