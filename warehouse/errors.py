"""What can go wrong with a team's own things; grown on the tree in connectors/errors.py."""

from connectors.errors import (
    ConnectError,
    ConnectionLost,
    ConnectorError,
    InvalidInput,
    LimitExceeded,
)


class NameTaken(InvalidInput):
    """The team has a connection or pipeline of that name."""

    code = "name_taken"
    message = "The team already has one of that name."
    hint = "Choose another name."


class ConnectionPaused(InvalidInput):
    """The connection is switched off."""

    code = "connection_paused"
    message = "This connection is paused."
    hint = "Resume it (is_active: true) and try again."


class ConnectionInUse(InvalidInput):
    """Something still needs the connection."""

    code = "connection_in_use"
    message = "A pipeline uses this connection, or a view that is kept there."
    hint = "Delete the pipeline or the view first, or pause the connection."


class TableMapped(InvalidInput):
    """The table is the host project's own, and is only read here."""

    code = "table_mapped"
    message = "This table belongs to the host project."
    hint = "Write into the host's own table; the operator has mapped it by a setting."


class LegTooLarge(LimitExceeded):
    """One connection's part of a query over several has more rows than may be brought together."""

    code = "leg_too_large"
    message = "One connection's part of the query is too large to be brought together."
    hint = "Ask that connection for fewer rows or columns, or have the table synced."


class QueryAbandoned(ConnectorError):
    """Whoever ran the query is gone."""

    code = "query_abandoned"
    retryable = True
    message = "The process that ran the query is gone."
    hint = "Run it again."


class QueueUnavailable(ConnectorError):
    """A query that a worker was to run has not been run."""

    code = "queue_unavailable"
    retryable = True
    message = "The workers' queue does not answer."
    hint = "Try again, or without wait_s: then no worker is needed."


class ServiceFailed(ConnectorError):
    """Nobody foresaw it; the log has it."""

    code = "internal_error"
    message = "The service failed."
    hint = "Ask the operator: it is logged."


class QueryRunning(InvalidInput):
    """There are no rows yet."""

    code = "query_running"
    retryable = True
    message = "The query still runs."
    hint = "Look at the run again, and ask for its rows when it has succeeded."


class ResultGone(InvalidInput):
    """The rows are not kept, or not any more."""

    code = "result_gone"
    message = "The rows of this query are not kept."
    hint = "Run it again, with wait_s if its rows are to be kept for a while."


class ViewTooLarge(LimitExceeded):
    """A view's answer has more rows than may be kept."""

    code = "view_too_large"
    message = "The view's answer is too large to be kept."
    hint = "Have the view answer fewer rows or columns, or leave it unmaterialized."


class NotMaterialized(InvalidInput):
    """The store keeps nothing of the view."""

    code = "not_materialized"
    message = "This view is not materialized: it is computed whenever it is read."
    hint = "Set is_materialized: true first."


class TargetUnfit(InvalidInput):
    """A view's rows cannot be kept in the warehouse that it names."""

    code = "target_unfit"
    message = "The view cannot be kept in that warehouse."
    hint = "Leave target empty: then its rows are kept in the store."


class ViewInUse(InvalidInput):
    """Other views read it."""

    code = "view_in_use"
    message = "Other views read this one."
    hint = "Change or delete those first."


class ViewReplaced(ConnectorError):
    """A view was changed while it was refreshed: its new rows are not what it asks for now."""

    code = "view_replaced"
    retryable = True
    message = "The view was changed while it was refreshed."
    hint = "Nothing to do: it is tried again."


class CredentialsUnreadable(ConnectorError):
    """The stored credentials cannot be decrypted with the keys this service has."""

    code = "credentials_unreadable"
    message = "The stored credentials cannot be read with the keys this service has."
    hint = "Ask the operator to check WAREHOUSE_KEYS, or enter the credentials again."


class KeysUnavailable(ConnectorError):
    """The service that wraps data keys does not answer, or refuses; nothing was read or stored."""

    code = "keys_unavailable"
    retryable = True
    message = "The key service could not be used."
    hint = "Try again; if it repeats, ask the operator to check WAREHOUSE_KMS_KEY_ID."


class KeyRingInvalid(Exception):
    """The key ring cannot be used; the message says why and never holds key material."""


class StoreNotConfigured(ConnectorError):
    """The operator has set up no store."""

    code = "store_not_configured"
    message = "This service has no store."
    hint = "Ask the operator to set CLICKHOUSE_URL, or STORE_PATH and to run manage.py engine."


class StoreUnavailable(ConnectError):
    """Nothing answers where the store should be; an engine that has died is back in seconds."""

    code = "store_unavailable"
    retryable = True
    message = "The store does not answer at the moment."
    hint = "Try again in a few seconds."


class StoreLost(ConnectionLost):
    """The store went away before it had answered; what was written may or may not be there."""

    code = "store_lost"
    message = "The store went away before it had answered."
    hint = "Try again in a few seconds."
