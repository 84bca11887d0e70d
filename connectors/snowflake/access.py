"""What a Snowflake session may use and change, by SHOW commands: they need no warehouse."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.errors import ResourceUnusable
from connectors.snowflake.sql import literal, quoted

Show = Callable[[str], Sequence[Mapping[str, Any]]]
"""Run a statement that bills nothing; its rows by column name, in lower case."""

READING = frozenset({
    "AUDIT", "IMPORTED PRIVILEGES", "MONITOR", "MONITOR EXECUTION", "MONITOR SECURITY",
    "MONITOR USAGE", "OPERATE", "READ", "REFERENCES", "REFERENCE_USAGE", "RESOLVE ALL", "SELECT",
    "USAGE", "VIEW LINEAGE",
})  # fmt: skip
"""Privileges that change no data. What is not listed here (INSERT, OWNERSHIP, CREATE …) may."""

ROLES_READ = 30
GRANTS_S = 3.0


def asleep_for_good(warehouse: str, show: Show) -> ResourceUnusable | None:
    """An error when the warehouse is suspended and does not wake up for a query."""
    for row in show(f"SHOW WAREHOUSES LIKE {literal(warehouse)}"):
        stopped = str(row["state"]).upper() == "SUSPENDED"
        if row["name"] == warehouse and stopped and not _is_true(row["auto_resume"]):
            return ResourceUnusable(
                "The warehouse of this connection is suspended.",
                hint="Resume it, or let it resume by itself: ALTER WAREHOUSE … SET AUTO_RESUME.",
                fields={"warehouse": "Is suspended and does not resume by itself."},
            )
    return None


def may_write(role: str, show: Show) -> bool | None:
    """Whether the session's roles hold a privilege that changes data.

    These are the current role, the secondary ones (a session has all of its user's roles unless
    the user's default says otherwise), PUBLIC, and what each of them inherits. ``None`` when
    there are more of them than can be read in time.
    """
    (secondary,) = show("SELECT CURRENT_SECONDARY_ROLES() AS ROLES")
    listed = str(json.loads(secondary["roles"] or "{}").get("roles", ""))
    waiting = [role, *(name for name in listed.split(",") if name), "PUBLIC"]
    deadline = time.monotonic() + GRANTS_S
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        if len(seen) == ROLES_READ or time.monotonic() > deadline:
            return None
        seen.add(name)
        grants = show(f"SHOW GRANTS TO ROLE {quoted(name)}")
        if any(grant["privilege"] not in READING for grant in grants):
            return True
        waiting += [grant["name"] for grant in grants if grant["granted_on"] == "ROLE"]
    return False


def _is_true(value: object) -> bool:
    return str(value).lower() in ("true", "y", "1")
