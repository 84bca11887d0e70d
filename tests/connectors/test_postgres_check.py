"""What a check of a Postgres connection finds: what it works with, what its role may write."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from connectors import Connector
from connectors.abilities import Extract
from connectors.errors import ResourceUnusable
from connectors.providers.postgres import Postgres
from tests.connectors.helpers import rows_of
from tests.connectors.reading import read_table

PROVIDER = "postgres"

Opened = Callable[..., Connector]
Owner = psycopg.Connection[Any]


@pytest.fixture
def superuser(endpoints: dict[str, Any]) -> Iterator[Owner]:
    """The source database as its superuser."""
    dsn = psycopg.conninfo.make_conninfo(
        endpoints["postgres"]["superuser_dsn"], dbname=endpoints["postgres"]["reader"]["database"]
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(superuser: Owner) -> Iterator[str]:
    """A role that may connect and nothing else; its password is its name."""
    name = f"r_{uuid.uuid4().hex[:12]}"
    superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    superuser.execute(f"GRANT CONNECT ON DATABASE datavault TO {name}")
    yield name
    superuser.execute(f"DROP OWNED BY {name}")
    superuser.execute(f"DROP ROLE {name}")


def steps(connector: Connector) -> dict[str, tuple[str, str]]:
    return {step.name: (step.detail, step.code) for step in connector.check().steps}


# usable


def test_check_says_what_the_session_works_with(connector: Connector) -> None:
    said, code = steps(connector)["usable"]
    assert said.startswith("user etl_reader, database datavault, Postgres 1")
    assert code == ""


@pytest.mark.parametrize("database", ["missing", "service"])
def test_database_that_cannot_be_used_is_named(opened: Opened, database: str) -> None:
    connector = opened("postgres", database=database)
    failure = connector.check().failure
    assert failure is not None
    assert failure.code == "resource_unusable"
    with pytest.raises(ResourceUnusable) as caught:
        connector.query("SELECT 1 AS one")
    assert list(caught.value.fields) == ["database"]
    assert not caught.value.retryable


# write refused


def may_write(opened: Opened, role: str) -> bool:
    code = steps(opened("postgres", user=role, password=role))["write refused"][1]
    return {"": False, "role_can_write": True}[code]


def test_role_that_may_only_read_is_no_warning(opened: Opened, role: str, source: str) -> None:
    assert not may_write(opened, role)
    assert steps(opened("postgres"))["write refused"] == ("Refused.", "")
    del source


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT INSERT ON {source}.t TO {role}",
        "GRANT UPDATE (a) ON {source}.t TO {role}",
        "GRANT DELETE ON {source}.t TO {role}",
        "GRANT TRUNCATE ON {source}.t TO {role}",
        "GRANT INSERT ON {source}.seen TO {role}",
        "GRANT CREATE ON SCHEMA {source} TO {role}",
        "GRANT CREATE ON DATABASE datavault TO {role}",
        "ALTER ROLE {role} CREATEDB",
        "ALTER ROLE {role} CREATEROLE",
        "ALTER ROLE {role} SUPERUSER",
        "GRANT pg_write_all_data TO {role}",
        "GRANT pg_execute_server_program TO {role}",
        "GRANT pg_write_server_files TO {role}",
        "ALTER TABLE {source}.t OWNER TO {role}",
    ],
)
def test_role_that_may_write_anything_is_a_warning(
    opened: Opened, superuser: Owner, role: str, source: str, grant: str
) -> None:
    superuser.execute(f"CREATE TABLE {source}.t (a int)")
    superuser.execute(f"CREATE VIEW {source}.seen AS SELECT a FROM {source}.t")
    assert not may_write(opened, role)
    superuser.execute(grant.format(role=role, source=source).encode())
    assert may_write(opened, role)


def test_check_that_writes_are_refused_leaves_nothing(
    opened: Opened, superuser: Owner, role: str
) -> None:
    superuser.execute(f"ALTER ROLE {role} SUPERUSER")
    tables = "SELECT count(*) FROM pg_class"
    before = superuser.execute(tables).fetchone()
    assert may_write(opened, role)
    assert superuser.execute(tables).fetchone() == before


def test_session_that_could_write_fails_the_check(opened: Opened) -> None:
    connector = opened("postgres")
    connector.query("SELECT 1 AS one").close()
    assert isinstance(connector, Postgres)
    # As if something in between had opened it.
    connector._connection.read_only = False
    connector._connection.execute("SET default_transaction_read_only = off")
    connector._connection.commit()
    with pytest.raises(ResourceUnusable):
        connector._may_write()


# grants


def test_grants_are_all_that_a_role_needs(
    opened: Opened, superuser: Owner, role: str, source: str
) -> None:
    superuser.execute(
        f"CREATE TABLE {source}.t (id int PRIMARY KEY); INSERT INTO {source}.t VALUES (7)"
    )
    script = Postgres.grants.partition("\n")[2]
    assert Postgres.grants.startswith("CREATE ROLE <user> LOGIN PASSWORD '<password>';")
    names = {"user": role, "database": "datavault", "schema": source, "owner": "datavault"}
    for placeholder, name in names.items():
        script = script.replace(f"<{placeholder}>", name)
    superuser.execute(script.encode())
    superuser.execute(
        f"SET ROLE datavault; CREATE TABLE {source}.later AS SELECT 8 AS id; RESET ROLE"
    )
    connector = opened("postgres", user=role, password=role)
    assert steps(connector)["write refused"] == ("Refused.", "")
    assert [table.name for table in connector.fetch_tables(source)] == ["later", "t"]
    assert rows_of(connector, f"SELECT id FROM {source}.later") == [(8,)]
    assert connector.estimate(f"SELECT id FROM {source}.t").rows is not None
    assert isinstance(connector, Extract)
    assert read_table(connector, source, "t")[1] == [(7,)]
