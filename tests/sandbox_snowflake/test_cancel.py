"""Statements end when they are told to, and only those; the history says how."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.constants import QueryStatus
from snowflake.connector.cursor import SnowflakeCursor

from tests.waiting import wait_for

from .conftest import ENDLESS, failure, rows, value
from .standin import StandIn

Connect = Callable[..., SnowflakeConnection]


def outcome(cursor: SnowflakeCursor, query_id: str) -> tuple[object, ...]:
    (found,) = rows(
        cursor,
        "SELECT EXECUTION_STATUS, ERROR_CODE FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) "
        f"WHERE QUERY_ID = '{query_id}'",
    )
    return found


def test_an_asynchronous_query_is_fetched_later(connection: SnowflakeConnection) -> None:
    cursor = connection.cursor()
    cursor.execute_async("SELECT SYSTEM$WAIT(0.5)")
    query_id = str(cursor.sfqid)
    assert connection.get_query_status(query_id) == QueryStatus.RUNNING
    cursor.get_results_from_sfqid(query_id)
    assert cursor.fetchall() == [("waited 0.5 seconds",)]
    assert connection.get_query_status(query_id) == QueryStatus.SUCCESS


def test_a_query_longer_than_the_server_waits_is_asked_for_again(cursor: SnowflakeCursor) -> None:
    """The test's server answers "in progress" after a second, the real one after 45."""
    assert value(cursor, "SELECT SYSTEM$WAIT(2.2)") == "waited 2.2 seconds"


@pytest.mark.parametrize("sql", [ENDLESS, f"CREATE TABLE T AS {ENDLESS}", "SELECT SYSTEM$WAIT(60)"])
def test_abort_reaches_the_server(connection: SnowflakeConnection, sql: str) -> None:
    cursor = connection.cursor()
    cursor.execute_async(sql)
    query_id = str(cursor.sfqid)
    time.sleep(0.2)
    begun = time.monotonic()
    assert cursor.abort_query(query_id)
    assert wait_for(lambda: connection.get_query_status(query_id) != QueryStatus.RUNNING, 2)
    assert time.monotonic() - begun < 1
    assert outcome(cursor, query_id) == ("FAILED_WITH_ERROR", "000604")


def test_the_clients_own_timeout_cancels(cursor: SnowflakeCursor) -> None:
    number, state, sentence = failure(cursor, ENDLESS, timeout=1)
    assert (number, state) == (604, "57014")
    assert "canceled" in sentence
    assert outcome(cursor, str(cursor.sfqid)) == ("FAILED_WITH_ERROR", "000604")


def test_cancel_query_from_another_session(connect: Connect) -> None:
    running, other = connect().cursor(), connect().cursor()
    running.execute_async(ENDLESS)
    query_id = running.sfqid
    assert "terminated" in value(other, f"SELECT SYSTEM$CANCEL_QUERY('{query_id}')")
    assert wait_for(lambda: outcome(other, str(query_id))[0] != "RUNNING", 2)


def test_cancel_query_from_the_same_session(cursor: SnowflakeCursor) -> None:
    cursor.execute_async(ENDLESS)
    query_id = str(cursor.sfqid)
    assert "terminated" in value(cursor, f"SELECT SYSTEM$CANCEL_QUERY('{query_id}')")
    assert outcome(cursor, query_id) == ("FAILED_WITH_ERROR", "000604")


@pytest.mark.parametrize("how", ["session", "statement"])
@pytest.mark.parametrize("sql", [ENDLESS, "SELECT SYSTEM$WAIT(60)"])
def test_the_statement_timeout_is_enforced(cursor: SnowflakeCursor, how: str, sql: str) -> None:
    options = {}
    if how == "session":
        cursor.execute("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 1")
    else:
        options = {"_statement_params": {"STATEMENT_TIMEOUT_IN_SECONDS": "1"}}
    begun = time.monotonic()
    number, state, sentence = failure(cursor, sql, **options)
    assert (number, state) == (630, "57014")
    assert "timeout of 1 second(s)" in sentence
    assert 0.9 < time.monotonic() - begun < 2.5
    assert value(cursor, "SELECT 1") == 1


def test_query_tags_are_kept(connect: Connect) -> None:
    tag = json.dumps({"team": "a", "run": "b'c"})
    cursor = connect(session_parameters={"QUERY_TAG": tag}).cursor()
    cursor.execute("SELECT 'tagged'")
    first = cursor.sfqid
    cursor.execute("ALTER SESSION SET QUERY_TAG = 'other'")
    cursor.execute("SELECT 'again'")
    found = dict(
        rows(
            cursor,
            "SELECT QUERY_ID, QUERY_TAG FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION())",
        )
    )
    assert found[first] == tag
    assert "other" in found.values()


def test_a_cancel_stops_one_of_four_sessions_only(connect: Connect, standin: StandIn) -> None:
    sessions = [connect() for _ in range(4)]
    cursors = [session.cursor() for session in sessions]
    cursors[0].execute_async(ENDLESS)
    victim = str(cursors[0].sfqid)
    answers: list[object] = [None] * 4

    def work(number: int) -> None:
        cursors[number].execute(f"CREATE TABLE T{number} AS SELECT SEQ4() AS A "
                                "FROM TABLE(GENERATOR(ROWCOUNT => 500000))")  # fmt: skip
        for _ in range(3):
            answers[number] = value(cursors[number], f"SELECT SUM(A) FROM T{number}")

    threads = [threading.Thread(target=work, args=[number]) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    assert sessions[0].cursor().abort_query(victim)
    for thread in threads:
        thread.join(20)
    assert answers[1:] == [124999750000] * 3
    assert outcome(cursors[1], victim) == ("FAILED_WITH_ERROR", "000604")


def test_closing_a_session_ends_its_statements(connect: Connect) -> None:
    leaving, other = connect(), connect().cursor()
    cursor = leaving.cursor()
    cursor.execute_async(ENDLESS)
    query_id = str(cursor.sfqid)
    leaving.rest.delete_session()
    assert wait_for(lambda: outcome(other, query_id)[0] != "RUNNING", 2)


def test_the_same_request_again_is_not_run_again(connection: SnowflakeConnection) -> None:
    """A client repeats a request whose answer it has lost."""
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE T (A INT)")
    body = {"sqlText": "INSERT INTO T VALUES (1)", "asyncExec": False, "sequenceId": 1}
    url = "/queries/v1/query-request?requestId=0d6ac1a8-27ea-4d01-9b6e-6a5f1e2b3c4d"
    for _ in range(2):
        assert connection.rest.request(url, body)["success"]
    assert value(cursor, "SELECT COUNT(*) FROM T") == 1
