"""Keeps an engine running: starts it, looks after it, starts it anew when it dies."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from warehouse.store.engine import configuration
from warehouse.store.engine.home import LOOPBACK, Endpoint, EngineFailed, Home, write_private
from warehouse.store.ping import answers

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
STEADY_S = 60.0
"""An engine that has run so long was well: the next pause is the first one again."""

_POLL_S = 0.05
_CHECKOUT = Path(__file__).resolve().parents[3]


class Keeper:
    """One engine in ``home``; ``report`` is told a line whenever something happens to it."""

    def __init__(self, home: Path, memory_mb: int, report: Callable[[str], None]) -> None:
        self.home = Home(home)
        self._memory_mb = memory_mb
        self._report = report
        self._ending = threading.Event()
        self._engine: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Return when ``end`` is called; raises EngineFailed if the first start fails.

        Or if another one keeps an engine in this folder.
        """
        with self.home.taken():
            self._keep()

    def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        first = True
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._start()
                first = False
                self._watch()
            except EngineFailed:
                if first:
                    raise
            finally:
                self._stop()
            if self._ending.is_set():
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - began > STEADY_S else pause_s
            self._report(f"engine ended; it is started again in {pause_s:.1f} s")
            self._ending.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def end(self) -> None:
        """Let ``keep`` return; can be called from a signal handler."""
        self._ending.set()

    def _start(self) -> None:
        endpoint = self.home.prepare()
        write_private(
            self.home.run / "config.xml",
            configuration.config(self.home, endpoint, self._memory_mb),
        )
        write_private(self.home.run / "users.xml", configuration.users(endpoint, self._memory_mb))
        self._engine = subprocess.Popen(  # noqa: S603 our own module
            [sys.executable, "-m", "warehouse.store.engine", str(self.home.path)],
            cwd=self.home.tmp,
            stdin=subprocess.DEVNULL,
            env=_environment(self.home),
            start_new_session=True,
        )
        self._await_answer(self._engine, endpoint)
        self._report(f"engine {self._engine.pid} listens at {endpoint.address}")

    def _await_answer(self, engine: subprocess.Popen[bytes], endpoint: Endpoint) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(LOOPBACK, endpoint.port):
            if self._ending.is_set():
                return
            if engine.poll() is not None:
                raise EngineFailed(f"The engine ended with status {engine.returncode}.")
            if time.monotonic() > deadline:
                raise EngineFailed(f"The engine does not answer within {START_TIMEOUT_S:g} s.")
            self._ending.wait(_POLL_S)

    def _watch(self) -> None:
        engine = self._engine
        while engine and engine.poll() is None and not self._ending.wait(_POLL_S):
            pass

    def _stop(self) -> None:
        if self._engine is None:
            return
        self._engine.terminate()
        try:
            self._engine.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._engine.kill()
            self._engine.wait()
        self._engine = None


def _environment(home: Home) -> dict[str, str]:
    """Nothing of ours: a secret that the engine does not have cannot leave it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "HOME": str(home.tmp),
        "TMPDIR": str(home.tmp),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(_CHECKOUT),
    }
