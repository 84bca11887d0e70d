"""Distinctive secrets, right and wrong ones of every provider, and how to find them anywhere."""

import base64
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg import sql

ROLE = f"canary_{os.getpid()}"


@dataclass(frozen=True)
class Planted:
    """Credentials by name of the connection, and every secret in them."""

    credentials: dict[str, tuple[str, dict[str, Any]]]
    secrets: frozenset[str] = field(repr=False)

    def found_in(self, text: str) -> list[str]:
        """The beginnings of secrets that a text holds, in any of their spellings."""
        return [spelling[:12] for spelling in self._spellings() if spelling in text]

    def _spellings(self) -> Iterator[str]:
        for secret in self.secrets:
            yield secret
            yield quote(secret, safe="")
            yield base64.b64encode(secret.encode()).decode().rstrip("=")[:-2]


def plant(
    working: dict[str, dict[str, Any]], endpoints: dict[str, Any], more: Iterable[str]
) -> Planted:
    """A connection a provider that works, and some with secrets nobody accepts.

    ``more`` are secrets of the service itself.
    """
    reader = working["postgres"]["user"]
    postgres = working["postgres"] | {"user": ROLE, "password": _word()}
    _make_role(endpoints["postgres"]["superuser_dsn"], postgres["password"], like=reader)
    key = working["bigquery"]["service_account_json"]
    wrong_key = key | {"private_key": _pem(), "private_key_id": _word()}
    snowflake = {n: v for n, v in working["snowflake"].items() if n != "password"}
    credentials = {
        "postgres": ("postgres", postgres),
        "postgres, wrong": ("postgres", postgres | {"password": _word()}),
        "snowflake": ("snowflake", working["snowflake"]),
        "snowflake, wrong": ("snowflake", snowflake | {"password": _word()}),
        "snowflake, wrong key": (
            "snowflake",
            snowflake | {"private_key": _pem(), "private_key_passphrase": _word()},
        ),
        "bigquery": ("bigquery", working["bigquery"]),
        "bigquery, wrong": (
            "bigquery",
            working["bigquery"] | {"service_account_json": json.dumps(wrong_key)},
        ),
        "databricks": ("databricks", working["databricks"]),
        "databricks, wrong": ("databricks", working["databricks"] | {"token": _word()}),
    }
    found = {secret for _, values in credentials.values() for secret in _secrets(values)}
    return Planted(credentials, frozenset(found).union(more))


def unplant(endpoints: dict[str, Any]) -> None:
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {ROLE}")


def _word() -> str:
    return f"canary/{secrets.token_hex(12)}"


def _pem() -> str:
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def _make_role(superuser_dsn: str, password: str, *, like: str) -> None:
    statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
    with psycopg.connect(superuser_dsn, autocommit=True) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {ROLE}")
        admin.execute(statement.format(sql.Identifier(ROLE), password, sql.Identifier(like)))


def _secrets(values: dict[str, Any]) -> Iterator[str]:
    for name in ("password", "private_key_passphrase", "token"):
        if name in values:
            yield values[name]
    if "private_key" in values:
        yield from _key_lines(values["private_key"])
    if "service_account_json" in values:
        key = values["service_account_json"]
        key = json.loads(key) if isinstance(key, str) else key
        yield from _key_lines(key["private_key"])
        yield key["private_key_id"]


def _key_lines(pem: str) -> list[str]:
    """The lines of a key, which stand alone wherever its line ends are spelt otherwise."""
    return [line for line in pem.splitlines() if len(line) > 30 and not line.startswith("-")]
