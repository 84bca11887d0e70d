"""Everything that can go wrong with an outside system, as one tree.

    ConnectorError
    ├── InvalidInput            what the caller sent cannot be used
    │   ├── UnknownProvider
    │   ├── InvalidCredentials  a field is missing, unknown or malformed
    │   ├── CursorUnfit         a table cannot be read by that column
    │   ├── InvalidParameters   bound parameters do not fit the statement
    │   └── SqlRefused          the read-only guard said no
    ├── ConnectError            no usable session could be had
    │   ├── HostRefused         the network policy said no
    │   ├── HostUnknown
    │   ├── HostUnreachable     (retryable)
    │   ├── TlsFailed
    │   ├── CheckTimeout        (retryable)
    │   └── CredentialsRejected
    ├── QueryError              the warehouse answered with an error
    │   ├── SqlInvalid
    │   ├── ObjectNotFound
    │   ├── PermissionDenied
    │   ├── ResourceUnusable    warehouse, role or database missing or suspended
    │   ├── LimitExceeded
    │   ├── QueryTimeout
    │   ├── QueryCancelled
    │   ├── DataError           a value the statement cannot compute
    │   ├── ConnectionLost      (retryable)
    │   ├── SnapshotGone        (retryable)
    │   └── WarehouseBusy       (retryable)
    ├── NotDelivered            (retryable) a message did not reach its receiver
    ├── LoadMismatch            counts of a load do not agree
    ├── LoadSuperseded          a newer worker has loaded this table
    ├── TableTaken              a table of that name is somebody else's
    ├── TooManyDeletes          more rows of the target than allowed are not in the source
    ├── SchemaChanged           the target's columns are not the manifest's
    ├── ChangesLost             the source has not kept what changed since
    ├── QuarantineFull          more values than allowed cannot be carried exactly
    ├── Unsupported             this provider has no such ability
    └── WarehouseError          unmapped: terminal, never retried

The message of an error is ours and safe to show. What the driver said is the
``__cause__``; it goes to the operator's log with secrets masked, never to a caller.
"""

from typing import ClassVar


class ConnectorError(Exception):
    """Base of the tree: a stable ``code``, a sentence, a ``hint``, the ``fields`` at fault."""

    code: ClassVar[str] = "warehouse_error"
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "The warehouse reported an error."
    hint: ClassVar[str] = "Ask the operator: the log has what the warehouse said."

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        self.detail = message or self.message
        self.advice = hint or self.hint
        self.fields = fields or {}
        super().__init__(self.detail)


class InvalidInput(ConnectorError):
    """What the caller sent cannot be used."""

    code = "invalid_input"
    message = "The input cannot be used."
    hint = "Correct the fields named and send it again."


class UnknownProvider(InvalidInput):
    """No connector of that name is installed."""

    code = "unknown_provider"


class InvalidCredentials(InvalidInput):
    """A credential field is missing, unknown or malformed; ``fields`` says which."""

    code = "invalid_credentials"
    message = "The credentials are incomplete or malformed."


class CursorUnfit(InvalidInput):
    """A table cannot be read by the column named."""

    code = "cursor_unfit"
    message = "The table cannot be read by that column."
    hint = "Name a column of type timestamptz, timestamp or date, or choose another mode."


class InvalidParameters(InvalidInput):
    """The bound parameters do not fit the statement."""

    code = "invalid_parameters"
    message = "The parameters do not fit the statement."
    hint = "Give one value for each placeholder."


class SqlRefused(InvalidInput):
    """The read-only guard said no; ``reason`` is stable and says why."""

    code = "sql_refused"
    message = "Only one read-only query is allowed."
    hint = "Send a single SELECT (or WITH … SELECT)."

    def __init__(self, reason: str, message: str | None = None, *, hint: str | None = None) -> None:
        self.reason = reason
        super().__init__(message, hint=hint, fields={"sql": reason})


class ConnectError(ConnectorError):
    """No usable session with the warehouse could be had."""

    code = "connect_failed"
    message = "The warehouse could not be reached."
    hint = "Check host, port and firewall rules."


class HostRefused(ConnectError):
    """The network policy refuses that address."""

    code = "host_refused"
    message = "That address is not allowed."
    hint = "Only public addresses can be reached; the operator can allow a private one."


class HostUnknown(ConnectError):
    """The name does not resolve."""

    code = "host_unknown"
    message = "That host name does not resolve."
    hint = "Check the spelling of the host or account."


class HostUnreachable(ConnectError):
    """Nothing answered at the address in time."""

    code = "host_unreachable"
    retryable = True
    message = "Nothing answered at that address."
    hint = "Check host and port, and that the firewall lets this service in."


class TlsFailed(ConnectError):
    """The encrypted channel could not be set up as asked."""

    code = "tls_failed"
    message = "The encrypted connection could not be set up."
    hint = "Check sslmode and certificates."


class CredentialsRejected(ConnectError):
    """The warehouse refused the sign-in."""

    code = "credentials_rejected"
    message = "The warehouse refused the credentials."
    hint = "Check user and secret; a rotated key must be uploaded again."


class CheckTimeout(ConnectError):
    """A check took too long; the step it names was under way."""

    code = "check_timeout"
    retryable = True
    message = "The check took too long and was ended."
    hint = "Try again; a warehouse that is asleep may need a minute to wake up."


class QueryError(ConnectorError):
    """The warehouse answered a statement with an error."""

    code = "query_failed"
    message = "The warehouse could not run the query."


class SqlInvalid(QueryError):
    """The warehouse cannot understand the statement."""

    code = "sql_invalid"
    message = "The warehouse does not understand the query."
    hint = "Check syntax and column names in the warehouse's own dialect."


class ObjectNotFound(QueryError):
    """A table, schema or column does not exist or is hidden from this role."""

    code = "object_not_found"
    message = "A table or column of the query does not exist, or this role may not see it."
    hint = "List the tables of this connection; check schema and quoting."


class PermissionDenied(QueryError):
    """The role may not do that."""

    code = "permission_denied"
    message = "The warehouse role may not do that."
    hint = "Grant the role read access to the tables named."


class ResourceUnusable(QueryError):
    """The warehouse, role, database or project cannot be used."""

    code = "resource_unusable"
    message = "The warehouse, role or database of this connection cannot be used."
    hint = "Check that it exists, is not suspended, and is granted to the role."


class LimitExceeded(QueryError):
    """The query would pass a limit; nothing was billed beyond it."""

    code = "limit_exceeded"
    message = "The query would pass a limit."
    hint = "Select fewer columns or partitions, or raise the limit."


class QueryTimeout(QueryError):
    """The time limit passed; the query was ended in the warehouse."""

    code = "query_timeout"
    message = "The query passed its time limit and was ended."
    hint = "Narrow the query or raise timeout_s."


class QueryCancelled(QueryError):
    """Somebody cancelled the query."""

    code = "query_cancelled"
    message = "The query was cancelled."
    hint = "Run it again if that was not intended."


class DataError(QueryError):
    """The data do not allow the computation: a cast, a division, an overflow."""

    code = "data_error"
    message = "A value does not allow the computation the query asks for."
    hint = "Look at casts, divisions and very large numbers."


class ConnectionLost(QueryError):
    """The session ended in the middle."""

    code = "connection_lost"
    retryable = True
    message = "The connection to the warehouse was lost."
    hint = "Try again."


class SnapshotGone(QueryError):
    """The snapshot that a table is read in cannot be joined, or not any more."""

    code = "snapshot_gone"
    retryable = True
    message = "The snapshot in which the table was read is gone."
    hint = "Nothing to do: what is missing is read in a new one."


class WarehouseBusy(QueryError):
    """The warehouse has no capacity at the moment."""

    code = "warehouse_busy"
    retryable = True
    message = "The warehouse has no capacity at the moment."
    hint = "Try again later."


class NotDelivered(ConnectorError):
    """A message did not reach its receiver, or was not taken."""

    code = "not_delivered"
    retryable = True
    message = "The receiver did not take the message within the time it has."
    hint = "Check the address, and that a request from outside gets an answer of 2xx."


class LoadMismatch(ConnectorError):
    """A load's counts do not agree with its manifest; nothing was committed."""

    code = "load_mismatch"
    message = "The rows loaded do not equal the rows staged; nothing was committed."
    hint = "Run the pipeline again; if it repeats, compare source and target."


class LoadSuperseded(ConnectorError):
    """A newer worker has loaded this table; nothing was committed."""

    code = "load_superseded"
    message = "A newer run has loaded this table; this load was not committed."
    hint = "Nothing to do: the newer run's rows stand."


class TableTaken(ConnectorError):
    """A table of that name is somebody else's; it was left alone."""

    code = "table_taken"
    message = "There is a table of that name already, which was not made here."
    hint = "Name another table, or rename or drop that one."


class TooManyDeletes(ConnectorError):
    """More rows of the target than allowed are not in the source; nothing was committed."""

    code = "too_many_deletes"
    message = "Too many rows of the target are not in the source any more; nothing was loaded."
    hint = (
        "Look at the source. If it is right, raise the table's delete_limit_percent; 100 allows "
        "all."
    )


class SchemaChanged(ConnectorError):
    """The target's columns are not the manifest's; nothing was loaded."""

    code = "schema_changed"
    message = "The columns of source and target differ; nothing was loaded."
    hint = "Change the target to match, or drop it: the next run then fills it anew."


class ChangesLost(ConnectorError):
    """The source has not kept what changed since the last time."""

    code = "changes_lost"
    message = "The source no longer has what changed since the last run."
    hint = "Read the table in full; it is followed from then on."


class QuarantineFull(ConnectorError):
    """More values of a table than the limit cannot be carried exactly; the reading stopped."""

    code = "quarantine_full"
    message = "Too many values of the table cannot be carried exactly."
    hint = "Correct the values in the source, or raise quarantine_limit: then they become NULL."


class Unsupported(ConnectorError):
    """This provider has no such ability."""

    code = "unsupported"
    message = "This provider cannot do that."
    hint = "See the capabilities of the provider."


class WarehouseError(ConnectorError):
    """What the driver said is not in our tables: terminal, never retried."""
