"""A relay before BigQuery's REST interface that counts requests and can hold back an answer."""

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urlsplit

REQUEST = re.compile(rb"^(?:GET|POST|PUT|PATCH|DELETE) \S+", re.MULTILINE)
CHUNK = 64 * 1024
LONGEST_S = 20


class Relay(socketserver.ThreadingTCPServer):
    """Passes on what it gets; ``requests`` has the first line of everything that was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        parts = urlsplit(url)
        self.behind = (parts.hostname, parts.port)
        self.requests: list[str] = []
        self.held: str | None = None
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def holding(self, request: str) -> Iterator[None]:
        """Meanwhile, requests that begin like this arrive, and their answers do not."""
        self.held = request
        self.released.clear()
        try:
            yield
        finally:
            self.held = None
            self.released.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that either side gives up is part of the tests."""


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    is_held = False

    def handle(self) -> None:
        with socket.create_connection(self.server.behind) as behind:
            threading.Thread(target=self._answer, args=(behind,), daemon=True).start()
            while data := self.request.recv(CHUNK):
                for line in REQUEST.findall(data):
                    self.server.requests.append(line.decode())
                    held = self.server.held
                    # A job's cancel begins like its start, and goes on.
                    self.is_held = held is not None and line.decode().partition("?")[0] == held
                behind.sendall(data)

    def _answer(self, behind: socket.socket) -> None:
        with suppress(OSError):
            while data := behind.recv(CHUNK):
                if self.is_held:
                    self.server.released.wait(LONGEST_S)
                self.request.sendall(data)
            # The server ends what is idle, and the client must hear of it.
            self.request.shutdown(socket.SHUT_RDWR)
