"""Who gets in, and with which place, role and warehouse."""

from collections.abc import Callable
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection

from .conftest import failure, value
from .standin import ACCESS_TOKEN, OAUTH_TOKEN, PASSWORD, StandIn, new_key, private_der

Connect = Callable[..., SnowflakeConnection]


def refusal(standin: StandIn, **changes: Any) -> tuple[int, str]:
    with pytest.raises(snowflake.connector.errors.DatabaseError) as caught:
        standin.connect(**changes)
    return caught.value.errno, str(caught.value)


def test_the_right_password_signs_in(standin: StandIn) -> None:
    with standin.connect() as connection:
        assert value(connection.cursor(), "SELECT CURRENT_USER()") == "ETL"


@pytest.mark.parametrize(
    "wrong", [{"password": PASSWORD + "r"}, {"user": "nobody"}, {"account": "elsewhere"}]
)
def test_anything_wrong_gives_the_same_refusal(standin: StandIn, wrong: dict[str, str]) -> None:
    number, sentence = refusal(standin, **wrong)
    assert number == 390100
    assert "Incorrect username or password was specified." in sentence


def test_the_configured_key_signs_in(standin: StandIn) -> None:
    with standin.connect(password=None, private_key=private_der(standin.key)) as connection:
        assert value(connection.cursor(), "SELECT CURRENT_USER()") == "ETL"


def test_another_key_does_not_sign_in(standin: StandIn) -> None:
    number, sentence = refusal(standin, password=None, private_key=private_der(new_key()))
    assert number == 390144
    assert "JWT token is invalid." in sentence


def test_a_key_of_another_user_does_not_sign_in(standin: StandIn) -> None:
    key = private_der(standin.key)
    number, _ = refusal(standin, user="somebody", password=None, private_key=key)
    assert number == 390144


@pytest.mark.parametrize(
    ("authenticator", "token"),
    [("oauth", OAUTH_TOKEN), ("PROGRAMMATIC_ACCESS_TOKEN", ACCESS_TOKEN)],
)
def test_a_configured_token_signs_in(standin: StandIn, authenticator: str, token: str) -> None:
    with standin.connect(password=None, authenticator=authenticator, token=token) as connection:
        assert value(connection.cursor(), "SELECT 1") == 1


@pytest.mark.parametrize(
    ("authenticator", "number"), [("oauth", 390303), ("PROGRAMMATIC_ACCESS_TOKEN", 394400)]
)
def test_an_unknown_token_does_not(standin: StandIn, authenticator: str, number: int) -> None:
    found, _ = refusal(standin, password=None, authenticator=authenticator, token="made-up")
    assert found == number


def test_a_role_that_is_not_granted_keeps_one_out(standin: StandIn) -> None:
    number, sentence = refusal(standin, role="ACCOUNTADMIN")
    assert number == 390189
    assert "Role 'ACCOUNTADMIN'" in sentence


def test_a_reading_role_reads_and_cannot_write(connect: Connect) -> None:
    connect().cursor().execute("CREATE TABLE T AS SELECT 1 AS A")
    cursor = connect(role="READER").cursor()
    assert value(cursor, "SELECT A FROM T") == 1
    for statement in (
        "INSERT INTO T VALUES (2)",
        "DELETE FROM T",
        "DROP TABLE T",
        "CREATE TABLE U (A INT)",
        "COPY INTO T FROM @LAKE",
    ):
        assert failure(cursor, statement)[:2] == (3001, "42501")


def test_an_unknown_warehouse_is_noticed_when_it_is_needed(connect: Connect) -> None:
    connect().cursor().execute("CREATE TABLE T (A INT)")
    connection = connect(warehouse="NOPE")
    cursor = connection.cursor()
    assert connection.warehouse is None
    assert value(cursor, "SELECT CURRENT_WAREHOUSE()") is None
    assert failure(cursor, "SELECT * FROM T")[:2] == (606, "57P03")
    cursor.execute("USE WAREHOUSE COMPUTE_WH")
    assert cursor.execute("SELECT * FROM T").fetchall() == []
    assert failure(cursor, "USE WAREHOUSE NOPE")[:2] == (2043, "02000")


def test_an_unknown_database_is_noticed_when_it_is_needed(standin: StandIn) -> None:
    with standin.connect(database="NOPE") as connection:
        cursor = connection.cursor()
        assert value(cursor, "SELECT CURRENT_DATABASE()") is None
        assert failure(cursor, "SELECT * FROM T")[:2] == (90105, "22000")
        assert failure(cursor, "USE DATABASE NOPE")[:2] == (2043, "02000")


def test_an_unknown_schema_is_noticed_when_it_is_needed(standin: StandIn) -> None:
    with standin.connect(schema="NOPE") as connection:
        cursor = connection.cursor()
        assert connection.database == "DATAVAULT"
        assert value(cursor, "SELECT CURRENT_SCHEMA()") is None
        assert failure(cursor, "SELECT * FROM T")[:2] == (90106, "22000")


def test_a_setting_that_cannot_be_obeyed_keeps_one_out(standin: StandIn) -> None:
    number, sentence = refusal(standin, session_parameters={"TIMEZONE": "America/New_York"})
    assert number == 2
    assert "TIMEZONE" in sentence


def test_the_session_says_who_and_where_it_is(connection: SnowflakeConnection, schema: str) -> None:
    found = connection.cursor().execute(
        "SELECT CURRENT_VERSION(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), "
        "CURRENT_SCHEMA(), CURRENT_ACCOUNT()"
    )
    assert found.fetchall() == [
        ("10.0.0", "SYSADMIN", "COMPUTE_WH", "DATAVAULT", schema, "SANDBOX")
    ]


def test_after_signing_out_the_session_is_gone(standin: StandIn) -> None:
    connection = standin.connect()
    token = connection.rest.token
    connection.close()
    with standin.connect() as other:
        other.rest.update_tokens(token, other.rest.master_token)
        assert failure(other.cursor(), "SELECT 1")[0] == 390111
