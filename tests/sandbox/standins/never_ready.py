"""A service that runs but never becomes healthy."""

from typing import Any, ClassVar

from sandbox.services.base import Process, Service


class NeverReady(Service):
    name: ClassVar[str] = "never_ready"

    def plan(self) -> dict[str, Any]:
        return {}

    def prepare(self) -> None:
        pass

    def processes(self) -> list[Process]:
        return [Process(["sleep", "600"])]

    def ready(self) -> bool:
        return False

    def seed(self) -> None:
        pass
