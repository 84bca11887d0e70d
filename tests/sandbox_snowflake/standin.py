"""A server process of the tests, and an S3 for its stages."""

import atexit
import io
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector import SnowflakeConnection

from sandbox.files import write_json
from sandbox.services.base import free_port
from tests.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
BUCKET = "stage-of-tests"
PASSWORD, OAUTH_TOKEN, ACCESS_TOKEN = "correct horse", "oauth-token", "access-token"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@dataclass
class Lake:
    """An S3 with one bucket."""

    endpoint: str
    client: Any = field(repr=False)

    def put(self, key: str, **columns: Any) -> None:
        """Write columns as a Parquet object."""
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer)
        self.client.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())

    def put_bytes(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def storage(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key": "any",
            "secret_key": "any",
        }


@dataclass
class StandIn:
    """One server process with its home."""

    home: Path
    key: rsa.RSAPrivateKey
    storage: dict[str, str] | None
    settings: dict[str, Any] = field(default_factory=dict)
    """What the configuration has besides, or instead."""
    more_users: tuple[dict[str, Any], ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    opened: list[SnowflakeConnection] = field(default_factory=list)

    def start(self) -> None:
        self.port = self.port or free_port()
        config = {
            "host": "127.0.0.1",
            "port": self.port,
            "home": str(self.home),
            "account": "SANDBOX",
            "users": [
                {
                    "name": "ETL",
                    "password": PASSWORD,
                    "public_keys": [public_pem(self.key)],
                    "oauth_tokens": [OAUTH_TOKEN],
                    "access_tokens": [ACCESS_TOKEN],
                    "role": "SYSADMIN",
                    "warehouse": "COMPUTE_WH",
                },
                *self.more_users,
            ],
            "roles": {"SYSADMIN": True, "READER": False},
            "warehouses": ["COMPUTE_WH"],
            "storage": self.storage,
            "blocked_idle_s": 1.0,
            "answer_within_s": 1.0,
            **self.settings,
        }
        self.home.mkdir(parents=True, exist_ok=True)
        write_json(self.home / "config.json", config)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.snowflake", str(self.home / "config.json")],
            cwd=CHECKOUT,
            stderr=(self.home / "log").open("ab"),
        )
        assert wait_for(self.healthy, 20), (self.home / "log").read_text()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as found:
                return bool(found.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, number: int = signal.SIGTERM) -> float:
        """End the process and return how many seconds that took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(10)
        return time.monotonic() - begun

    def connect(self, **changes: Any) -> SnowflakeConnection:
        """Sign in as the configured user, or as `changes` say; None leaves a setting out."""
        settings = {
            "account": "sandbox",
            "user": "etl",
            "password": PASSWORD,
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            "warehouse": "COMPUTE_WH",
            "database": "DATAVAULT",
            "schema": "PUBLIC",
            "login_timeout": 5,
            "network_timeout": 10,
            "platform_detection_timeout_seconds": 0,
            **changes,
        }
        connection = snowflake.connector.connect(
            **{name: value for name, value in settings.items() if value is not None}
        )
        self.opened.append(connection)
        return connection

    def end(self) -> None:
        """Sign everybody out and stop; a process that is gone already just loses its clients."""
        assert self.process is not None
        alive = self.process.poll() is None
        for connection in self.opened:
            if alive:
                connection.close()
            # Else the client signs out when the interpreter exits, to a server long gone.
            atexit.unregister(connection._close_at_exit)
        if alive:
            self.stop()

    def log(self) -> str:
        return (self.home / "log").read_text()


def memory_mb(process: int) -> float:
    """Return the most memory a process has had resident, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def own_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}
