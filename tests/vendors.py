"""The vendors' own clients, bare: signed in with a connection's form and nothing else of ours.

For who owns what the tests read, for what the warehouse itself says about us, and for the floor
of the benchmarks. The ways to sign in: a password, a key file, or an access token.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from cryptography.hazmat.primitives import serialization

Form = Mapping[str, Any]
Execute = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement of whatever kind; returns its rows."""


def sandbox_forms(endpoints: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Working credentials by provider for the stand-ins, as a team would enter them."""
    wanted = {
        "bigquery": "project dataset api_endpoint storage_endpoint",
        "databricks": "host port protocol http_path token catalog schema",
        "postgres": "host port database user password",
        "redshift": "host port database user password",
        "snowflake": "account user password warehouse database schema host port protocol",
    }
    there = {**endpoints, "postgres": endpoints["postgres"]["reader"]}
    forms = {
        provider: {name: there[provider][name] for name in names.split()}
        for provider, names in wanted.items()
        if provider in there
    }
    if "bigquery" in forms:
        forms["bigquery"]["service_account_json"] = endpoints["bigquery"]["service_account"]
    return forms


@contextmanager
def postgres(form: Form, sslmode: str = "prefer", **options: Any) -> Iterator[Any]:
    """A connection that commits each statement by itself, unless told otherwise."""
    with psycopg.connect(
        host=form["host"],
        port=form["port"],
        dbname=form["database"],
        user=form["user"],
        password=form["password"],
        sslmode=form.get("sslmode", sslmode),
        client_encoding="utf8",
        prepare_threshold=None,
        **{"autocommit": True, **options},
    ) as connection:
        yield connection


@contextmanager
def redshift(form: Form, **options: Any) -> Iterator[Any]:
    """The same client, as Redshift wants it."""
    with postgres(form, sslmode="require", **options) as connection:
        yield connection


@contextmanager
def snowflake(form: Form, **options: Any) -> Iterator[Any]:
    """A connection; it asks no cloud's metadata service where it runs."""
    from snowflake import connector

    wanted = "account user warehouse database schema role host port protocol".split()
    with connector.connect(
        **{name: form[name] for name in wanted if name in form},
        **_snowflake_secret(form),
        login_timeout=10,
        platform_detection_timeout_seconds=0,
        **options,
    ) as connection:
        yield connection


def _snowflake_secret(form: Form) -> dict[str, Any]:
    if "private_key" not in form:
        return {"password": form["password"]}
    phrase = form.get("private_key_passphrase")
    key = serialization.load_pem_private_key(
        form["private_key"].encode(), phrase.encode() if phrase else None
    )
    der = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {"authenticator": "SNOWFLAKE_JWT", "private_key": der}


@contextmanager
def bigquery(form: Form) -> Iterator[Any]:
    """A client of one project."""
    from google.cloud import bigquery as vendor
    from google.oauth2.service_account import Credentials

    given = form["service_account_json"]
    info = json.loads(given) if isinstance(given, str) else given
    options = {"api_endpoint": form["api_endpoint"]} if "api_endpoint" in form else None
    client = vendor.Client(
        project=form["project"],
        credentials=Credentials.from_service_account_info(info),
        location=form.get("location"),
        client_options=options,
    )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def databricks(form: Form, **options: Any) -> Iterator[Any]:
    """A connection; it reports to nobody."""
    from databricks import sql

    url = f"{form['host']}:{form['port']}/{form['http_path'].lstrip('/')}" if "port" in form else ""
    plain = {"_connection_uri": f"http://{url}"} if form.get("protocol") == "http" else {}
    with sql.connect(
        form["host"],
        form["http_path"],
        access_token=form["token"],
        catalog=form["catalog"],
        schema=form.get("schema", "default"),
        enable_telemetry=False,
        **plain,
        **options,
    ) as connection:
        yield connection


@contextmanager
def _by_cursor(client: AbstractContextManager[Any]) -> Iterator[Execute]:
    with client as connection, connection.cursor() as cursor:

        def execute(sql: str) -> list[tuple[Any, ...]]:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

        yield execute


@contextmanager
def _by_job(client: AbstractContextManager[Any]) -> Iterator[Execute]:
    with client as opened:
        # By default it would try again for ten minutes.
        once = {"retry": None, "timeout": 60}
        yield lambda sql: [row.values() for row in opened.query(sql, **once).result(**once)]


EXECUTING: dict[str, Callable[[Form], AbstractContextManager[Execute]]] = {
    "bigquery": lambda form: _by_job(bigquery(form)),
    "databricks": lambda form: _by_cursor(databricks(form)),
    "postgres": lambda form: _by_cursor(postgres(form)),
    "redshift": lambda form: _by_cursor(redshift(form)),
    "snowflake": lambda form: _by_cursor(snowflake(form)),
}
"""By provider: a session in which any statement can be run."""
