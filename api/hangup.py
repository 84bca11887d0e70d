"""Noticing that a client has gone while its answer is still being made.

WSGI has no word for that, so the socket is watched where the server hands it over, as gunicorn
does. Elsewhere a query ends with the first write that fails, or at its time limit.
"""

import select
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from connectors.errors import ConnectorError

log = structlog.get_logger(__name__)

POLL_MS = 500


class HangupWatch:
    """Calls ``hung_up`` from a thread of its own if the client goes before ``close``.

    Once, or again and again while it answers False: what it would end has not begun yet.
    """

    def __init__(self, environ: Mapping[str, Any], hung_up: Callable[[], bool]) -> None:
        self._hung_up = hung_up
        self._over = threading.Event()
        client: socket.socket | None = environ.get("gunicorn.socket")
        if client is not None:
            threading.Thread(target=self._watch, args=[client], daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._over.set()

    def _watch(self, client: socket.socket) -> None:
        poll = select.poll()
        poll.register(client, select.POLLRDHUP)
        while not poll.poll(POLL_MS):
            if self._over.is_set():
                return
        try:
            while not self._over.is_set() and not self._hung_up():
                self._over.wait(POLL_MS / 1000)
        except ConnectorError as exc:
            log.warning("query.not_cancelled", code=exc.code)
