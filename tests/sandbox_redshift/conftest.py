"""A running stand-in, and face processes of a test's own that may be killed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config

from tests.redshift_standin import Face, running

RunFace = Callable[..., AbstractContextManager[Face]]


@pytest.fixture(scope="session")
def endpoint(endpoints: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = endpoints["redshift"]
    return found


@pytest.fixture
def run_face(tmp_path: Path, endpoint: dict[str, Any]) -> RunFace:
    return partial(running, tmp_path, endpoint)


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
