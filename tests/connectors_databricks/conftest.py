"""The connector against a running stand-in, and the stand-in's own view of what it does."""

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connectors import Connector, JobContext, NetworkPolicy, connect
from connectors.databricks.auth import TOKEN_PATH
from sandbox.services.databricks import client_for
from tests.databricks_standin import StandIn, running

Open = Callable[..., Connector]

LOCAL = NetworkPolicy.allowing(["127.0.0.0/8"])


@pytest.fixture(scope="session")
def standin() -> Iterator[StandIn]:
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def by_token(standin: StandIn) -> dict[str, Any]:
    """Working credentials, as a team would enter them."""
    wanted = "host port protocol http_path token catalog schema".split()
    return {name: standin.endpoint[name] for name in wanted}


@pytest.fixture(scope="session")
def by_oauth(standin: StandIn, by_token: dict[str, Any]) -> dict[str, Any]:
    """A service principal's."""
    form = {name: value for name, value in by_token.items() if name != "token"}
    return form | standin.endpoint["oauth"]


@pytest.fixture
def open_one(by_token: dict[str, Any]) -> Iterator[Open]:
    """Make connectors; they are closed at the end."""
    made: list[Connector] = []

    def make(
        credentials: dict[str, Any] | None = None, *, network: NetworkPolicy = LOCAL, **changes: Any
    ) -> Connector:
        given = (credentials or by_token) | changes
        context = JobContext(team="acme", run="r-0")
        made.append(connect("databricks", given, network=network, context=context))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture(scope="session")
def shared(by_token: dict[str, Any]) -> Iterator[Connector]:
    """A session that many tests use one after another: none of them may spoil it."""
    with connect("databricks", by_token, network=LOCAL) as connector:
        yield connector


@pytest.fixture(scope="session")
def owner(standin: StandIn) -> Iterator[Any]:
    """A cursor of the vendor's client, which may write."""
    with client_for(standin.endpoint) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def new_schema(owner: Any) -> Iterator[str]:
    """The name of a schema that a test may make; dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    yield name
    owner.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture(scope="module")
def schema(owner: Any) -> Iterator[str]:
    """An empty schema of the module's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    owner.execute(f"CREATE SCHEMA {name}")
    yield name
    owner.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def closed_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Answers(ThreadingHTTPServer):
    """A server that answers every POST alike, and counts them; it may grant tokens as well."""

    daemon_threads = True

    def __init__(self, status: int, headers: dict[str, str], grants_tokens: bool) -> None:
        self.status, self.headers, self.requests = status, headers, 0
        self.grants_tokens = grants_tokens
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        self.server.requests += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        grants = self.server.grants_tokens and self.path == TOKEN_PATH
        body = json.dumps({"access_token": "granted", "expires_in": 3600}) if grants else ""
        self.send_response(200 if grants else self.server.status)
        for name, value in {"Content-Length": str(len(body)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[Callable[..., Answers]]:
    """Start servers that answer with a status and headers."""
    started: list[Answers] = []

    def start(status: int, *, grants_tokens: bool = False, **headers: str) -> Answers:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        started.append(Answers(status, named, grants_tokens))
        threading.Thread(target=started[-1].serve_forever, args=(0.05,)).start()
        return started[-1]

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
