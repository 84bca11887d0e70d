"""A Postgres and a Redis for this folder, and a DataVault that starts empty in every test."""

import base64
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from sandbox.supervisor import Sandbox
from tests.waiting import wait_for

TOP = Path(__file__).parents[2]
KEY = bytes(range(32))
TOKEN = "token-that-no-log-may-show"
# Channel options: a machine's http_proxy cannot reach our loopback.
NO_PROXY = [("grpc.enable_http_proxy", 0)]


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    root = tmp_path_factory.mktemp("sandbox")
    with Sandbox(root, services=("postgres", "redis")) as sandbox:
        yield sandbox.endpoints


@dataclass
class Vault:
    """One DataVault: where it is, its key and token, and its processes."""

    redis_url: str
    database_url: str
    key: bytes = KEY
    token: str = TOKEN
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(TOP),
            "DATAVAULT_REDIS_URL": self.redis_url,
            "DATAVAULT_DATABASE_URL": self.database_url,
            "DATAVAULT_KEY": base64.b64encode(self.key).decode(),
            "DATAVAULT_TOKEN": self.token,
            "DATAVAULT_GRPC_ADDRESS": "127.0.0.1:0",
        } | changes

    def start(self, module: str, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"sandbox.datavault.{module}", *arguments],
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, module: str, *arguments: str, **changes: str) -> tuple[int, str, str]:
        """Run to the end; return exit code, stdout, stderr."""
        process = self.start(module, *arguments, **changes)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, values).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.database_url) as connection:
            connection.execute(statement)

    def count(self) -> int:
        return int(self.rows("select count(*) from records")[0][0])

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    @contextlib.contextmanager
    def writes_held_up(self) -> Iterator[None]:
        """Make every write to the table wait; reading goes on."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute("lock table records in share mode")
            yield

    def writes_waiting(self) -> bool:
        """Tell whether a write has come as far as to wait for `writes_held_up` to end."""
        return bool(self.rows("select 1 from pg_locks where not granted"))


@pytest.fixture
def vault(endpoints: dict[str, dict[str, Any]]) -> Iterator[Vault]:
    found = Vault(endpoints["redis"]["url"], endpoints["postgres"]["datavault_dsn"])
    found.execute("drop table if exists records")
    found.redis().flushall()
    yield found
    for process in found.processes:
        process.kill()
        process.communicate()


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    return partial(wait_for, seconds=20)
