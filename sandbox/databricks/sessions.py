"""Sessions: what a client asked for when it opened one, in Spark's words."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.databricks.statements import LONGEST_S
from sandbox.databricks.upstream import Connection

_SPARK_NAMES = {
    "ansi_mode": "spark.sql.ansi.enabled",
    "timezone": "spark.sql.session.timeZone",
}


@dataclass
class Session:
    """One session; Spark ends it when ``connection``, which opened it, is closed."""

    connection: Connection
    time_zone: str
    timeout_s: int
    tags: str


class Sessions:
    """The open sessions by their id; safe to use from several threads."""

    def __init__(self) -> None:
        self._open: dict[bytes, Session] = {}
        self._lock = threading.Lock()

    def add(self, handle: Any, connection: Connection, wanted: Mapping[str, str]) -> None:
        """Remember a session that Spark has opened."""
        given = _folded(wanted)
        session = Session(
            connection,
            time_zone=given.get("timezone") or given.get("spark.sql.session.timezone") or "UTC",
            timeout_s=int(given.get("statement_timeout", LONGEST_S)),
            tags=given.get("query_tags", ""),
        )
        with self._lock:
            self._open[handle.sessionId.guid] = session

    def get(self, handle: Any) -> Session | None:
        """Return an open session by its handle."""
        return self.of(handle.sessionId.guid)

    def of(self, session: bytes) -> Session | None:
        """Return an open session by its id."""
        with self._lock:
            return self._open.get(session)

    def forget(self, handle: Any) -> Session | None:
        """Take a session out of the open ones and return it."""
        with self._lock:
            return self._open.pop(handle.sessionId.guid, None)


def spark_settings(wanted: Mapping[str, str], schema: str | None) -> dict[str, str]:
    """Return what Spark is told when a session opens; our own settings are not for it."""
    given = _folded(wanted)
    settings = {name: given[ours] for ours, name in _SPARK_NAMES.items() if ours in given}
    settings.setdefault("spark.sql.session.timeZone", "UTC")
    settings |= {key: value for key, value in wanted.items() if key.startswith("spark.sql.")}
    return {f"set:hiveconf:{name}": value for name, value in settings.items()} | (
        {"use:database": schema} if schema else {}
    )


def _folded(wanted: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in wanted.items()}
