"""If-None-Match as S3 keeps it: of those who would make an object at one instant, one makes it.

Swift looks whether the object is there, and then takes what it is sent: each of several writers
may have looked before any of them has written.
"""

from collections.abc import Callable, Iterable
from typing import Any

from eventlet.semaphore import Semaphore  # type: ignore[import-untyped]

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Conditional:
    """Lets writes that have a condition through one after another; the proxy is one process."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._turn = Semaphore()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "PUT" or "HTTP_IF_NONE_MATCH" not in environ:
            return self._app(environ, start_response)
        with self._turn:
            return self._app(environ, start_response)


def filter_factory(_: Any, **__: Any) -> Callable[[App], Conditional]:
    """What Swift's configuration names."""
    return Conditional
