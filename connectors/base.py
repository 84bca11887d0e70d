"""What every connector does alike: guard, limit, run, map errors, close.

A provider subclasses Connector and fills the hooks; callers use the public verbs only.
"""

import logging
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar, Self

from connectors import network, sql_guard
from connectors.credentials import Credentials
from connectors.errors import ConnectionLost, ConnectorError, QueryTimeout, WarehouseError
from connectors.network import Endpoint, NetworkPolicy
from connectors.result import Execution, Result
from connectors.types import (
    Capabilities,
    CheckReport,
    Estimate,
    JobContext,
    Limits,
    Params,
    Step,
    Table,
)

log = logging.getLogger("connectors")

CONNECT_TIMEOUT_S = 5.0
METADATA_TIMEOUT_S = 60.0
GRACE_S = 3.0
"""How long a server may be late with ending a query by itself."""
CHECK_LIMITS = Limits(timeout_s=5.0, max_rows=1)


class Connector(ABC):
    """One session with one outside system.

    Not for use by two threads at once, but for ``cancel``. Opened by the first verb that
    needs it; a context manager that closes it. Every verb raises ConnectorError only.
    """

    provider: ClassVar[str]
    label: ClassVar[str]
    credentials_model: ClassVar[type[Credentials]]
    capabilities: ClassVar[Capabilities]

    def __init__(
        self,
        credentials: Mapping[str, Any],
        *,
        network: NetworkPolicy | None = None,
        context: JobContext | None = None,
    ) -> None:
        self.credentials = self._form(self.credentials_model.parse(credentials))
        self.network = network or NetworkPolicy()
        self.context = context or JobContext()
        self._running: dict[str, Result] = {}
        self._open = False
        self._given_up = False

    # The public verbs.

    def check(self) -> CheckReport:
        """Resolve, connect, sign in, read: each timed, ending at the first that fails.

        Never raises for a failing step, reads no table, and is bounded by the connect timeout
        of each step.
        """
        steps: list[Step] = []
        for name, action in self._check_steps():
            step = self._step(name, action)
            steps.append(step)
            if not step.ok:
                break
        return CheckReport(tuple(steps))

    def fetch_tables(self, schema: str | None = None) -> list[Table]:
        """Tables and views with their columns, from metadata only; bills nothing."""
        with self._watched(METADATA_TIMEOUT_S), self._session():
            return self._tables(schema)

    def estimate(self, sql: str) -> Estimate:
        """What the query would read and cost, without running it."""
        self._guard(sql)
        with self._watched(METADATA_TIMEOUT_S), self._session():
            return self._estimate(sql)

    def query(
        self, sql: str, params: Params = (), limits: Limits | None = None, run_id: str = ""
    ) -> Result:
        """Run one read-only query; batches stream from the returned Result, to be closed."""
        sql, params = self._bound(sql, params)
        self._guard(sql)
        limits = limits or Limits()
        deadline = time.monotonic() + limits.timeout_s
        with ExitStack() as until_closed:
            until_closed.enter_context(self._watched(limits.timeout_s + GRACE_S))
            with self._session():
                execution = self._execute(sql, params, limits, run_id)
            until_closed.callback(self._running.pop, run_id, None)
            at_end = until_closed.pop_all()
        result = Result(execution, limits, deadline, self._mapped, at_end.close)
        if run_id:
            self._running[run_id] = result
        return result

    def cancel(self, run_id: str) -> bool:
        """End a running query in the warehouse; false when it is not running here."""
        result = self._running.get(run_id)
        if result is None:
            return False
        result.cancel()
        return True

    def close(self) -> None:
        """End the session; harmless when there is none."""
        if self._open:
            self._open = False
            with self._mapped():
                self._close()

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
        """Every host this connection will reach; each is judged before it is reached.

        Raises HostRefused where the host is not one that the provider's service can have.
        """

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
    def _execute(self, sql: str, params: Params, limits: Limits, run_id: str) -> Execution:
        """Start the query with the server's own limits set."""

    @abstractmethod
    def _tables(self, schema: str | None) -> list[Table]:
        """Metadata by set-based reads; never one call a table."""

    @abstractmethod
    def _estimate(self, sql: str) -> Estimate:
        """Ask the planner; unknown is ``None``."""

    @abstractmethod
    def _error(self, exc: Exception) -> ConnectorError | None:
        """Our error for the driver's; ``None`` when it is not in the provider's table."""

    def _said(self, exc: Exception) -> str:
        """What of the driver's text may stand in the operator's log: no statement, no values."""
        return str(exc)

    def _give_up(self) -> None:  # noqa: B027 a client with deadlines of its own needs nothing here
        """Make a blocked call of this session fail; from another thread, after its time."""

    # Shared machinery.

    @contextmanager
    def _watched(self, timeout_s: float) -> Iterator[None]:
        """Bound what is done inside, also where a server stays connected and says nothing."""

        def overdue() -> None:
            if self._open:
                self._given_up = True
                self._give_up()

        timer = threading.Timer(timeout_s, overdue)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _guard(self, sql: str) -> None:
        sql_guard.check(
            sql, self.capabilities.dialect, refused_functions=self.capabilities.refused_functions
        )

    @contextmanager
    def _session(self) -> Iterator[None]:
        with self._mapped():
            if not self._open:
                addresses = [self.network.resolve(endpoint) for endpoint in self._endpoints()]
                self._connect(addresses[0])
                self._open = True
            yield

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
            if self._given_up or isinstance(error, ConnectionLost):
                self._drop()
            raise (error or WarehouseError()) from exc

    def _drop(self) -> None:
        """Forget a session that is broken; the next verb opens another."""
        self._given_up = False
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

    def _check_steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        judged: list[tuple[str, ...]] = []

        def resolve() -> str:
            judged.extend(self.network.resolve(endpoint) for endpoint in self._endpoints())
            return ", ".join(dict.fromkeys(endpoint.host for endpoint in self._endpoints()))

        def connect() -> str:
            for addresses, endpoint in zip(judged, self._endpoints(), strict=True):
                network.open_socket(addresses, endpoint.port, CONNECT_TIMEOUT_S).close()
            return ""

        def sign_in() -> str:
            with self._watched(CHECK_LIMITS.timeout_s), self._session():
                return ""

        def read() -> str:
            with self.query("SELECT 1 AS one", limits=CHECK_LIMITS) as result:
                return f"{sum(batch.num_rows for batch in result)} row"

        return (("resolve", resolve), ("connect", connect), ("sign in", sign_in), ("read", read))

    def _step(self, name: str, action: Callable[[], str]) -> Step:
        started = time.perf_counter()
        try:
            detail, error = action(), None
        except ConnectorError as exc:
            detail, error = exc.detail, exc
        ms = round((time.perf_counter() - started) * 1000, 1)
        if error is None:
            return Step(name, True, ms, detail)
        return Step(name, False, ms, detail, error.code, error.advice)
