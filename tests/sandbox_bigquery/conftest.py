"""A running BigQuery stand-in, and Google's own clients for its two accounts."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
    BigQueryReadGrpcTransport,
)
from google.oauth2.service_account import Credentials

from sandbox.files import write_json
from sandbox.services.base import free_port
from sandbox.services.bigquery import identity, new_private_key, service_account
from sandbox.supervisor import Sandbox
from tests.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = "test-project"

# The clients' own annotations are partial and refuse the documented retry=None.
Client = Any
Job = Any
StorageClient = Any

# Runs for hours unless somebody ends it.
ENDLESS = """
SELECT COUNT(*) AS n
FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS a
CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS b
CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS c
WHERE MOD(a * b + c, 7) = 3
"""


def connect(endpoint: dict[str, Any], account: str) -> Client:
    maker: Any = Credentials
    credentials = maker.from_service_account_info(endpoint[account])
    return bigquery.Client(
        project=endpoint["project"],
        credentials=credentials,
        client_options={"api_endpoint": endpoint["api_endpoint"]},
    )


def rows(client: Client, sql: str, **config: Any) -> list[dict[str, Any]]:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**config))
    return [dict(row) for row in job.result()]


def dry_run(client: Client, sql: str, **config: Any) -> Job:
    return client.query(sql, job_config=bigquery.QueryJobConfig(dry_run=True, **config))


def reason(error: Any) -> str:
    return str(error.errors[0]["reason"])


class Server:
    """A server process started without the supervisor, for what a test wants different."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.port, self.storage_port = free_port(), free_port()
        key = new_private_key()
        token_uri = f"http://127.0.0.1:{self.port}/token"
        account = service_account(f"admin@{PROJECT}.test", key, PROJECT, token_uri)
        self.endpoint = {
            "api_endpoint": f"http://127.0.0.1:{self.port}",
            "storage_endpoint": f"127.0.0.1:{self.storage_port}",
            "project": PROJECT,
            "admin": account,
        }
        self.settings = home / "settings.json"
        (home / "files").mkdir()
        given = {
            "project": PROJECT,
            "port": self.port,
            "storage_port": self.storage_port,
            "folder": str(home / "files"),
            "accounts": [identity(account) | {"can_write": True}],
        }
        write_json(self.settings, given | settings)

    def start(self) -> subprocess.Popen[str]:
        python = os.environ.get("SANDBOX_BIGQUERY_PYTHON") or str(
            CHECKOUT / ".venv-bigquery" / "bin" / "python"
        )
        self.process = subprocess.Popen(
            [python, "-m", "sandbox.bigquery"],
            env=os.environ
            | {"SANDBOX_BIGQUERY_SETTINGS": str(self.settings), "PYTHONPATH": str(CHECKOUT)},
            cwd=self.settings.parent,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def is_ready(self) -> bool:
        try:
            answer = requests.get(f"{self.endpoint['api_endpoint']}/healthz", timeout=1)
        except requests.ConnectionError:
            return False
        return answer.status_code == 200

    def client(self) -> Client:
        return connect(self.endpoint, "admin")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Where a stand-in listens that the supervisor started and seeded."""
    root = tmp_path_factory.mktemp("bigquery")
    with Sandbox(root, ("bigquery",)) as box:
        yield box.endpoints["bigquery"]


@pytest.fixture(scope="session")
def reader(endpoint: dict[str, Any]) -> Iterator[Client]:
    client = connect(endpoint, "service_account")
    yield client
    client.close()


@pytest.fixture(scope="session")
def admin(endpoint: dict[str, Any]) -> Iterator[Client]:
    client = connect(endpoint, "admin_service_account")
    yield client
    client.close()


@pytest.fixture
def dataset(admin: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return an empty dataset of the test's own."""
    name = f"t_{abs(hash(request.node.nodeid))}"
    rows(admin, f"CREATE SCHEMA {name}")
    yield name
    rows(admin, f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def run_server(tmp_path: Path) -> Callable[..., AbstractContextManager[Server]]:
    """Run a server of the test's own; it is ready on entry and gone on exit."""

    @contextmanager
    def run(**settings: Any) -> Iterator[Server]:
        server = Server(tmp_path, **settings)
        process = server.start()
        try:
            assert wait_for(server.is_ready, 10), "the server does not answer"
            yield server
        finally:
            process.kill()
            process.communicate(timeout=5)

    return run


def command_line(pid: int) -> str:
    """Return a process's arguments and environment."""
    folder = Path(f"/proc/{pid}")
    return (folder / "cmdline").read_text() + (folder / "environ").read_text()


@pytest.fixture
def storage(endpoint: dict[str, Any]) -> Iterator[Callable[[], StorageClient]]:
    """Make Storage Read clients; they are closed at the end."""
    clients: list[StorageClient] = []

    def make() -> StorageClient:
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(endpoint["storage_endpoint"], options=options)
        transport = BigQueryReadGrpcTransport(channel=channel)
        client: Any = BigQueryReadClient
        clients.append(client(transport=transport))
        return clients[-1]

    yield make
    for client in clients:
        client.transport.close()
