"""Whether a connection works: steps in order, each timed, all within one bound."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from typing import NamedTuple

from connectors import network
from connectors.errors import CheckTimeout, ConnectorError, QueryCancelled
from connectors.network import Endpoint
from connectors.types import CheckReport, Step

CHECK_TIMEOUT_S = 15.0


class Finding(NamedTuple):
    """What a step that went well found; a ``code`` makes it a warning."""

    detail: str = ""
    code: str = ""
    hint: str = ""


Action = Callable[[], Finding]


class Check:
    """One run of the steps, up to the first that raises; ``mapped`` makes it a ConnectorError.

    They run in a thread of their own, because not every call of every client can be bounded:
    what hangs is told to ``give_up`` and left behind, to end by itself and call ``close``.
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, Action]],
        mapped: Callable[[], AbstractContextManager[None]],
        give_up: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self._plan = steps
        self._mapped = mapped
        self._give_up = give_up
        self._close = close
        self._done: list[Step] = []
        self._over = threading.Event()
        self._cancelled = False

    def run(self) -> CheckReport:
        """The report, within CHECK_TIMEOUT_S; a step under way by then has failed."""
        started = time.perf_counter()
        threading.Thread(target=self._work, daemon=True).start()
        finished = self._over.wait(CHECK_TIMEOUT_S) and not self._cancelled
        self._over.set()
        done = tuple(self._done)
        if finished:
            return CheckReport(done)
        self._give_up()
        ms = _ms_since(started) - sum(step.ms for step in done)
        error = QueryCancelled("The check was cancelled.") if self._cancelled else CheckTimeout()
        name = self._plan[min(len(done), len(self._plan) - 1)][0]
        return CheckReport((*done, _failed(name, ms, error)))

    def cancel(self) -> None:
        """End it, from another thread; its report says so."""
        self._cancelled = True
        self._over.set()

    def _work(self) -> None:
        try:
            for name, action in self._plan:
                step = self._timed(name, action)
                if self._over.is_set():
                    return
                self._done.append(step)
                if not step.ok:
                    return
        finally:
            # The report need not wait for a goodbye that nobody answers.
            self._over.set()
            with suppress(ConnectorError):
                self._close()

    def _timed(self, name: str, action: Action) -> Step:
        started = time.perf_counter()
        try:
            with self._mapped():
                finding = action()
        except ConnectorError as exc:
            return _failed(name, _ms_since(started), exc)
        return Step(name, True, round(_ms_since(started), 1), *finding)


class Way:
    """The way to every endpoint, from its name to an encrypted channel; steps in this order."""

    def __init__(
        self,
        endpoints: Callable[[], tuple[Endpoint, ...]],
        allow: Callable[[Endpoint, tuple[str, ...]], None],
        tls: Callable[[socket.socket, Endpoint], str],
    ) -> None:
        self._endpoints = endpoints
        self._allow = allow
        self._tls = tls
        self._found: dict[Endpoint, tuple[str, ...]] = {}

    def resolve(self) -> Finding:
        self._found = {endpoint: network.look_up(endpoint) for endpoint in self._endpoints()}
        return Finding(", ".join(dict.fromkeys(endpoint.host for endpoint in self._found)))

    def allow(self) -> Finding:
        for endpoint, addresses in self._found.items():
            self._allow(endpoint, addresses)
        return Finding()

    def connect(self) -> Finding:
        for endpoint in self._found:
            self._reach(endpoint).close()
        return Finding()

    def encrypt(self) -> Finding:
        said = []
        for endpoint in self._found:
            with closing(self._reach(endpoint)) as connection:
                said.append(self._tls(connection, endpoint))
        return Finding(" ".join(dict.fromkeys(said)))

    def _reach(self, endpoint: Endpoint) -> socket.socket:
        return network.open_socket(self._found[endpoint], endpoint.port, network.CONNECT_TIMEOUT_S)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _failed(name: str, ms: float, error: ConnectorError) -> Step:
    return Step(name, False, round(ms, 1), error.detail, error.code, error.advice)
