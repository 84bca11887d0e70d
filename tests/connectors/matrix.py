"""The test matrix: one row a provider, with what its dialect and its stand-in make different."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import bigquery
from google.oauth2 import service_account

ROWS = 25_000
Endpoints = Mapping[str, Any]
Form = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """How to try one provider. ``{schema}`` in a text is the schema of this test run.

    There, a table ``numbers`` holds ROWS rows: ``id`` from 1 on, and a word of 100 characters.
    """

    provider: str
    prepared: Callable[[Endpoints, str], Any]
    """A context in which the schema exists and holds the table."""
    pointed_at: Callable[[Form, str, int], Form]
    """Credentials that lead to another host and port."""
    with_wrong_secret: Callable[[Form], Form]
    table: str
    column_types: tuple[str, str]
    bound: tuple[tuple[str, Any], ...]
    """Statements in each placeholder style, with values that make them yield one row: 7, x'y."""
    endless: str
    nonsense: str
    """Our guard can parse it, the warehouse cannot understand it."""
    schema: Callable[[str], str] = str.lower


@contextmanager
def _postgres(endpoints: Endpoints, schema: str) -> Iterator[None]:
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"], autocommit=True) as owner:
        owner.execute(f"CREATE SCHEMA {schema}")
        owner.execute(
            f"CREATE TABLE {schema}.numbers AS SELECT id, repeat('w', 100) AS word "
            f"FROM generate_series(1, {ROWS}) AS id"
        )
        owner.execute(f"ANALYZE {schema}.numbers")
        yield
        owner.execute(f"DROP SCHEMA {schema} CASCADE")


@contextmanager
def _redshift(endpoints: Endpoints, schema: str) -> Iterator[None]:
    with psycopg.connect(endpoints["redshift"]["owner_dsn"], autocommit=True) as owner:
        owner.execute(f"CREATE SCHEMA {schema}")
        owner.execute(
            f"CREATE TABLE {schema}.numbers AS SELECT id, repeat('w', 100)::varchar(100) AS word "
            f"FROM generate_series(1, {ROWS}) AS id"
        )
        owner.execute(f"ANALYZE {schema}.numbers")
        yield
        owner.execute(f"DROP SCHEMA {schema} CASCADE")


@contextmanager
def snowflake_session(endpoints: Endpoints) -> Iterator[Any]:
    """A cursor of the vendor's own client."""
    there = endpoints["snowflake"]
    wanted = "account user password warehouse database schema host port protocol".split()
    with snowflake.connector.connect(
        **{name: there[name] for name in wanted},
        login_timeout=10,
        network_timeout=30,
        platform_detection_timeout_seconds=0,
    ) as connection:
        yield connection.cursor()


@contextmanager
def _snowflake(endpoints: Endpoints, schema: str) -> Iterator[None]:
    with snowflake_session(endpoints) as cursor:
        cursor.execute(f"CREATE SCHEMA {schema.upper()}")
        cursor.execute(
            f"CREATE TABLE {schema.upper()}.NUMBERS AS SELECT SEQ4() + 1 AS ID, "
            f"REPEAT('w', 100) AS WORD FROM TABLE(GENERATOR(ROWCOUNT => {ROWS}))"
        )
        yield
        cursor.execute(f"DROP SCHEMA {schema.upper()}")


@contextmanager
def _bigquery(endpoints: Endpoints, schema: str) -> Iterator[None]:
    there = endpoints["bigquery"]
    key = service_account.Credentials.from_service_account_info(there["admin_service_account"])
    client = bigquery.Client(
        project=there["project"],
        credentials=key,
        client_options={"api_endpoint": there["api_endpoint"]},
    )
    try:
        client.query(f"CREATE SCHEMA {schema}").result(timeout=20)
        client.query(
            f"CREATE TABLE {schema}.numbers AS SELECT id, REPEAT('w', 100) AS word "
            f"FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS id"
        ).result(timeout=20)
        yield
        client.delete_dataset(schema, delete_contents=True)
    finally:
        client.close()


def _host_at(form: Form, host: str, port: int) -> Form:
    return form | {"host": host, "port": port}


def _with_another_password(form: Form) -> Form:
    return form | {"password": "wrong-canary-4711"}


def _bigquery_at(form: Form, host: str, port: int) -> Form:
    url = f"http://{host}:{port}"
    key = form["service_account_json"] | {"token_uri": f"{url}/token"}
    return form | {
        "api_endpoint": url,
        "storage_endpoint": f"{host}:{port}",
        "service_account_json": key,
    }


def _with_another_key(form: Form) -> Form:
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = form["service_account_json"] | {"private_key": pem.decode()}
    return form | {"service_account_json": json.dumps(key)}


MATRIX = (
    Row(
        provider="postgres",
        prepared=_postgres,
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        table="{schema}.numbers",
        column_types=("integer", "text"),
        bound=(
            ("SELECT %s::int AS n, %s::text AS t", [7, "x'y"]),
            ("SELECT %(n)s::int AS n, %(t)s::text AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT count(*) FROM generate_series(1, 100000000000) AS a",
        nonsense="SELECT 1 AS a FROM pg_class QUALIFY true",
    ),
    Row(
        provider="redshift",
        prepared=_redshift,
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        table="{schema}.numbers",
        column_types=("integer", "character varying(100)"),
        bound=(
            ("SELECT %s::int AS n, %s::varchar AS t", [7, "x'y"]),
            ("SELECT %(n)s::int AS n, %(t)s::varchar AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT count(*) FROM svv_columns a, svv_columns b, svv_columns c",
        nonsense="SELECT 1 AS a FROM pg_class QUALIFY true",
    ),
    Row(
        provider="snowflake",
        prepared=_snowflake,
        pointed_at=_host_at,
        with_wrong_secret=_with_another_password,
        table="{schema}.numbers",
        column_types=("NUMBER", "TEXT"),
        bound=(("SELECT CAST(? AS INT) AS n, CAST(? AS VARCHAR) AS t", [7, "x'y"]),),
        endless="SELECT COUNT(*) FROM TABLE(GENERATOR(ROWCOUNT => 10000000)) a, "
        "TABLE(GENERATOR(ROWCOUNT => 10000000)) b",
        nonsense="SELECT NO_SUCH_FUNCTION(1) AS a",
        schema=str.upper,
    ),
    Row(
        provider="bigquery",
        prepared=_bigquery,
        pointed_at=_bigquery_at,
        with_wrong_secret=_with_another_key,
        table="{schema}.numbers",
        column_types=("INT64", "STRING"),
        bound=(
            ("SELECT ? AS n, ? AS t", [7, "x'y"]),
            ("SELECT @n AS n, @t AS t", {"t": "x'y", "n": 7}),
        ),
        endless="SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS a "
        "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS b "
        "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10000)) AS c WHERE MOD(a * b + c, 7) = 3",
        nonsense="SELECT NO_SUCH_FUNCTION(1) AS a",
    ),
)
