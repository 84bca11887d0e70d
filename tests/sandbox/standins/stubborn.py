"""A service that ignores SIGTERM, and has a grandchild in a session of its own that does too."""

import sys
from typing import Any, ClassVar

from sandbox.services.base import Process, Service

_CODE = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
open("running-" + str(os.getpid()), "w").close()
time.sleep(600)
"""


class Stubborn(Service):
    name: ClassVar[str] = "stubborn"

    def plan(self) -> dict[str, Any]:
        return {}

    def prepare(self) -> None:
        for leftover in self.home.glob("running-*"):
            leftover.unlink()

    def processes(self) -> list[Process]:
        return [Process([sys.executable, "-c", _CODE])]

    def ready(self) -> bool:
        return len(list(self.home.glob("running-*"))) == 2

    def seed(self) -> None:
        pass
