"""Up, down and status, as a person at a terminal wants them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from sandbox.errors import SandboxError
from sandbox.files import read_json
from sandbox.lock import RootLock, SandboxRunning
from sandbox.services import available
from sandbox.state import ServiceState, read_states
from sandbox.supervisor import Sandbox

DEFAULT_ROOT = Path(__file__).resolve().parent.parent / ".sandbox"
DEFAULT_SERVICES = ("postgres", "redis", "s3", "snowflake", "bigquery")
_CHECK_S = 1.0
_POLL_S = 0.1
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 60.0

Report = Callable[[str], None]


_LOCK = "supervisor.pid"


class StartFailed(SandboxError):
    """The background supervisor gave up; it has said why."""


class OtherServices(SandboxError):
    """A sandbox runs in this root already, without some of the services asked for."""


class NotASandbox(SandboxError):
    """The folder was never a sandbox's."""


class StopFailed(SandboxError):
    """The supervisor did not stop in time."""


def parse_services(text: str) -> tuple[str, ...]:
    """Read names parted by commas; `all` means every service there is."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return tuple(available()) if names == ("all",) else names


def up(root: Path, services: Sequence[str], report: Report, on_ready: Callable[[], None]) -> None:
    """Run services until SIGINT, SIGTERM or SIGHUP, calling `on_ready` once all are healthy.

    Reports and returns if they run already. Must be called in the main thread.
    """
    with until_interrupted():
        try:
            _run(root, services, report, on_ready)
        except SandboxRunning as running:
            _reuse(running, services, report)


def up_detached(root: Path, services: Sequence[str], report: Report) -> None:
    """Leave a supervisor in the background and return once all services are healthy.

    Raises StartFailed when it could not start them; reports and returns if they run already.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "sandbox", str(root.resolve()), ",".join(services)],
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        # It closes this pipe when all is healthy, or by ending.
        for line in supervisor.stdout or ():
            report(line.rstrip())
    except BaseException:
        supervisor.terminate()
        supervisor.wait(_STOP_TIMEOUT_S)
        raise
    if RootLock(root.resolve()).holder() == supervisor.pid:
        report(f"Supervisor {supervisor.pid} keeps it in the background.")
    elif supervisor.wait(_STOP_TIMEOUT_S) != 0:
        raise StartFailed(f"The sandbox in {root} did not start.")


def down(root: Path, report: Report) -> None:
    """Ask the supervisor of a root to stop and wait for the last process to end."""
    lock = RootLock(root.resolve())
    pid = lock.holder()
    if pid is None and not lock.is_taken():
        report(f"No sandbox runs in {root}.")
        return
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    if not lock.wait_free(_STOP_TIMEOUT_S):
        raise StopFailed(f"The sandbox in {root} still runs after {_STOP_TIMEOUT_S:g} s.")
    report(f"The sandbox in {root} is stopped.")


def empty(root: Path) -> None:
    """Remove what earlier sandboxes have left in a root, and nothing that is not a sandbox's.

    Raises SandboxRunning while one runs there, NotASandbox for a folder that never was one.
    """
    if not root.exists():
        return
    if any(root.iterdir()) and not (root / _LOCK).exists():
        raise NotASandbox(f"{root} holds something else than a sandbox; it is left alone.")
    lock = RootLock(root.resolve())
    lock.take(timeout_s=_START_TIMEOUT_S)
    try:
        for entry in root.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()
    finally:
        lock.release()


def status(root: Path) -> list[ServiceState]:
    """Look at the services of a running sandbox; none when no supervisor is alive."""
    return read_states(root.resolve()) if RootLock(root.resolve()).holder() is not None else []


def _run(root: Path, services: Sequence[str], report: Report, on_ready: Callable[[], None]) -> None:
    """Start services and keep them, reporting those that die, until KeyboardInterrupt."""
    with Sandbox(root, services, report) as box:
        on_ready()
        try:
            _watch(box, report)
        finally:
            report("Stopping.")


def _watch(box: Sandbox, report: Report) -> NoReturn:
    while True:
        time.sleep(_CHECK_S)
        for name, code in box.ended().items():
            log = box.root / "logs" / f"{name}.log"
            report(f"{name:<10}  ended by itself with status {code}, see {log}")


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Let the signals that mean stop unwind the stack, and end it quietly here."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return


def _reuse(running: SandboxRunning, services: Sequence[str], report: Report) -> None:
    endpoints = _await_endpoints(running.root)
    if missing := [name for name in services if name not in endpoints]:
        raise OtherServices(f"{running} It lacks {', '.join(missing)}; stop it first.")
    report(f"{running} Services: {', '.join(endpoints)}.")


def _await_endpoints(root: Path) -> dict[str, object]:
    """Wait while another supervisor is still starting."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and RootLock(root).is_taken():
        if endpoints := read_json(root / "endpoints.json"):
            return endpoints
        time.sleep(_POLL_S)
    raise StartFailed(f"The sandbox that was starting in {root} is gone.")
