"""What an administrator runs on a real server, once for each team: its reader, and the bounds.

The embedded engine has the same as files (``engine/configuration.py``).
"""

import hashlib

from warehouse import conf
from warehouse.store import names, place
from warehouse.store.ddl import on_cluster
from warehouse.store.engine.home import reader_password
from warehouse.store.limits import READER, READER_MOST, WAITS, of_memory
from warehouse.store.names import quote

PROFILE = "warehouse_reader"
QUOTA = "queries = 10000, execution_time = 3600"
"""Of a team within an hour."""


def of_team(team_id: object) -> list[str]:
    """Statements that make a team's reader; run again, they change nothing.

    Raises StoreNotConfigured. The reader's password follows from the owner's, as ``place`` has it.
    """
    owner, reader = place.owner(), names.server_reader(team_id)
    database, who, every = names.database(team_id), quote(reader), on_cluster()
    hashed = hashlib.sha256(reader_password(owner.password, reader).encode()).hexdigest()
    return [
        f"CREATE SETTINGS PROFILE IF NOT EXISTS {PROFILE}{every} SETTINGS {_profile()}",
        f"CREATE USER IF NOT EXISTS {who}{every} IDENTIFIED WITH sha256_hash BY '{hashed}' "
        f"SETTINGS PROFILE '{PROFILE}'",
        f"GRANT{every} SELECT ON {quote(database)}.* TO {who}",
        f"CREATE QUOTA IF NOT EXISTS {who}{every} FOR INTERVAL 1 hour MAX {QUOTA} TO {who}",
        # With a policy on a database, whoever has none of his own sees no row of it.
        f"CREATE ROW POLICY IF NOT EXISTS {who}{every} ON {quote(database)}.* "
        f"USING 1 TO {who}, {quote(owner.user)}",
    ]


def _profile() -> str:
    values = {**WAITS, **READER, **of_memory(conf.store_memory_mb())}
    most = {**READER_MOST, "max_memory_usage": values["max_memory_usage"]}
    return ", ".join(
        f"{name} = {_value(value)}{_bound(name, most)}" for name, value in values.items()
    )


def _value(value: int | str) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _bound(name: str, most: dict[str, int | str]) -> str:
    if name == "readonly":
        return " CONST"
    # Of a limit, 0 would be none at all.
    return f" MIN {min(1, int(most[name]))} MAX {most[name]}" if name in most else ""
