"""What the supervisor asks of a stand-in: plan, prepare, processes, ready, seed, in that order."""

import secrets
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from sandbox.files import read_json, write_json

LOOPBACK = "127.0.0.1"

# Below Linux's default range for outgoing connections, so that none of those takes a planned port.
_PORTS = range(20000, 32768)
_handed_out: set[int] = set()


@dataclass(frozen=True)
class Process:
    """One OS process of a service.

    It starts in the service's home (in `/` when `user` is set), in a session of its own, with
    a minimal environment: PATH, HOME, LANG, TMPDIR, PYTHONPATH (the checkout, so that
    `python -m sandbox.<something>` works from anywhere) and whatever `env` adds.
    Everything it prints goes to `<root>/logs/<service>.log`. Secrets belong in files, never here
    in `argv`.
    """

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: int = signal.SIGTERM


class Service(ABC):
    """One stand-in. Found by name: `sandbox/services/<name>.py` holds the class with that `name`.

    The supervisor plans all services first, one after another in the order asked for; then, for
    each service in a thread of its own: prepare, start processes, poll `ready`, seed.
    """

    name: ClassVar[str]

    def __init__(self, home: Path, endpoints: dict[str, dict[str, Any]]) -> None:
        """Take this service's own folder and the endpoints that all services share."""
        self.home = home
        self.endpoints = endpoints

    def kept_secret(self, name: str, make: Callable[[], str] = secrets.token_urlsafe) -> str:
        """Return a random secret, URL-safe by default, the same in every run of this root.

        Secrets and ports live in `kept.json` in the service's home, mode 0600.
        """
        return str(self._kept(name) or self._keep(name, make()))

    def kept_port(self, name: str = "port") -> int:
        """Return a free port, the same as in the last run if nobody took it meanwhile."""
        kept = self._kept(name)
        return int(self._keep(name, free_port(kept if isinstance(kept, int) else None)))

    def _kept(self, name: str) -> str | int | None:
        value: str | int | None = read_json(self.home / "kept.json").get(name)
        return value

    def _keep(self, name: str, value: str | int) -> str | int:
        path = self.home / "kept.json"
        write_json(path, read_json(path) | {name: value})
        return value

    @abstractmethod
    def plan(self) -> dict[str, Any]:
        """Choose ports and throw-away secrets and return this service's endpoint.

        Reuses what an earlier run wrote where data on disk depends on it.
        """

    @abstractmethod
    def prepare(self) -> None:
        """Make files on disk; doing it again changes nothing."""

    @abstractmethod
    def processes(self) -> list[Process]:
        """Return what to run, the main process first."""

    @abstractmethod
    def ready(self) -> bool:
        """Probe once, cheaply; false until healthy."""

    @abstractmethod
    def seed(self) -> None:
        """Fill a healthy service: databases, roles, buckets; doing it again changes nothing."""


def free_port(preferred: int | None = None) -> int:
    """Return a free loopback TCP port, `preferred` if it is free; never a random one twice."""
    if preferred is not None and _can_bind(preferred):
        return preferred
    # A random order keeps two sandboxes that start together from racing for the same ports.
    for port in secrets.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise RuntimeError(f"No free port between {_PORTS.start} and {_PORTS.stop} on {LOOPBACK}.")


def accepts_connections(port: int, timeout_s: float = 0.5) -> bool:
    """Tell whether something listens on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
