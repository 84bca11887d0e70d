"""Table locks as Snowflake takes them: UPDATE, DELETE, MERGE and DDL wait for each other."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from sandbox.snowflake.errors import deadlock, lock_timeout
from sandbox.snowflake.names import TableName

_LOOK_AGAIN_S = 0.1


class Holder(Protocol):
    """Who can hold a table."""

    def abort_if_idle(self) -> None:
        """Roll an open transaction back if nobody used it for too long."""


class TableLocks:
    """Who holds which table, and who waits for which."""

    def __init__(self) -> None:
        """Begin with every table free."""
        self._changed = threading.Condition()
        self._holders: dict[TableName, Holder] = {}
        self._waiting: dict[Holder, TableName] = {}

    def acquire(
        self,
        who: Holder,
        tables: Iterable[TableName],
        check: Callable[[], None],
        timeout_s: float,
    ) -> None:
        """Take the tables, waiting for others; `check` is called meanwhile and may raise.

        Raises SqlError after `timeout_s`, or at once when the wait could never end.
        """
        deadline = time.monotonic() + timeout_s
        for table in sorted(tables):
            while not self._take(who, table):
                check()
                if time.monotonic() > deadline:
                    raise lock_timeout(table.dotted, timeout_s)
                # Outside the condition: rolling back releases tables itself.
                if holder := self._holders.get(table):
                    holder.abort_if_idle()

    def release(self, who: Holder) -> None:
        """Let go of all that `who` holds."""
        with self._changed:
            for table in [table for table, holder in self._holders.items() if holder is who]:
                del self._holders[table]
            self._changed.notify_all()

    def _take(self, who: Holder, table: TableName) -> bool:
        with self._changed:
            if self._holders.setdefault(table, who) is who:
                return True
            self._waiting[who] = table
            try:
                if self._waits_for(table, who):
                    raise deadlock(table.dotted)
                self._changed.wait(_LOOK_AGAIN_S)
            finally:
                del self._waiting[who]
            return self._holders.setdefault(table, who) is who

    def _waits_for(self, table: TableName, who: Holder) -> bool:
        seen = set()
        next_table: TableName | None = table
        while next_table is not None and next_table not in seen:
            seen.add(next_table)
            holder = self._holders.get(next_table)
            if holder is who:
                return True
            next_table = self._waiting.get(holder) if holder is not None else None
        return False
