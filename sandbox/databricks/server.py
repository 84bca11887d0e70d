"""HTTP: who may come in, and which path is answered by whom."""

import json
import logging
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from databricks.sql.thrift_api.TCLIService import TCLIService
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TTransport import TMemoryBuffer

from sandbox.databricks.front import Front
from sandbox.databricks.history import History
from sandbox.databricks.settings import LOOPBACK, Settings
from sandbox.databricks.tokens import GrantRefused, Tokens
from sandbox.databricks.upstream import SparkGone, Upstream

log = logging.getLogger(__name__)

TOKEN_PATH = "/oidc/v1/token"  # noqa: S105 - a path, not a secret
HISTORY_PATH = "/api/2.0/sql/history/queries"
HEALTH_PATH = "/healthz"

_LARGEST_REQUEST = 64 << 20
_THRIFT = "application/x-thrift"
_JSON = "application/json"
_UNAVAILABLE = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "Spark does not answer."}
_REASON = "x-databricks-reason-phrase"


class Bridge(ThreadingHTTPServer):
    """The stand-in in this process; every connection has a thread of its own."""

    daemon_threads = True
    # A crowd of tests connects at once.
    request_queue_size = 64

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = Tokens(settings)
        self.upstream = Upstream(settings.spark_port)
        self.front = Front(settings, self.upstream, History())
        self.processor = TCLIService.Processor(self.front)
        super().__init__((LOOPBACK, settings.port), _Handler)


class _Refused(Exception):
    """A request that gets no further; the body is the REST API's error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error_code": code, "message": message}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bridge
    # Headers and body are two writes; the client would wait for the second.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Say nothing of each request."""

    def _answer(self, method: str) -> None:
        try:
            body = self._body()
            self._route(method, urlsplit(self.path).path, body)
        except _Refused as error:
            self._send_json(error.status, error.body, {_REASON: str(error)})
        except GrantRefused as error:
            self._send_json(error.status, error.body)
        except SparkGone:
            self._send_json(503, _UNAVAILABLE, {_REASON: _UNAVAILABLE["message"]})
        except ConnectionError:
            # The client has gone; there is nobody to answer.
            self.close_connection = True

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_REQUEST:
            self.close_connection = True
            raise _Refused(413, "MAX_REQUEST_SIZE_EXCEEDED", "The request is too large.")
        return self.rfile.read(length)

    def _route(self, method: str, path: str, body: bytes) -> None:
        if (method, path) == ("GET", HEALTH_PATH):
            self._health()
        elif (method, path) == ("POST", TOKEN_PATH):
            form = dict(parse_qsl(body.decode(errors="replace")))
            granted = self.server.tokens.exchange(self.headers.get("Authorization"), form)
            self._send_json(200, granted)
        else:
            self._sign_in()
            self._route_known(method, path, body)

    def _route_known(self, method: str, path: str, body: bytes) -> None:
        if (method, path) == ("GET", HISTORY_PATH):
            self._history()
        elif method == "POST" and path == self.server.settings.http_path:
            self._thrift(body)
        elif path.startswith("/sql/"):
            raise _Refused(404, "RESOURCE_DOES_NOT_EXIST", "SQL warehouse does not exist.")
        else:
            raise _Refused(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path}'")

    def _sign_in(self) -> None:
        given = self.headers.get("Authorization")
        if given is None:
            message = "Credential was not sent or was of an unsupported type for this API."
            raise _Refused(401, "401", message)
        if not self.server.tokens.is_good(given):
            raise _Refused(403, "403", "Invalid access token.")

    def _health(self) -> None:
        self.server.upstream.connect().close()
        self._send_json(200, {"status": "ok"})

    def _history(self) -> None:
        entries = self.server.front.statements()
        self._send_json(200, {"res": entries, "has_next_page": False})

    def _thrift(self, body: bytes) -> None:
        answer = TMemoryBuffer()
        incoming = TBinaryProtocolAccelerated(
            TMemoryBuffer(body),
            string_length_limit=_LARGEST_REQUEST,
            container_length_limit=_LARGEST_REQUEST,
        )
        self.server.processor.process(incoming, TBinaryProtocolAccelerated(answer))
        self._send(200, _THRIFT, answer.getvalue(), {})

    def _send_json(
        self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        self._send(status, _JSON, json.dumps(value).encode(), headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    with Bridge(settings) as bridge:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From another thread: the loop cannot wait for its own end.
            signal.signal(number, lambda *_: threading.Thread(target=bridge.shutdown).start())
        bridge.serve_forever(poll_interval=0.1)
