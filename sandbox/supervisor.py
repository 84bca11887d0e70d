"""Start a set of services side by side, keep them while wanted, and stop them together."""

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.errors import SandboxError
from sandbox.files import write_json
from sandbox.guarded import Guarded
from sandbox.lock import RootLock
from sandbox.services import load
from sandbox.services.base import Service
from sandbox.state import Entry, address_of, state_path, write_entries

_POLL_S = 0.03
_LOG_LINES = 20


class ServiceFailed(SandboxError):
    """A service did not start; the message names it and ends with the last lines of its log."""

    def __init__(self, service: str, reason: str, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        tail = "".join(f"\n  {line}" for line in lines[-_LOG_LINES:])
        super().__init__(f"{service}: {reason}" + (f"\nLast lines of {log}:{tail}" if tail else ""))
        self.service = service


class _Interrupted(SandboxError):
    """Another service failed, or the user lost patience, while this one was starting."""


class Sandbox:
    """The services of one root; a context manager that starts them and stops them.

    Takes the root for itself (raises SandboxRunning when another supervisor has it), raises
    ServiceFailed when a service cannot start, and then leaves nothing running. While it stands,
    `<root>/endpoints.json` (mode 0600) holds `endpoints`. No service outlives this process, not
    even when it is killed. `report` is called, from several threads but never at once, with a
    line of progress.
    """

    def __init__(
        self,
        root: Path,
        services: Sequence[str],
        report: Callable[[str], None] | None = None,
        *,
        health_timeout_s: float = 60.0,
        grace_s: float = 5.0,
    ) -> None:
        """Remember what to start; nothing is touched before `start`."""
        self.root = root.resolve()
        self.endpoints: dict[str, dict[str, Any]] = {}
        self._names = tuple(dict.fromkeys(services))
        self._report = report or _silent
        self._health_timeout_s = health_timeout_s
        self._grace_s = grace_s
        self._lock = RootLock(self.root)
        self._notes = threading.RLock()
        self._stopping = threading.Event()
        self._entries: dict[str, Entry] = {}
        self._running: dict[str, list[Guarded]] = {}

    @property
    def endpoints_path(self) -> Path:
        return self.root / "endpoints.json"

    def start(self) -> None:
        """Start all services at once and return when every one of them is healthy and seeded."""
        classes = {name: load(name) for name in self._names}
        # Others may pass through, for the service that has to run as somebody else, but not look.
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._lock.take(timeout_s=2 * self._grace_s + 5)
        try:
            self._stopping.clear()
            self.endpoints_path.unlink(missing_ok=True)
            services = [self._plan(found) for found in classes.values()]
            self._start_all(services)
            write_json(self.endpoints_path, self.endpoints)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything and give the root back; on a stopped sandbox this does nothing."""
        if not self._lock.is_held():
            return
        self._stopping.set()
        self.endpoints_path.unlink(missing_ok=True)
        processes = [guarded for several in self._running.values() for guarded in several]
        for guarded in processes:
            guarded.let_go()
        for guarded in processes:
            try:
                guarded.stop()
            except subprocess.TimeoutExpired:
                self._report(f"guardian {guarded.guardian_pid} does not end")
        self._running.clear()
        state_path(self.root).unlink(missing_ok=True)
        self._lock.release()

    def ended(self) -> dict[str, int]:
        """Return the services that died by themselves since the last call, with exit status.

        `manage.py sandbox status` shows them as ended from then on.
        """
        died = {}
        with self._notes:
            for name, several in self._running.items():
                codes = [code for code in map(Guarded.exit_code, several) if code is not None]
                if codes and self._entries[name].stage == "ready":
                    self._entries[name].stage = "ended"
                    died[name] = codes[0]
            if died:
                write_entries(self.root, self._entries)
        return died

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _plan(self, found: type[Service]) -> Service:
        home = self.root / found.name
        home.mkdir(mode=0o700, exist_ok=True)
        log = self._log(found.name)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        service = found(home, self.endpoints)
        try:
            endpoint = self.endpoints[found.name] = service.plan()
        except Exception as error:
            raise self._failure(service, error) from error
        self._note(found.name, Entry("starting", address_of(endpoint)))
        return service

    def _start_all(self, services: Sequence[Service]) -> None:
        with ThreadPoolExecutor(max(1, len(services))) as threads:
            try:
                starts = [threads.submit(self._start_one, service) for service in services]
                done, _ = wait(starts, return_when=FIRST_EXCEPTION)
                for start in done:
                    start.result()
            except BaseException:
                # Before the pool is left, which waits for its threads.
                self._stopping.set()
                raise

    def _start_one(self, service: Service) -> None:
        began = time.monotonic()
        try:
            service.prepare()
            self._launch(service)
            self._await_ready(service)
            service.seed()
        except (_Interrupted, ServiceFailed):
            raise
        except Exception as error:
            raise self._failure(service, error) from error
        entry = self._entries[service.name]
        self._note(service.name, Entry("ready", entry.address, entry.guardians))
        seconds = time.monotonic() - began
        with self._notes:
            self._report(f"{service.name:<10}  ready  {seconds:4.1f} s  {entry.address}")

    def _launch(self, service: Service) -> None:
        self._raise_if_stopping()
        running = self._running.setdefault(service.name, [])
        for process in service.processes():
            guarded = Guarded(
                process,
                service.home,
                self._log(service.name),
                grace_s=self._grace_s,
                keep=[self._lock.descriptor],
                unlink=self.endpoints_path,
            )
            running.append(guarded)
        address = self._entries[service.name].address
        pids = [guarded.guardian_pid for guarded in running]
        self._note(service.name, Entry("starting", address, pids))

    def _await_ready(self, service: Service) -> None:
        deadline = time.monotonic() + self._health_timeout_s
        while not service.ready():
            self._raise_if_stopping()
            for guarded in self._running[service.name]:
                if (code := guarded.exit_code()) is not None:
                    raise self._failure(service, f"ended with status {code} while starting")
            if time.monotonic() > deadline:
                raise self._failure(service, f"not healthy within {self._health_timeout_s:g} s")
            self._stopping.wait(_POLL_S)

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise _Interrupted

    def _failure(self, service: Service, reason: str | Exception) -> ServiceFailed:
        if isinstance(reason, Exception) and not isinstance(reason, SandboxError):
            reason = f"{type(reason).__name__}: {reason}"
        return ServiceFailed(service.name, str(reason), self._log(service.name))

    def _log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def _note(self, name: str, entry: Entry) -> None:
        with self._notes:
            self._entries[name] = entry
            write_entries(self.root, self._entries)


def _silent(line: str) -> None:
    """Report to nobody."""
