"""What every warehouse that speaks Postgres' wire protocol shares: session, parameters, errors."""

import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors import errors
from connectors.errors import ConnectorError
from connectors.overdue import when_overdue
from connectors.postgres import sign_in as postgres_sign_in
from connectors.postgres import text_rows
from connectors.result import Execution
from connectors.types import Params, RunStats

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGresult

CANCEL_S = 5.0
END_S = 5.0
NAME_BYTES = 63
"""As long as a name may be in Postgres (NAMEDATALEN)."""
BEGIN = "SELECT set_config('statement_timeout', %s, true), set_config('application_name', %s, true)"
ERRORS: dict[str, type[ConnectorError]] = {
    "08": errors.ConnectionLost,
    "0A": errors.SqlInvalid,
    "0P": errors.ResourceUnusable,
    "20": errors.DataError,
    "21": errors.DataError,
    "22": errors.DataError,
    "25006": errors.PermissionDenied,
    "25P03": errors.ConnectionLost,
    "25P04": errors.ConnectionLost,
    "28": errors.CredentialsRejected,
    "2BP01": errors.SchemaChanged,
    "2F": errors.QueryError,
    "38": errors.QueryError,
    "39": errors.QueryError,
    "3D": errors.ResourceUnusable,
    "3F": errors.ObjectNotFound,
    "40": errors.WarehouseBusy,
    "42": errors.SqlInvalid,
    "42501": errors.PermissionDenied,
    "42703": errors.ObjectNotFound,
    "42704": errors.ObjectNotFound,
    "42883": errors.ObjectNotFound,
    "42P01": errors.ObjectNotFound,
    "42P07": errors.TableTaken,
    "42P02": errors.InvalidParameters,
    "53": errors.WarehouseBusy,
    "54": errors.LimitExceeded,
    "55": errors.QueryError,
    "55006": errors.WarehouseBusy,
    "55P03": errors.WarehouseBusy,
    "57": errors.ConnectionLost,
    "57014": errors.QueryTimeout,
    "72": errors.WarehouseBusy,
    "HV": errors.QueryError,
    "P0": errors.QueryError,
}
"""SQLSTATE, or the beginning of one, to our error; the longest match wins.

Source: PostgreSQL documentation, Appendix A. Error Codes.
"""


def error_for(exc: Exception) -> ConnectorError | None:
    """Our error for a psycopg or Arrow one; ``None`` when it is not in the table."""
    import psycopg

    if isinstance(exc, pa.ArrowInvalid):
        return errors.DataError("A value is outside the range of its column's type.")
    if not isinstance(exc, psycopg.Error):
        return None
    if exc.sqlstate:
        matches = [prefix for prefix in ERRORS if exc.sqlstate.startswith(prefix)]
        return ERRORS[max(matches, key=len)]() if matches else None
    if isinstance(exc, psycopg.ProgrammingError):
        # Raised before anything is sent: placeholders and values do not fit each other.
        return errors.InvalidParameters()
    if isinstance(exc, psycopg.DataError):
        return errors.DataError("A value (an infinite or BC date, say) cannot be carried exactly.")
    if isinstance(exc, psycopg.errors.ConnectionTimeout):
        return errors.HostUnreachable()
    if isinstance(exc, psycopg.OperationalError):
        return postgres_sign_in.error_for(exc)
    return None


def said(exc: Exception) -> str:
    """The server's primary message: the rest of the driver's text repeats the statement.

    Of a value at fault only the error's code: its message quotes the value.
    """
    import psycopg

    if not isinstance(exc, psycopg.Error):
        return str(exc)
    if exc.sqlstate is not None and exc.sqlstate.startswith("22"):
        return exc.sqlstate
    return exc.diag.message_primary or str(exc)


def shut(connection: "psycopg.Connection[Any]") -> None:
    """End the socket under a connection whose server says nothing; its reader gets an error."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as handle, suppress(OSError):
            # An error says that it has ended already.
            handle.shutdown(socket.SHUT_RDWR)


PLACEHOLDER = re.compile(r"%%|(?<![\w$])%(?:s|\((?P<name>\w+)\)s)(?![\w$])|%")

PLACED = r"%(?:s|\(\w+\)s)(?!\w)"
"""A placeholder, in a text that came without values."""


def bound(sql: str, params: Params) -> tuple[str, list[object]]:
    """The text with ``%s`` or ``%(name)s`` as the server's own ``$1``, ``$2``, …, and its values.

    Done here and not by the driver, so that what is judged is what the server gets. ``%%`` is a
    percent sign; without ``params`` the text is left alone. Raises InvalidParameters.
    """
    if not params:
        return sql, []
    places: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match["name"] if isinstance(params, Mapping) else str(len(places))
        if len(match[0]) == 1 or (match["name"] is None) == isinstance(params, Mapping):
            raise errors.InvalidParameters(hint="A percent sign that is no placeholder is %%.")
        return f"${places.setdefault(name, len(places) + 1)}"

    text = PLACEHOLDER.sub(place, sql)
    if isinstance(params, Mapping):
        if missing := sorted(set(places) - set(params)):
            raise errors.InvalidParameters(fields=dict.fromkeys(missing, "No value is given."))
        return text, [params[name] for name in places]
    if len(places) != len(params):
        raise errors.InvalidParameters()
    return text, list(params)


def begin(connection: "psycopg.Connection[Any]", timeout_s: float, name: str) -> None:
    """Start a transaction whose statements the server bounds, and shows under that name."""
    milliseconds = str(max(1, int(timeout_s * 1000)))
    connection.execute(BEGIN, [milliseconds, name])


def application_name(tags: Mapping[str, str]) -> str:
    """Service, team and run, as far as Postgres keeps names; the run is kept whole."""
    parts = dict(tags)
    run = parts.pop("run", "")
    room = max(0, NAME_BYTES - len(run) - 1) if run else NAME_BYTES
    return f"{' '.join(parts.values())[:room]} {run}".strip()[:NAME_BYTES]


def cancel(connection: "psycopg.Connection[Any]") -> None:
    """End what the session runs, from another thread.

    Where the server takes no cancel request, the socket is ended instead: its reader gets an
    error, and the server notices within seconds.
    """
    import psycopg

    try:
        connection.cancel_safe(timeout=CANCEL_S)
    except psycopg.Error:
        shut(connection)


def is_alive(connection: "psycopg.Connection[Any]") -> bool:
    """The server has not hung up on an idle session; asks the socket only.

    A server says nothing to an idle session but why it ends it.
    """
    from psycopg.pq import TransactionStatus

    if connection.closed:
        return False
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return True
    sockets = select.poll()
    sockets.register(connection.fileno(), select.POLLIN)
    return not sockets.poll(0)


def end(cursor: "psycopg.ServerCursor[Any]") -> None:
    """Close a server-side cursor with its transaction, if the connection still stands.

    A server that does not answer to that within END_S loses the session.
    """
    connection = cursor.connection
    if not connection.closed:
        with when_overdue(END_S, partial(shut, connection)):
            connection.rollback()
    cursor.close()


def error_of(result: "PGresult") -> "psycopg.Error":
    """The driver's error for what the server answered in place of rows."""
    from psycopg import OperationalError
    from psycopg.errors import error_from_result

    error = error_from_result(result, encoding="utf-8")
    # Without a code they are libpq's own words: the connection broke.
    return error if error.sqlstate else OperationalError(str(error))


@contextmanager
def told_apart(limit_at: float) -> Iterator[None]:
    """Raises QueryCancelled where the server has ended a statement before its time limit.

    It has one error for its limit and for whoever cancels a statement there.
    """
    import psycopg

    try:
        yield
    except psycopg.errors.QueryCanceled as exc:
        if time.monotonic() < limit_at:
            raise errors.QueryCancelled("The query was ended in the warehouse.") from exc
        raise


class CursorExecution(Execution):
    """A server-side cursor in a read-only transaction of its own; ``sql`` has ``$1``, ``$2``, …"""

    def __init__(
        self,
        connection: "psycopg.Connection[Any]",
        sql: str,
        params: Params,
        timeout_s: float,
        name: str,
    ) -> None:
        from psycopg import RawServerCursor

        self._connection = connection
        self._cursor = RawServerCursor(connection, "result")
        self._sql = sql
        self._params = params
        self._timeout_s = timeout_s
        self._name = name
        self._cancelled = False
        self._closing = threading.Lock()
        self._closed = False

    def start(self) -> None:
        self._limit_at = time.monotonic() + self._timeout_s
        with told_apart(self._limit_at):
            begin(self._connection, self._timeout_s, self._name)
            self._cursor.execute(self._sql, self._params or None)
        self.schema = text_rows.arrow_schema(self._cursor.description or ())

    def batches(self) -> Iterator[pa.RecordBatch]:
        rest = text_rows.batches(self._cursor, self.schema)
        # Between two fetches the server has nothing to cancel.
        with told_apart(self._limit_at):
            while not self._cancelled and (batch := next(rest, None)) is not None:
                yield batch

    def stats(self) -> RunStats:
        return RunStats(vendor_query_id=str(self._connection.info.backend_pid))

    def cancel(self) -> None:
        self._cancelled = True
        # A request that comes late would end the session's next statement.
        with self._closing:
            if not self._closed:
                cancel(self._connection)

    def close(self) -> None:
        self._refuse_cancels()
        end(self._cursor)

    def _refuse_cancels(self) -> None:
        with self._closing:
            self._closed = True
