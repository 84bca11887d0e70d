"""Receivers of alerts on this machine: a web server that answers as it is told, and a mail sink."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass
class Receiver:
    """Where it listens, and what came: path, headers by lower-case name, body."""

    url: str = ""
    status: int = 204
    location: str = ""
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """A web server on a free port of this machine; with a certificate and its key, over TLS."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.came.append((self.path, headers, body))
            self.send_response(told.status)
            if told.location:
                self.send_header("Location", told.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    told.url = f"{scheme}://{LOOPBACK}:{server.server_address[1]}/hook?team=a"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does what it is told with each connection; its address."""
    listener = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    answer(connection)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}/"
    finally:
        # Closing alone would leave the thread in accept.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip(connection: socket.socket) -> None:
    """A header that never ends, a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def flood(connection: socket.socket) -> None:
    """Headers without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    headers = (b"X-Large: " + b"x" * 60_000 + b"\r\n") * 16
    while True:
        connection.sendall(headers)
        time.sleep(0.02)  # A thread that only sends hardly lets that of the reader run.


def large_body(connection: socket.socket) -> None:
    """An answer whose body has a terabyte."""
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65_536)


def say_nothing(connection: socket.socket) -> None:
    time.sleep(30)


def speak_another_language(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.com ESMTP ready\r\n")
    time.sleep(1)


@contextmanager
def mail_sink() -> Iterator[tuple[int, list[Any]]]:
    """An SMTP server; its port, and the messages that came."""
    from email import message_from_bytes
    from email.policy import default

    from aiosmtpd.controller import Controller

    came: list[Any] = []

    class Sink:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            came.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
            return "250 OK"

    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Sink(), hostname=LOOPBACK, port=port)
    controller.start()
    try:
        yield port, came
    finally:
        controller.stop()
