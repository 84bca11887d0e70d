"""A running stand-in, and face processes of a test's own that may be killed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config

from sandbox.files import read_json, write_json
from sandbox.services.base import accepts_connections, free_port
from sandbox.supervisor import Sandbox

CHECKOUT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until something holds; false when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Face:
    """A face process over the same Postgres, started without the supervisor."""

    def __init__(self, folder: Path, endpoint: dict[str, Any], **changes: Any) -> None:
        self.endpoint = endpoint | {"port": free_port()}
        home = Path(endpoint["sslrootcert"]).parent
        settings = read_json(home / "settings.json") | {"port": self.endpoint["port"]} | changes
        write_json(folder / "settings.json", settings)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.redshift", "face"],
            env=os.environ
            | {
                "SANDBOX_REDSHIFT_SETTINGS": str(folder / "settings.json"),
                "PYTHONPATH": str(CHECKOUT),
            },
            cwd=folder,
        )

    def peak_mb(self) -> float:
        """The most memory it has held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@pytest.fixture(scope="session")
def endpoints() -> Iterator[dict[str, Any]]:
    """Where Postgres and Redshift listen: the tests' sandbox if it has them, else one more."""
    shared = read_json(Path(os.environ.get("SANDBOX_HOME", "")) / "endpoints.json")
    if "redshift" in shared:
        yield shared
        return
    folder = Path(tempfile.mkdtemp(prefix="test-redshift-"))
    folder.chmod(0o711)
    with Sandbox(folder / "box", ("postgres", "redshift")) as box:
        yield json.loads(box.endpoints_path.read_text())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def endpoint(endpoints: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = endpoints["redshift"]
    return found


@pytest.fixture
def run_face(
    tmp_path: Path, endpoint: dict[str, Any]
) -> Callable[..., AbstractContextManager[Face]]:
    """Run a face of the test's own; it listens on entry and is gone on exit."""

    @contextmanager
    def run(**changes: Any) -> Iterator[Face]:
        face = Face(tmp_path, endpoint, **changes)
        try:
            assert wait_for(lambda: accepts_connections(face.endpoint["port"]), 10)
            yield face
        finally:
            face.process.kill()
            face.process.wait(5)

    return run


@pytest.fixture(scope="session")
def watcher(endpoints: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """Postgres itself, as its superuser, to see what the server does."""
    dsn = endpoints["postgres"]["superuser_dsn"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner(endpoint: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """The database's owner, signed in at the face."""
    with psycopg.connect(endpoint["owner_dsn"], autocommit=True) as connection:
        yield connection


def sign_in(endpoint: dict[str, Any], **changes: Any) -> psycopg.Connection[Any]:
    """Sign in at the face, as the reader unless told otherwise."""
    given = {
        "host": endpoint["host"],
        "port": endpoint["port"],
        "dbname": endpoint["database"],
        "user": endpoint["user"],
        "password": endpoint["password"],
        "sslmode": "require",
        "client_encoding": "utf8",
    }
    return psycopg.connect(**given | changes)


def aws_client(endpoint: dict[str, Any], service: str, **changes: Any) -> Any:
    """AWS's own client, signed in with the endpoint's key unless told otherwise."""
    iam = endpoint["iam"]
    given = {
        "endpoint_url": iam["endpoint"],
        "region_name": iam["region"],
        "aws_access_key_id": iam["access_key_id"],
        "aws_secret_access_key": iam["secret_access_key"],
        "config": Config(retries={"total_max_attempts": 1}),
    }
    return boto3.client(service, **given | changes)
