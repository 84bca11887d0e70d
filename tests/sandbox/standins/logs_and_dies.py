"""A service that prints 30 lines and ends before it is healthy."""

import sys
from typing import Any, ClassVar

from sandbox.services.base import Process, Service

_CODE = "import sys; print(*(f'line {n}' for n in range(30)), sep='\\n'); sys.exit(3)"


class LogsAndDies(Service):
    name: ClassVar[str] = "logs_and_dies"

    def plan(self) -> dict[str, Any]:
        return {}

    def prepare(self) -> None:
        pass

    def processes(self) -> list[Process]:
        return [Process([sys.executable, "-c", _CODE])]

    def ready(self) -> bool:
        return False

    def seed(self) -> None:
        pass
