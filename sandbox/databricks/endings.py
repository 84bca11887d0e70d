"""Cancelling and closing, so that Spark really stops.

Spark forgets a cancellation that comes before the statement has started its first job: the job
runs on, for ever, with nobody waiting for it. It looks for jobs once more when the operation or
its session is closed. So what was cancelled is closed a little later, behind the client's back.
"""

import threading
from collections.abc import Callable
from typing import Any

from databricks.sql.thrift_api.TCLIService import ttypes as t

from sandbox.databricks.answers import NO_SESSION, OK, failed
from sandbox.databricks.history import ENDED, History, Operation
from sandbox.databricks.sessions import Sessions
from sandbox.databricks.upstream import SparkGone, Upstream

_SECOND_LOOK_S = 2.0


class Endings:
    """Ends operations and sessions."""

    def __init__(self, upstream: Upstream, history: History, sessions: Sessions) -> None:
        self._upstream = upstream
        self._history = history
        self._sessions = sessions

    def refresh(self, operation: Operation) -> None:
        """Ask Spark how an operation that has not ended goes."""
        if operation.status in ENDED:
            return
        request = t.TGetOperationStatusReq(operationHandle=operation.handle)
        state = self._upstream.call("GetOperationStatus", request).operationState
        operation.went_to(t.TOperationState.CLOSED_STATE if state is None else state)

    def cancel(self, operation: Operation) -> Any:
        """End an operation if it still runs."""
        self.refresh(operation)
        if operation.status in ENDED:
            return t.TCancelOperationResp(status=OK)
        request = t.TCancelOperationReq(operationHandle=operation.handle)
        answer = self._upstream.call("CancelOperation", request)
        self.refresh(operation)
        self._close_later(operation)
        return answer

    def close(self, operation: Operation) -> Any:
        """End an operation if it still runs, and free it."""
        self.cancel(operation)
        if operation.status == "FINISHED":
            request = t.TCloseOperationReq(operationHandle=operation.handle)
            return self._upstream.call("CloseOperation", request)
        self._close_later(operation)
        return t.TCloseOperationResp(status=OK)

    def _close_later(self, operation: Operation) -> None:
        if operation.is_left:
            return
        operation.is_left = True
        request = t.TCloseOperationReq(operationHandle=operation.handle)
        _later(lambda: self._upstream.call("CloseOperation", request))

    def close_session(self, request: Any) -> Any:
        """End a session with everything that runs in it."""
        operations = self._history.of_session(request.sessionHandle.sessionId.guid)
        for operation in operations:
            self.cancel(operation)
        if all(operation.status == "FINISHED" for operation in operations):
            return self._end_session(request)
        _later(lambda: self._end_session(request))
        return t.TCloseSessionResp(status=OK)

    def _end_session(self, request: Any) -> Any:
        session = self._sessions.forget(request.sessionHandle)
        if session is None:
            return t.TCloseSessionResp(status=failed(NO_SESSION))
        try:
            return session.connection.call("CloseSession", request)
        finally:
            session.connection.close()


def _later(action: Callable[[], object]) -> None:
    def act() -> None:
        try:
            action()
        except SparkGone:
            # With Spark, all that it ran has ended.
            return

    timer = threading.Timer(_SECOND_LOOK_S, act)
    timer.daemon = True
    timer.start()
