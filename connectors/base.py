"""What every connector does alike: guard, limit, run, map errors, close.

A provider subclasses Connector and fills the hooks; callers use the public verbs only.
"""

import logging
import socket
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, ClassVar, Protocol, Self

from connectors import about, network, sql_guard
from connectors.check import Action, Check, Finding, Way
from connectors.credentials import Credentials
from connectors.errors import (
    ConnectionLost,
    ConnectorError,
    HostRefused,
    InvalidInput,
    QueryTimeout,
    ResourceUnusable,
    WarehouseError,
)
from connectors.network import Endpoint, NetworkPolicy
from connectors.overdue import when_overdue
from connectors.prices import Prices
from connectors.result import Execution, Result
from connectors.types import (
    MAX_TABLES,
    Capabilities,
    CheckReport,
    Estimate,
    JobContext,
    Limits,
    Params,
    Table,
    TableFilter,
)

log = logging.getLogger("connectors")

METADATA_TIMEOUT_S = 60.0
GRACE_S = 3.0
"""How long a server may be late with ending a query by itself."""
STEP_TIMEOUT_S = 5.0
"""What a step of a check may take, once the session is open."""
WRITES = {
    False: Finding("Refused."),
    None: Finding("Not known: the warehouse does not tell what this role may change."),
    True: Finding(
        "This role may change data, if a statement ever got past our guard.",
        "role_can_write",
        "Give this connection a role that can only read.",
    ),
}


class Cancellable(Protocol):
    """Something that runs and can be ended from another thread."""

    def cancel(self) -> None: ...


class Connector(ABC):
    """One session with one outside system.

    Not for use by two threads at once, but for ``cancel``. Opened by the first verb that
    needs it; a context manager that closes it. Every verb raises ConnectorError only.
    """

    provider: ClassVar[str]
    label: ClassVar[str]
    credentials_model: ClassVar[type[Credentials]]
    capabilities: ClassVar[Capabilities]
    domains: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of the provider's own hosts; others only as the operator lists them."""

    prices_model: ClassVar[type[Prices]] = Prices
    """The list prices that an estimate multiplies with, where a query has a price."""

    placeholder: ClassVar[str] = ""
    """A pattern of what stands for a value in a query, where without one the error is unclear."""

    grants: ClassVar[str] = ""
    """The least rights that all verbs need, as a script to paste into the warehouse."""

    def __init__(
        self,
        credentials: Mapping[str, Any],
        *,
        network: NetworkPolicy | None = None,
        context: JobContext | None = None,
        own_identity: frozenset[str] = frozenset(),
        prices: Mapping[str, Any] | None = None,
    ) -> None:
        self.own_identity = own_identity
        """Where the operator lets this machine's own identity sign in, as ``provider:place``."""
        self.credentials = self._form(self.credentials_model.parse(credentials))
        self.network = network or NetworkPolicy()
        self.context = context or JobContext()
        self.prices = self.prices_model.parse(prices or {})
        self._running: dict[str, Cancellable] = {}
        self._open = False
        self._given_up = False
        self._broken = False
        self._used_at = time.monotonic()

    # The public verbs.

    def check(self, run_id: str = "") -> CheckReport:
        """Whether a query could be run, step by step, in a session of its own.

        Ends at the first step that fails, and within CHECK_TIMEOUT_S whatever happens. Never
        raises for a failing step. Scans no bytes that are billed; a Databricks warehouse that
        sleeps is woken. ``cancel(run_id)`` ends it at once.
        """
        probe = type(self)(
            self.credentials.reveal(),
            network=self.network,
            context=self.context,
            own_identity=self.own_identity,
            prices=self.prices.given(),
        )
        check = Check(probe._check_steps(), probe._mapped, probe._overdue, probe.close)
        with self._cancellable(run_id, check):
            return check.run()

    def fetch_tables(
        self,
        schema: str | None = None,
        *,
        search: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = MAX_TABLES,
    ) -> list[Table]:
        """Tables and views with their columns, from metadata only, by schema and name.

        ``search`` is a part of the table's name, in any case. ``after`` (schema, name) is the
        last table of the page before; a page with fewer than ``limit`` tables is the last.
        Raises InvalidInput for a limit above MAX_TABLES.
        """
        if not 1 <= limit <= MAX_TABLES:
            raise InvalidInput(fields={"limit": f"From 1 to {MAX_TABLES:,}."})
        wanted = TableFilter(schema, search, after, limit)
        with self._watched(METADATA_TIMEOUT_S), self._session():
            return self._tables(wanted)

    def estimate(self, sql: str, params: Params = ()) -> Estimate:
        """What the query would read and cost, without running it."""
        sql, params = self._bound(sql, params)
        self._guard(sql)
        told = about.told(sql, params, self.placeholder)
        with told, self._watched(METADATA_TIMEOUT_S), self._session():
            return self._estimate(sql, params)

    def query(
        self, sql: str, params: Params = (), limits: Limits | None = None, run_id: str = ""
    ) -> Result:
        """Run one read-only query; batches stream from the returned Result, to be closed."""
        sql, params = self._bound(sql, params)
        self._guard(sql)
        limits = limits or Limits()
        deadline = time.monotonic() + limits.timeout_s
        until_closed = ExitStack()
        result = Result(limits, deadline, self._mapped, until_closed.close)
        # Known before it is sent, so that it can be cancelled while the warehouse works.
        until_closed.enter_context(self._cancellable(run_id, result))
        until_closed.enter_context(self._watched(limits.timeout_s + GRACE_S))
        try:
            with about.told(sql, params, self.placeholder), self._session():
                result.start(self._execution(sql, params, limits, run_id))
        except BaseException:
            # What went wrong first is what is told.
            with suppress(ConnectorError):
                result.close()
            raise
        return result

    def cancel(self, run_id: str) -> bool:
        """End a running query or check, in the warehouse too; false when it does not run here."""
        running = self._running.get(run_id)
        if running is None:
            return False
        running.cancel()
        return True

    def close(self) -> None:
        """End the session; harmless when there is none."""
        if self._open:
            self._open = False
            with self._mapped():
                self._close()

    @property
    def is_at_rest(self) -> bool:
        """Its session stands and nothing that was given a run_id goes on in it."""
        return self._open and not self._is_spent and not self._running

    @property
    def _is_spent(self) -> bool:
        return self._given_up or self._broken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # The hooks of a provider.

    def _form(self, credentials: Credentials) -> Any:
        """The credentials as the provider's own type; the hook exists for its annotation."""
        return credentials

    @abstractmethod
    def _endpoints(self) -> tuple[Endpoint, ...]:
        """Every host this connection will reach, the warehouse first."""

    def _judge(self, endpoint: Endpoint) -> None:
        """Raises HostRefused where the host is not one that the provider's service can have.

        Their clients look names up again, so only names that are the provider's own will do.
        """
        own = endpoint.tls and endpoint.host.lower().endswith(self.domains)
        if self.domains and not own and not self.network.allows(endpoint):
            raise HostRefused(f"That host is not one of {self.label}.")

    @abstractmethod
    def _connect(self, addresses: tuple[str, ...]) -> None:
        """Open a read-only session; ``addresses`` are the judged ones of the first endpoint."""

    @abstractmethod
    def _close(self) -> None:
        """End the session."""

    def _bound(self, sql: str, params: Params) -> tuple[str, Params]:
        """The text and values as they will be sent, which is what the guard judges."""
        return sql, params

    @abstractmethod
    def _execution(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        """The query, ready to be started."""

    @abstractmethod
    def _tables(self, wanted: TableFilter) -> list[Table]:
        """Metadata by set-based reads, ordered by schema and name; never one call a table."""

    @abstractmethod
    def _estimate(self, sql: str, params: Params) -> Estimate:
        """Ask the planner; unknown is ``None``."""

    @abstractmethod
    def _error(self, exc: Exception) -> ConnectorError | None:
        """Our error for the driver's; ``None`` when it is not in the provider's table."""

    def _tls(self, connection: socket.socket, endpoint: Endpoint) -> str:
        """Set up an encrypted channel as the session will, and say which; raises TlsFailed."""
        if not endpoint.tls:
            return "Not used: plain text."
        return network.encrypt(connection, endpoint.host)

    def _usable(self) -> str:
        """What this session works with, such as its role; raises ResourceUnusable, bills nothing.

        Everything the credentials name (warehouse, role, database, schema) exists and may be used.
        """
        return ""

    def _may_write(self) -> bool | None:
        """The role could change something, were it not for us; ``None`` where nobody can tell."""
        return None

    def _is_alive(self, idle_s: float) -> bool:
        """The session, unused for so long, has not been ended by the server meanwhile."""
        return True

    def _said(self, exc: Exception) -> str:
        """What of the driver's text may stand in the operator's log: no statement, no values."""
        return str(exc)

    def _give_up(self) -> None:  # noqa: B027 a client that bounds each call needs nothing here
        """Make a blocked call of this session fail; from another thread, after its time."""

    # Shared machinery.

    @contextmanager
    def _cancellable(self, run_id: str, running: Cancellable) -> Iterator[None]:
        """``cancel(run_id)`` reaches it meanwhile."""
        if run_id:
            self._running[run_id] = running
        try:
            yield
        finally:
            self._running.pop(run_id, None)

    def _watched(self, timeout_s: float) -> AbstractContextManager[None]:
        """Bound what is done inside, also where a server stays connected and says nothing.

        Where a provider has no ``_give_up``, its client bounds each of its calls.
        """
        return when_overdue(timeout_s, self._overdue)

    def _overdue(self) -> None:
        if self._open:
            self._given_up = True
            self._give_up()

    def _guard(self, sql: str) -> None:
        sql_guard.check(sql, self.capabilities)

    @contextmanager
    def _session(self) -> Iterator[None]:
        with self._mapped():
            idle_s = time.monotonic() - self._used_at
            if self._open and (self._is_spent or not self._is_alive(idle_s)):
                self._drop()
            if not self._open:
                self._given_up = self._broken = False
                addresses = [self.network.resolve(endpoint) for endpoint in self._reachable()]
                self._connect(addresses[0])
                self._open = True
            self._used_at = time.monotonic()
            yield

    def _reachable(self) -> tuple[Endpoint, ...]:
        """The endpoints, as far as the provider's rules go; asks no name server."""
        endpoints = self._endpoints()
        for endpoint in endpoints:
            self._judge(endpoint)
        return endpoints

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turn a driver's error into ours; its text goes to the log, masked, and no further."""
        try:
            yield
        except ConnectorError:
            raise
        except Exception as exc:
            error = QueryTimeout() if self._given_up else self._error(exc)
            self._log(exc, error)
            # Closed by the next verb: this may be another thread than the session's.
            self._broken = self._broken or isinstance(error, ConnectionLost)
            raise (error or WarehouseError()) from exc

    def _drop(self) -> None:
        """Forget a session that is broken; the next verb opens another."""
        if self._open:
            self._open = False
            # It may be beyond closing, too; what matters is the error that brought us here.
            with suppress(Exception):
                self._close()

    def _log(self, exc: Exception, error: ConnectorError | None) -> None:
        """What the driver said, masked; with where, when nothing in our tables fits it."""
        fields = {
            "provider": self.provider,
            "code": error.code if error else WarehouseError.code,
            "driver_text": self.credentials.mask(f"{type(exc).__name__}: {self._said(exc)}"),
        }
        if error is None:
            fields["frames"] = "".join(traceback.format_tb(exc.__traceback__))
        log.log(logging.INFO if error else logging.ERROR, "warehouse.error", extra=fields)

    def _check_steps(self) -> tuple[tuple[str, Action], ...]:
        way = Way(self._reachable, self.network.judge, self._tls)
        return (
            ("resolve", way.resolve),
            ("network policy", way.allow),
            ("connect", way.connect),
            ("TLS", way.encrypt),
            ("sign in", self._try_signing_in),
            ("usable", lambda: self._try(lambda: Finding(self._usable()))),
            ("read", self._try_reading),
            ("write refused", lambda: self._try(lambda: WRITES[self._may_write()])),
        )

    def _try(self, action: Action) -> Finding:
        with self._watched(STEP_TIMEOUT_S), self._session():
            return action()

    def _try_signing_in(self) -> Finding:
        # Whoever is let in but not to what was asked for has signed in; "usable" says the rest.
        with suppress(ResourceUnusable):
            self._try(Finding)
        return Finding()

    def _try_reading(self) -> Finding:
        with self.query("SELECT 1 AS one", limits=Limits(STEP_TIMEOUT_S, 1)) as result:
            return Finding(f"{sum(batch.num_rows for batch in result)} row")
