"""What belongs together happens together, and locks keep sessions apart."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, rows, value
from .standin import PASSWORD, StandIn, own_environment

Connect = Callable[..., SnowflakeConnection]

MERGE = (
    "MERGE INTO T USING (SELECT {0} AS ID, '{1}' AS S) s ON T.ID = s.ID "
    "WHEN MATCHED THEN UPDATE SET S = s.S WHEN NOT MATCHED THEN INSERT (ID, S) VALUES (s.ID, s.S)"
)
# A client that dies in the middle of a transaction, as by kill -9.
DYING_CLIENT = """
import os, sys, snowflake.connector
port, schema, password = int(sys.argv[1]), sys.argv[2], sys.stdin.read()
connection = snowflake.connector.connect(
    account="sandbox", user="etl", password=password, host="127.0.0.1", port=port,
    protocol="http", warehouse="COMPUTE_WH", database="DATAVAULT", schema=schema,
    platform_detection_timeout_seconds=0)
cursor = connection.cursor()
cursor.execute("BEGIN")
cursor.execute(\"\"\"{merge}\"\"\")
cursor.execute("INSERT INTO LEDGER VALUES ('run 1')")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def tables(cursor: SnowflakeCursor) -> SnowflakeCursor:
    cursor.execute("CREATE TABLE T (ID NUMBER PRIMARY KEY, S VARCHAR)")
    cursor.execute("CREATE TABLE LEDGER (RUN VARCHAR)")
    cursor.execute("INSERT INTO T VALUES (1, 'first')")
    return cursor


def state(cursor: SnowflakeCursor) -> tuple[list[tuple[object, ...]], int]:
    return (
        rows(cursor, "SELECT ID, S FROM T ORDER BY ID"),
        value(cursor, "SELECT COUNT(*) FROM LEDGER"),
    )


def test_merge_and_ledger_are_committed_together(tables: SnowflakeCursor, connect: Connect) -> None:
    other = connect().cursor()
    tables.execute("BEGIN")
    tables.execute(MERGE.format(1, "second"))
    tables.execute("INSERT INTO LEDGER VALUES ('run 1')")
    assert state(other) == ([(1, "first")], 0)
    tables.execute("COMMIT")
    assert state(other) == ([(1, "second")], 1)


def test_merge_and_ledger_are_rolled_back_together(tables: SnowflakeCursor) -> None:
    tables.execute("BEGIN TRANSACTION")
    tables.execute(MERGE.format(2, "new"))
    tables.execute("INSERT INTO LEDGER VALUES ('run 1')")
    assert state(tables) == ([(1, "first"), (2, "new")], 1)
    tables.execute("ROLLBACK")
    assert state(tables) == ([(1, "first")], 0)


def test_a_client_that_closes_in_a_transaction_leaves_nothing(
    tables: SnowflakeCursor, connect: Connect
) -> None:
    leaving = connect()
    leaving.cursor().execute("BEGIN")
    leaving.cursor().execute(MERGE.format(5, "lost"))
    leaving.close()
    tables.execute(MERGE.format(1, "next"))
    assert state(tables) == ([(1, "next")], 0)


def test_a_killed_client_leaves_nothing_and_blocks_nobody_for_long(
    tables: SnowflakeCursor, standin: StandIn, schema: str
) -> None:
    died = subprocess.run(
        [sys.executable, "-c", DYING_CLIENT.format(merge=MERGE.format(1, "lost")),
         str(standin.port), schema],
        input=PASSWORD, text=True, env=own_environment(), timeout=30, check=False,
    )  # fmt: skip
    assert died.returncode == -9
    assert state(tables) == ([(1, "first")], 0)
    begun = time.monotonic()
    tables.execute(MERGE.format(1, "rerun"))
    assert time.monotonic() - begun < 5
    assert state(tables) == ([(1, "rerun")], 0)


def test_a_transaction_that_was_rolled_back_for_idling_hears_of_it(
    tables: SnowflakeCursor, connect: Connect
) -> None:
    idle = connect().cursor()
    idle.execute("BEGIN")
    idle.execute(MERGE.format(1, "lost"))
    tables.execute(MERGE.format(1, "next"))
    number, state_, sentence = failure(idle, "COMMIT")
    assert (number, state_) == (625, "57014")
    assert "idle" in sentence
    assert value(idle, "SELECT S FROM T") == "next"


def test_a_second_merge_waits_for_the_first(tables: SnowflakeCursor, connect: Connect) -> None:
    first, second = connect().cursor(), connect().cursor()
    first.execute("BEGIN")
    first.execute(MERGE.format(7, "first"))
    waiting = threading.Thread(target=second.execute, args=[MERGE.format(7, "second")])
    waiting.start()
    waiting.join(0.4)
    assert waiting.is_alive()
    first.execute("COMMIT")
    waiting.join(5)
    assert not waiting.is_alive()
    assert rows(tables, "SELECT S FROM T WHERE ID = 7") == [("second",)]


def test_after_waiting_a_transaction_sees_what_the_first_committed(
    tables: SnowflakeCursor, connect: Connect
) -> None:
    first, second = connect().cursor(), connect().cursor()
    first.execute("BEGIN")
    first.execute(MERGE.format(7, "first"))
    first.execute("INSERT INTO LEDGER VALUES ('run 1')")
    second.execute("BEGIN")
    waiting = threading.Thread(target=second.execute, args=[MERGE.format(7, "second")])
    waiting.start()
    waiting.join(0.3)
    first.execute("COMMIT")
    waiting.join(5)
    assert value(second, "SELECT COUNT(*) FROM LEDGER") == 1
    second.execute("COMMIT")


def test_a_lock_timeout_ends_the_wait(tables: SnowflakeCursor, connect: Connect) -> None:
    first, second = connect().cursor(), connect().cursor()
    first.execute("BEGIN")
    first.execute(MERGE.format(7, "first"))
    second.execute("ALTER SESSION SET LOCK_TIMEOUT = 0")
    assert failure(second, "DELETE FROM T")[:2] == (625, "57014")
    first.execute("COMMIT")


def test_two_transactions_never_wait_for_each_other_for_ever(
    tables: SnowflakeCursor, connect: Connect
) -> None:
    first, second = connect().cursor(), connect().cursor()
    first.execute("BEGIN")
    first.execute("UPDATE T SET S = 'a'")
    second.execute("BEGIN")
    second.execute("DELETE FROM LEDGER")
    waiting = threading.Thread(target=first.execute, args=["DELETE FROM LEDGER"])
    waiting.start()
    waiting.join(0.3)
    number, _, sentence = failure(second, "UPDATE T SET S = 'b'")
    assert number == 625
    assert "deadlock" in sentence
    second.execute("ROLLBACK")
    waiting.join(5)
    assert not waiting.is_alive()
    first.execute("COMMIT")


def test_data_definition_commits_what_is_open(tables: SnowflakeCursor) -> None:
    tables.execute("BEGIN")
    tables.execute(MERGE.format(2, "kept"))
    tables.execute("CREATE TABLE OTHER (A INT)")
    tables.execute("ROLLBACK")
    assert state(tables)[0] == [(1, "first"), (2, "kept")]


def test_without_autocommit_the_client_decides(connect: Connect, tables: SnowflakeCursor) -> None:
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("INSERT INTO LEDGER VALUES ('run 1')")
    connection.rollback()
    assert state(tables)[1] == 0
    cursor.execute("INSERT INTO LEDGER VALUES ('run 1')")
    assert state(tables)[1] == 0
    connection.commit()
    assert state(tables)[1] == 1


def test_after_a_failed_statement_commit_does_not_claim_success(tables: SnowflakeCursor) -> None:
    """duckdb cannot go on after an error; that must never look like a commit."""
    tables.execute("BEGIN")
    tables.execute("INSERT INTO LEDGER VALUES ('run 1')")
    assert failure(tables, "SELECT * FROM NOPE")[0] == 2003
    number, _, sentence = failure(tables, "COMMIT")
    assert number == 2
    assert "rolled the transaction back" in sentence
    assert state(tables)[1] == 0


def test_a_statement_with_a_syntax_error_leaves_the_transaction_open(
    tables: SnowflakeCursor,
) -> None:
    tables.execute("BEGIN")
    tables.execute("INSERT INTO LEDGER VALUES ('run 1')")
    assert failure(tables, "SELEC 1")[0] == 1003
    tables.execute("COMMIT")
    assert state(tables)[1] == 1
