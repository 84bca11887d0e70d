"""What every warehouse that speaks Postgres' wire protocol shares: session, types, errors."""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors import errors
from connectors.errors import ConnectorError
from connectors.result import Execution
from connectors.types import Params, RunStats

if TYPE_CHECKING:
    import psycopg
    from psycopg import Column

FIRST_ROWS = 100
BATCH_ROWS = 10_000
BATCH_BYTES = 8 * 2**20
NUMERIC_OID = 1700
JSON_TYPES = {114: "json", 3802: "jsonb"}

ARROW_TYPES: dict[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
"""Types by oid that Arrow holds exactly. Every other type arrives as the server's own text."""

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
        return _connect_error(exc)
    return None


def said(exc: Exception) -> str:
    """The server's primary message: the rest of the driver's text repeats the statement."""
    import psycopg

    primary = exc.diag.message_primary if isinstance(exc, psycopg.Error) else None
    return primary or str(exc)


def _connect_error(exc: "psycopg.OperationalError") -> ConnectorError:
    connection = exc.pgconn
    if connection is None:
        return errors.ConnectionLost()
    if connection.used_password or connection.needs_password:
        return errors.CredentialsRejected("The server refused user, password or database name.")
    if "SSL" in str(exc) or "certificate" in str(exc):
        return errors.TlsFailed()
    return errors.HostUnreachable()


def read_everything_else_as_text(connection: "psycopg.Connection[Any]") -> None:
    """Keep Python's own types out of the way: no float for JSON numbers, no list for arrays."""
    from psycopg.types.string import TextLoader

    adapters = connection.adapters
    for info in adapters.types:
        for oid in (info.oid, info.array_oid):
            if oid and oid not in ARROW_TYPES:
                adapters.register_loader(oid, TextLoader)


def arrow_type(column: "Column") -> pa.DataType:
    """The Arrow type that holds a column exactly; text where there is none."""
    if column.type_code == NUMERIC_OID and column.precision is not None:
        scale = column.scale or 0
        if column.precision <= 38 and 0 <= scale <= column.precision:
            return pa.decimal128(column.precision, scale)
    return ARROW_TYPES.get(column.type_code, pa.string())


def arrow_schema(description: Sequence["Column"]) -> pa.Schema:
    """The Arrow schema of a cursor's description; JSON carries its type's name as ``native``."""
    return pa.schema([_arrow_field(column) for column in description])


def _arrow_field(column: "Column") -> pa.Field:
    native = JSON_TYPES.get(column.type_code)
    metadata = {"native": native} if native else None
    return pa.field(column.name, arrow_type(column), metadata=metadata)


def batches(cursor: "psycopg.ServerCursor[Any]", schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rest of a server-side cursor; holds one batch at a time, of about BATCH_BYTES at most.

    How wide the rows are shows in the first few.
    """
    count = FIRST_ROWS
    while rows := cursor.fetchmany(count):
        batch = record_batch(rows, schema)
        yield batch
        fitting = BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)
        count = max(1, min(BATCH_ROWS, fitting))


def shut(connection: "psycopg.Connection[Any]") -> None:
    """End the socket under a connection whose server says nothing; its reader gets an error."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as handle:
            handle.shutdown(socket.SHUT_RDWR)


def record_batch(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """The rows, of which there is one at least, as Arrow's."""
    columns = zip(*rows, strict=True)
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


PLACEHOLDER = re.compile(r"%%|(?<![\w$])%(?:s|\((?P<name>\w+)\)s)(?![\w$])|%")


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


def end(cursor: "psycopg.ServerCursor[Any]") -> None:
    """Close a server-side cursor with its transaction, if the connection still stands."""
    if not cursor.connection.closed:
        cursor.connection.rollback()
    cursor.close()


class CursorExecution(Execution):
    """A server-side cursor in a read-only transaction of its own; ``sql`` has ``$1``, ``$2``, …"""

    def __init__(self, connection: "psycopg.Connection[Any]", sql: str, params: Params) -> None:
        from psycopg import RawServerCursor

        self._connection = connection
        self._cursor = RawServerCursor(connection, "result")
        self._sql = sql
        self._params = params

    def start(self) -> None:
        self._cursor.execute(self._sql, self._params or None)
        self.schema = arrow_schema(self._cursor.description or ())

    def batches(self) -> Iterator[pa.RecordBatch]:
        return batches(self._cursor, self.schema)

    def stats(self) -> RunStats:
        return RunStats(vendor_query_id=str(self._connection.info.backend_pid))

    def cancel(self) -> None:
        self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        end(self._cursor)
