"""`manage.py engine` in a process of its own."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.guarded import Guarded
from sandbox.services.base import Process
from tests.service.running import environment
from tests.waiting import wait_for
from warehouse.store.engine.home import LOOPBACK, Home
from warehouse.store.ping import answers


class Engine:
    """A context manager: the engine answers inside, and nothing of it is left behind."""

    def __init__(self, folder: Path, memory_mb: int = 1024) -> None:
        self.home = Home(folder / "store")
        self.log = folder / "engine.log"
        env = environment(
            DJANGO_SETTINGS_MODULE="service.settings",
            STORE_PATH=str(self.home.path),
            STORE_MEMORY_MB=str(memory_mb),
            # What must not reach the engine.
            CANARY="a-secret-of-the-service",
            PYTHONUNBUFFERED="1",
        )
        self._process = Process([sys.executable, "-m", "django", "engine"], env)
        self._folder = folder

    def __enter__(self) -> Self:
        self._guarded = Guarded(self._process, self._folder, self.log)
        self.await_answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guarded.stop()

    def use(self, settings: Any) -> None:
        """Make it the store of this process."""
        settings.CLICKHOUSE_URL = ""
        settings.STORE_PATH = str(self.home.path)

    def await_answer(self) -> None:
        try:
            wait_for(self._answers, 30)
        except AssertionError:
            raise TimeoutError(self.log.read_text()) from None

    @property
    def pid(self) -> int:
        """Of the engine itself, not of its keeper."""
        return wait_for(lambda: engine_pid(self.home.path), 10)

    def kill(self) -> int:
        """As an out-of-memory killer would; the pid it had."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def _answers(self) -> bool:
        endpoint = self.home.endpoint()
        return endpoint is not None and answers(LOOPBACK, endpoint.port)


def engine_pid(home: Path) -> int:
    """The process that serves a home; 0 while there is none."""
    command = [b"-m", b"warehouse.store.engine", str(home).encode()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cmdline").read_bytes().split(b"\0")[1:4] == command:
                    return int(entry.name)
    return 0


def rss_mb(pid: int | str, what: str = "VmHWM") -> int:
    """Memory of a process: the most it had, or VmRSS, what it has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) // 1024
    raise ValueError(what)


def reset_peak(pid: int | str) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
