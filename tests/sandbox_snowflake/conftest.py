"""A running Snowflake stand-in, an S3 for its stages, and the vendor's own client for it."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from sandbox.files import write_json
from sandbox.services.base import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
BUCKET = "stage-of-tests"
PASSWORD, OAUTH_TOKEN, ACCESS_TOKEN = "correct horse", "oauth-token", "access-token"

# Runs for hours unless somebody ends it.
ENDLESS = (
    "SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
    "TABLE(GENERATOR(ROWCOUNT => 10000000)) b"
)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until something holds; false when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


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
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

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
                }
            ],
            "roles": {"SYSADMIN": True, "READER": False},
            "warehouses": ["COMPUTE_WH"],
            "storage": self.storage,
            "blocked_idle_s": 1.0,
            "answer_within_s": 1.0,
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
        return snowflake.connector.connect(
            **{name: value for name, value in settings.items() if value is not None}
        )

    def log(self) -> str:
        return (self.home / "log").read_text()


@pytest.fixture(scope="session")
def lake() -> Iterator[Lake]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    client.create_bucket(Bucket=BUCKET)
    yield Lake(endpoint, client)
    server.stop()


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory, lake: Lake) -> Callable[[], Any]:
    """Run a server of one's own, with an empty database DATAVAULT."""

    @contextmanager
    def launched() -> Iterator[StandIn]:
        standin = StandIn(tmp_path_factory.mktemp("snowflake"), new_key(), lake.storage())
        standin.start()
        try:
            with standin.connect(database=None, schema=None) as connection:
                connection.cursor().execute("CREATE DATABASE DATAVAULT")
            yield standin
        finally:
            if standin.process is not None and standin.process.poll() is None:
                standin.stop()

    return launched


@pytest.fixture(scope="session")
def standin(launch: Callable[[], Any]) -> Iterator[StandIn]:
    """The server most tests share; each has a schema of its own in it."""
    with launch() as running:
        yield running
        assert "query.broken" not in running.log(), running.log()


@pytest.fixture(scope="session")
def keeper(standin: StandIn) -> Iterator[SnowflakeCursor]:
    """Makes and drops the tests' schemas."""
    with standin.connect() as connection:
        yield connection.cursor()


@pytest.fixture(scope="session")
def reader(standin: StandIn) -> Iterator[SnowflakeCursor]:
    """For tests that change nothing: one session and schema for all of them."""
    with standin.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE SCHEMA SHARED")
        cursor.execute(f"CREATE STAGE LAKE URL = 's3://{BUCKET}/'")
        cursor.execute("CREATE TABLE T (ID NUMBER NOT NULL, S VARCHAR, D DATE, SMALL NUMBER(3,0))")
        cursor.execute("INSERT INTO T VALUES (1, 'x', '2024-01-01', 1)")
        cursor.execute("CREATE TABLE THREE AS SELECT COLUMN1 AS A FROM VALUES (1), (2), (3)")
        yield cursor


@pytest.fixture
def schema(keeper: SnowflakeCursor) -> Iterator[str]:
    name = f"T_{uuid.uuid4().hex[:12].upper()}"
    keeper.execute(f"CREATE SCHEMA DATAVAULT.{name}")
    keeper.execute(f"CREATE STAGE DATAVAULT.{name}.LAKE URL = 's3://{BUCKET}/'")
    yield name
    keeper.execute(f"DROP SCHEMA IF EXISTS DATAVAULT.{name}")


@pytest.fixture
def connect(standin: StandIn, schema: str) -> Iterator[Callable[..., SnowflakeConnection]]:
    """Sign in to the test's own schema; closed at the end."""
    opened: list[SnowflakeConnection] = []

    def connected(**changes: Any) -> SnowflakeConnection:
        opened.append(standin.connect(**{"schema": schema, **changes}))
        return opened[-1]

    yield connected
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Callable[..., SnowflakeConnection]) -> SnowflakeConnection:
    return connect()


@pytest.fixture
def cursor(connection: SnowflakeConnection) -> SnowflakeCursor:
    return connection.cursor()


def rows(cursor: SnowflakeCursor, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in cursor.execute(sql, *values).fetchall()]


def value(cursor: SnowflakeCursor, sql: str) -> Any:
    ((found,),) = rows(cursor, sql)
    return found


def failure(cursor: SnowflakeCursor, sql: str, **options: Any) -> tuple[int, str, str]:
    """Run a statement that must fail; return its error number, SQL state and message."""
    with pytest.raises(snowflake.connector.errors.Error) as caught:
        cursor.execute(sql, **options)
    error = caught.value
    return error.errno, error.sqlstate, error.raw_msg or str(error)


def names(cursor: SnowflakeCursor) -> list[str]:
    return [column.name for column in cursor.description]


def plan(cursor: SnowflakeCursor, sql: str) -> dict[str, Any]:
    return dict(json.loads(value(cursor, f"EXPLAIN USING JSON {sql}")))


def memory_mb(process: int) -> float:
    """Return the most memory a process has had resident, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def own_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}
