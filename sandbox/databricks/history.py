"""What has been asked of the warehouse: each statement and how it went."""

import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from databricks.sql.thrift_api.TCLIService import ttypes as t

_REMEMBERED = 2_000
_STATUS = {
    t.TOperationState.INITIALIZED_STATE: "QUEUED",
    t.TOperationState.PENDING_STATE: "QUEUED",
    t.TOperationState.RUNNING_STATE: "RUNNING",
    t.TOperationState.FINISHED_STATE: "FINISHED",
    t.TOperationState.CANCELED_STATE: "CANCELED",
    t.TOperationState.CLOSED_STATE: "CANCELED",
}
# key:value,key,key:value with a backslash before what separates.
_TAG = re.compile(r"(?P<key>(?:[^\\:,]|\\.)+)(?::(?P<value>(?:[^\\,]|\\.)*))?")
ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})


@dataclass
class Operation:
    """One call with a result. ``columns`` are names and SQL types where they are known."""

    handle: Any
    session: bytes
    text: str | None = None
    """What the client sent; None for a read of metadata, which the history does not show."""
    columns: Sequence[tuple[str, str]] = ()
    catalog: str | None = None
    """What metadata are to name as the catalog, which Spark leaves empty."""
    tags: str = ""
    row_limit: int | None = None
    timeout_s: int = 0
    status: str = "RUNNING"
    error: str | None = None
    rows_sent: int = 0
    began: float = field(default_factory=time.time)
    ended: float | None = None
    layout: Any = None
    is_left: bool = False
    """Nobody is to ask Spark about it any more: it is being closed there."""

    @property
    def key(self) -> bytes:
        key: bytes = self.handle.operationId.guid
        return key

    def went_to(self, state: int) -> None:
        """Take over a state that Spark reports; what has ended stays as it ended."""
        if self.status not in ENDED:
            self.status = _STATUS.get(state, "FAILED")
            if self.status in ENDED:
                self.ended = time.time()

    def as_json(self) -> dict[str, Any]:
        """The entry as the REST interface shows it."""
        return {
            "query_id": str(uuid.UUID(bytes=self.key)),
            "status": self.status,
            "query_text": self.text,
            "query_start_time_ms": int(self.began * 1000),
            "query_end_time_ms": int(self.ended * 1000) if self.ended else None,
            "rows_produced": self.rows_sent,
            "error_message": self.error,
            "query_tags": [
                {"key": _unescaped(tag["key"]), "value": _unescaped(tag["value"])}
                for tag in _TAG.finditer(self.tags)
            ],
        }


def _unescaped(text: str | None) -> str | None:
    return None if text is None else re.sub(r"\\(.)", r"\1", text)


class History:
    """The latest operations; safe to use from several threads."""

    def __init__(self) -> None:
        self._operations: OrderedDict[bytes, Operation] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, operation: Operation) -> None:
        with self._lock:
            self._operations[operation.key] = operation
            while len(self._operations) > _REMEMBERED:
                self._operations.popitem(last=False)

    def get(self, handle: Any) -> Operation | None:
        with self._lock:
            return self._operations.get(handle.operationId.guid)

    def of_session(self, session: bytes) -> list[Operation]:
        with self._lock:
            return [one for one in self._operations.values() if one.session == session]

    def statements(self) -> list[Operation]:
        """The statements, latest first."""
        with self._lock:
            return [one for one in reversed(self._operations.values()) if one.text is not None]
