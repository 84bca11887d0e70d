"""Snowflake: our own server around fakesnow, with its files under this service's home."""

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.files import write_json
from sandbox.services.base import LOOPBACK, Process, Service

ACCOUNT = "SANDBOX"
USER = "ETL"
ROLE, READ_ONLY_ROLE = "SYSADMIN", "READER"
WAREHOUSE = "COMPUTE_WH"
DATABASE, SCHEMA, STAGE = "DATAVAULT", "PUBLIC", "ETL_STAGE"
_PROBE_TIMEOUT_S = 0.5
_SEED_TIMEOUT_S = 20


class Snowflake(Service):
    """One account with one user, who may also take on a role that only reads."""

    name: ClassVar[str] = "snowflake"

    def plan(self) -> dict[str, Any]:
        """Keep port, password, key and tokens from run to run."""
        self._port = self.kept_port()
        return {
            "host": LOOPBACK,
            "port": self._port,
            "protocol": "http",
            "account": ACCOUNT,
            "user": USER,
            "password": self.kept_secret("password"),
            "private_key_pem": self.kept_secret("private_key", _new_key),
            "oauth_token": self.kept_secret("oauth_token"),
            "access_token": self.kept_secret("access_token"),
            "warehouse": WAREHOUSE,
            "database": DATABASE,
            "schema": SCHEMA,
            "stage": STAGE,
            "role": ROLE,
            "read_only_role": READ_ONLY_ROLE,
        }

    def prepare(self) -> None:
        """Write the server's configuration."""
        endpoint = self.endpoints[self.name]
        write_json(
            self._config,
            {
                "host": endpoint["host"],
                "port": endpoint["port"],
                "home": str(self.home),
                "account": endpoint["account"],
                "users": [
                    {
                        "name": endpoint["user"],
                        "password": endpoint["password"],
                        "public_keys": [_public_half(endpoint["private_key_pem"])],
                        "oauth_tokens": [endpoint["oauth_token"]],
                        "access_tokens": [endpoint["access_token"]],
                        "role": ROLE,
                        "warehouse": WAREHOUSE,
                    }
                ],
                "roles": {ROLE: True, READ_ONLY_ROLE: False},
                "warehouses": [WAREHOUSE],
                "storage": self._storage(),
            },
        )

    def processes(self) -> list[Process]:
        """Return the server."""
        return [Process([sys.executable, "-m", "sandbox.snowflake", str(self._config)])]

    def ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self._port}/health", timeout=_PROBE_TIMEOUT_S
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def seed(self) -> None:
        """Make the database, its schema and, where there is an S3, the stage on its bucket."""
        endpoint = self.endpoints[self.name]
        with snowflake.connector.connect(
            account=endpoint["account"],
            user=endpoint["user"],
            password=endpoint["password"],
            host=endpoint["host"],
            port=endpoint["port"],
            protocol=endpoint["protocol"],
            login_timeout=_SEED_TIMEOUT_S,
            network_timeout=_SEED_TIMEOUT_S,
            # Else the client asks cloud metadata addresses which cloud it runs in.
            platform_detection_timeout_seconds=0,
        ) as connection:
            for statement in self._seed():
                connection.cursor().execute(statement)

    def _seed(self) -> list[str]:
        statements = [
            f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
            f"CREATE SCHEMA IF NOT EXISTS {DATABASE}.{SCHEMA}",
        ]
        if bucket := self.endpoints.get("s3", {}).get("bucket"):
            stage = f"{DATABASE}.{SCHEMA}.{STAGE}"
            statements.append(f"CREATE OR REPLACE STAGE {stage} URL = 's3://{bucket}/'")
        return statements

    def _storage(self) -> dict[str, str] | None:
        s3 = self.endpoints.get("s3")
        if s3 is None:
            return None
        return {name: s3[name] for name in ("endpoint", "region", "access_key", "secret_key")}

    @property
    def _config(self) -> Path:
        return self.home / "config.json"


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _public_half(private_pem: str) -> str:
    key = serialization.load_pem_private_key(private_pem.encode(), password=None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()
