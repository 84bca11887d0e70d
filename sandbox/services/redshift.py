"""Redshift: our face over the sandbox's Postgres, and moto beside it for IAM sign-in."""

import secrets
import string
import sys
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from psycopg import Connection, conninfo, sql

from sandbox.errors import SandboxError
from sandbox.files import write_json
from sandbox.redshift.certificate import make_certificate
from sandbox.redshift.views import make_views
from sandbox.services.base import LOOPBACK, Process, Service, accepts_connections

DATABASE = "redshift"
OWNER, READER, IAM_USER = "awsuser", "redshift_reader", "iam_reader"
CLUSTER, WORKGROUP, REGION = "sandbox-cluster", "sandbox-workgroup", "us-east-1"
COPY_ROLE = "arn:aws:iam::123456789012:role/sandbox-copy"
_SETTINGS_VARIABLE = "SANDBOX_REDSHIFT_SETTINGS"
_PROBE_TIMEOUT_S = 2

# What a cluster does otherwise than Postgres: a backslash escapes, and a double is cut to 15
# digits unless the client asks for all of them.
_DATABASE_SETTINGS = {
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "extra_float_digits": "0",
}
_RIGHTS = (
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "GRANT USAGE ON SCHEMA public TO {readers}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {readers}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {readers}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT ON TABLES TO {readers}",
)
_SALES = """
CREATE TABLE public.sales AS
SELECT i AS sale_id, i % 200 + 1 AS buyer_id, (i % 97 + 1)::smallint AS quantity,
       ((i * 37 % 9000) / 100.0 + 1)::numeric(8, 2) AS price,
       timestamp '2026-01-01' + i * interval '7 minutes' AS sold_at
FROM generate_series(1, 20000) AS i;
ALTER TABLE public.sales ADD PRIMARY KEY (sale_id);
"""


class NoPostgres(SandboxError):
    """Redshift was asked for without the Postgres it is a face of."""


class Redshift(Service):
    """One database with its owner, a reader, and a reader who signs in through IAM only."""

    name: ClassVar[str] = "redshift"

    def plan(self) -> dict[str, Any]:
        """Keep ports, passwords and keys from run to run."""
        self._port = self.kept_port()
        self._aws_port = self.kept_port("aws_port")
        return {
            "host": LOOPBACK,
            "port": self._port,
            "database": DATABASE,
            "user": READER,
            "password": self.kept_secret(READER),
            "sslrootcert": str(self._certificate),
            "owner": OWNER,
            "owner_password": self.kept_secret(OWNER),
            "owner_dsn": self._owner_dsn(),
            "copy_role": COPY_ROLE,
            "iam": {
                "endpoint": f"http://{LOOPBACK}:{self._aws_port}",
                "cluster_identifier": CLUSTER,
                "workgroup": WORKGROUP,
                "region": REGION,
                "access_key_id": self.kept_secret("access_key_id", _new_key_id),
                "secret_access_key": self.kept_secret("secret_access_key"),
                "db_user": IAM_USER,
            },
        }

    def prepare(self) -> None:
        """Make the certificate and write the settings of both processes; raises NoPostgres."""
        if "postgres" not in self.endpoints:
            raise NoPostgres("Redshift stands on the sandbox's Postgres: start that as well.")
        make_certificate(self._certificate, self.home / "server.key")
        iam = dict(self.endpoints[self.name]["iam"])
        del iam["endpoint"]
        settings = {
            "port": self._port,
            "postgres_port": self.endpoints["postgres"]["port"],
            "database": DATABASE,
            "certificate": str(self._certificate),
            "private_key": str(self.home / "server.key"),
            "aws": {"port": self._aws_port, **iam},
            "signing_key": self.kept_secret("signing_key"),
            "passwords": {IAM_USER: self.kept_secret(IAM_USER)},
            "storage": self._storage(),
        }
        write_json(self._settings, settings)

    def processes(self) -> list[Process]:
        """Return the face and the issuer of temporary credentials."""
        env = {_SETTINGS_VARIABLE: str(self._settings)}
        command = [sys.executable, "-m", "sandbox.redshift"]
        return [Process([*command, half], env=env) for half in ("face", "issuer")]

    def ready(self) -> bool:
        """Tell whether both listen, and Postgres behind the face lets the superuser in."""
        if not accepts_connections(self._port) or not accepts_connections(self._aws_port):
            return False
        try:
            psycopg.connect(self._superuser_dsn(), connect_timeout=_PROBE_TIMEOUT_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def seed(self) -> None:
        """Make roles, database, system views and a sample table where they are missing."""
        with psycopg.connect(self._superuser_dsn(), autocommit=True) as connection:
            for role in (OWNER, READER, IAM_USER):
                _make_role(connection, role, self.kept_secret(role))
            _make_database(connection)
        with psycopg.connect(self._superuser_dsn(DATABASE), autocommit=True) as connection:
            make_views(connection, READER)
            _grant(connection)
        with psycopg.connect(self._owner_dsn(), autocommit=True) as connection:
            if not _exists(connection, "SELECT FROM pg_class WHERE relname = %s", "sales"):
                connection.execute(_SALES)
                connection.execute("ANALYZE public.sales")

    def _storage(self) -> dict[str, Any] | None:
        """The bucket that the one role may read, if there is any S3."""
        s3 = self.endpoints.get("s3")
        if s3 is None:
            return None
        names = ("endpoint", "region", "access_key", "secret_key")
        return {**{name: s3[name] for name in names}, "roles": {COPY_ROLE: [s3["bucket"]]}}

    @property
    def _settings(self) -> Path:
        return self.home / "settings.json"

    @property
    def _certificate(self) -> Path:
        return self.home / "server.crt"

    def _superuser_dsn(self, database: str = "postgres") -> str:
        return conninfo.make_conninfo(self.endpoints["postgres"]["superuser_dsn"], dbname=database)

    def _owner_dsn(self) -> str:
        # psycopg does not know the name that a cluster has for its encoding.
        return (
            f"postgresql://{OWNER}:{self.kept_secret(OWNER)}@{LOOPBACK}:{self._port}/{DATABASE}"
            "?sslmode=require&client_encoding=utf8"
        )


def _new_key_id() -> str:
    letters = string.ascii_uppercase + "234567"
    return "AKIA" + "".join(secrets.choice(letters) for _ in range(16))


def _make_role(connection: Connection[Any], role: str, password: str) -> None:
    if _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", role):
        return
    # Hashed here, so that the server's log never holds a password.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(verifier)
        )
    )


def _make_database(connection: Connection[Any]) -> None:
    name = sql.Identifier(DATABASE)
    if not _exists(connection, "SELECT FROM pg_database WHERE datname = %s", DATABASE):
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER))
        )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, _readers()))
    for setting, value in _DATABASE_SETTINGS.items():
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                name, sql.Identifier(setting), sql.Literal(value)
            )
        )


def _grant(connection: Connection[Any]) -> None:
    for statement in _RIGHTS:
        connection.execute(
            sql.SQL(statement).format(owner=sql.Identifier(OWNER), readers=_readers())
        )


def _readers() -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, (READER, IAM_USER)))


def _exists(connection: Connection[Any], query: str, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None
