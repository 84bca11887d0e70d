"""A running Snowflake stand-in, an S3 for its stages, and the vendor's own client for it."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
import snowflake.connector
from moto.server import ThreadedMotoServer
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from .standin import BUCKET, Lake, StandIn, new_key

# Runs for hours unless somebody ends it.
ENDLESS = (
    "SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
    "TABLE(GENERATOR(ROWCOUNT => 10000000)) b"
)


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
            standin.end()

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
