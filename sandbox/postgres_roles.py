"""Who may do what in the sandbox's Postgres."""

from collections.abc import Mapping

import psycopg
from psycopg import Connection, conninfo, sql

SERVICE = "service"
DATAVAULT = "datavault"
READER = "etl_reader"

# Django makes its test database with the service's own role.
_OPTIONS = {SERVICE: "login createdb", DATAVAULT: "login", READER: "login"}
_READER_RIGHTS = (
    # A session may turn this off again; what holds is that it gets no right but to read.
    "alter role {reader} set default_transaction_read_only = on",
    # To see when the oldest open transaction of anybody began.
    "grant pg_read_all_stats to {reader}",
    "grant connect on database {database} to {reader}",
    "revoke create on schema public from public",
    "grant usage on schema public to {reader}",
    "grant select on all tables in schema public to {reader}",
    "alter default privileges for role {owner} grant usage on schemas to {reader}",
    "alter default privileges for role {owner} grant select on tables to {reader}",
)


def seed_roles(superuser_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make the databases and roles that are missing and grant their rights again."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        for role, password in passwords.items():
            _create_role(connection, role, password)
        for owner in (SERVICE, DATAVAULT):
            _create_database(connection, owner)
    with psycopg.connect(conninfo.make_conninfo(superuser_dsn, dbname=DATAVAULT)) as connection:
        for statement in _READER_RIGHTS:
            connection.execute(
                sql.SQL(statement).format(
                    reader=sql.Identifier(READER),
                    owner=sql.Identifier(DATAVAULT),
                    database=sql.Identifier(DATAVAULT),
                )
            )


def _create_role(connection: Connection[tuple[object, ...]], role: str, password: str) -> None:
    if _exists(connection, "select from pg_roles where rolname = %s", role):
        return
    # Hashed here, so that the server's log never holds a password, not even of a statement that
    # fails.
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("create role {} {} password {}").format(
            sql.Identifier(role), sql.SQL(_OPTIONS[role]), sql.Literal(verifier)
        )
    )


def _create_database(connection: Connection[tuple[object, ...]], owner: str) -> None:
    name = sql.Identifier(owner)
    if not _exists(connection, "select from pg_database where datname = %s", owner):
        connection.execute(sql.SQL("create database {} owner {}").format(name, name))
    connection.execute(sql.SQL("revoke all on database {} from public").format(name))


def _exists(connection: Connection[tuple[object, ...]], query: str, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None
