"""Refusals carry Snowflake's own numbers, states and, mostly, sentences; never an HTTP 500."""

import time

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, rows, value


@pytest.mark.parametrize(
    ("sql", "number", "state", "sentence"),
    [
        ("SELEC 1", 1003, "42000", "syntax error line 1 at position"),
        ("SELECT (1", 1003, "42000", "syntax error"),
        ("TABLE T", 1003, "42000", "unexpected 'TABLE'"),
        ("SELECT * FROM NOPE", 2003, "42S02", "Object 'NOPE' does not exist or not authorized."),
        ("SELECT * FROM DATAVAULT.NONE.NOPE", 2003, "42S02", "Object 'DATAVAULT.NONE.NOPE'"),
        ("SELECT * FROM NO_DB.PUBLIC.NOPE", 2003, "42S02", "Object 'NO_DB.PUBLIC.NOPE'"),
        ("CREATE TABLE NONE.NOPE (A INT)", 2003, "02000", "Schema 'NONE' does not exist or not"),
        ("INSERT INTO NOPE VALUES (1)", 2003, "42S02", "'NOPE'"),
        ("DROP TABLE NOPE", 2003, "42S02", "does not exist or not authorized"),
        ("SELECT NOPE FROM T", 904, "42000", "invalid identifier 'NOPE'"),
        ("SELECT x.NOPE FROM T x", 904, "42000", "invalid identifier 'X.NOPE'"),
        ("INSERT INTO T (NOPE) VALUES (1)", 904, "42000", "invalid identifier"),
        ("SELECT 1 / 0", 100051, "22012", "Division by zero"),
        ("SELECT SMALL / (ID - 1) FROM T", 100051, "22012", "Division by zero"),
        ("SELECT MOD(ID, 0) FROM T", 100051, "22012", "Division by zero"),
        ("SELECT 'abc'::NUMBER", 100038, "22018", "Numeric value 'abc' is not recognized"),
        ("SELECT 'abc'::DATE", 100040, "22007", "Date 'abc' is not recognized"),
        ("SELECT 'abc'::TIMESTAMP_NTZ", 100035, "22007", "Timestamp 'abc' is not recognized"),
        ("SELECT 'abc'::BOOLEAN", 100037, "22018", "Boolean value 'abc' is not recognized"),
        ("SELECT PARSE_JSON('{')", 100069, "22P02", "Error parsing JSON"),
        ("INSERT INTO T (ID, SMALL) VALUES (1, 12345)", 100039, "22003", "out of range"),
        ("SELECT TO_BINARY('zz')", 100115, "22000", "hex"),
        ("INSERT INTO T (S) VALUES ('x')", 100072, "22000", "NULL result in a non-nullable column"),
        ("INSERT INTO T (ID, S) VALUES (1)", 2020, "21S01", "expecting 2 but got 1"),
        ("SELECT S, COUNT(*) FROM T", 979, "42601", "not a valid group by expression"),
        ("SELECT ID FROM T a, T b", 2028, "42601", "ambiguous column name 'ID'"),
        ("SELECT NO_SUCH_FUNCTION(1)", 2140, "42601", "Unknown function NO_SUCH_FUNCTION"),
        ("CREATE TABLE T (A INT)", 2002, "42710", "already exists"),
        ("SELECT 1; SELECT 2", 8, "0A000", "Actual statement count 2 did not match the desired"),
        ("SELECT 1; DROP TABLE T", 8, "0A000", "statement count"),
    ],
)  # fmt: skip
def test_a_common_mistake_has_its_number(
    reader: SnowflakeCursor, sql: str, number: int, state: str, sentence: str
) -> None:
    begun = time.monotonic()
    found = failure(reader, sql)
    assert found[:2] == (number, state)
    assert sentence in found[2]
    # The client would have tried again for ten seconds if it had been an HTTP error.
    assert time.monotonic() - begun < 3
    assert value(reader, "SELECT COUNT(*) FROM T") == 1


@pytest.mark.parametrize(
    "sql",
    [
        "GRANT SELECT ON T TO ROLE R",
        "CALL P()",
        "CREATE FUNCTION F() RETURNS INT AS '1'",
        "CREATE SEQUENCE S",
        "CREATE DYNAMIC TABLE X AS SELECT 1",
        "CREATE TABLE X (G GEOGRAPHY)",
        "CREATE TABLE X (A INT AUTOINCREMENT)",
        "CREATE TABLE X (A INT CHECK (A > 0))",
        "PUT file:///etc/passwd @LAKE",
        "COPY INTO @LAKE FROM T",
        "COPY INTO T FROM (SELECT $1 FROM @LAKE)",
        "SET X = 1",
        "EXPLAIN USING TEXT SELECT 1",
        "SELECT * FROM @LAKE",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM READ_CSV('/etc/passwd')",
        "SELECT * FROM TABLE(READ_TEXT('/etc/passwd'))",
        "SELECT * FROM DUCKDB_SETTINGS()",
        "PRAGMA database_list",
        "ATTACH '/tmp/x.db'",
        "COPY T TO '/tmp/x.csv'",
        "ALTER SESSION SET JSON_INDENT = 2",
        "ALTER SESSION SET QUOTED_IDENTIFIERS_IGNORE_CASE = TRUE",
        "SELECT TO_CHAR(D, SOUNDEX(S)) FROM T",
    ],
)
def test_what_is_not_done_here_is_refused(reader: SnowflakeCursor, sql: str) -> None:
    number, state, _ = failure(reader, sql)
    assert (number, state) in {(2, "0A000"), (1003, "42000")}


@pytest.mark.parametrize("view", ["TABLE_PRIVILEGES", "NOPE"])
def test_a_view_of_the_catalog_that_is_not_there_is_missing(
    reader: SnowflakeCursor, view: str
) -> None:
    assert failure(reader, f"SELECT * FROM INFORMATION_SCHEMA.{view}")[:2] == (2003, "42S02")


def test_ten_megabytes_of_sql_are_answered(reader: SnowflakeCursor) -> None:
    assert value(reader, f"SELECT LENGTH('{'x' * 10_000_000}')") == 10_000_000


def test_comments_and_a_semicolon_do_no_harm(reader: SnowflakeCursor) -> None:
    assert rows(reader, "-- one; two\n/* three; */ SELECT 'a;b' -- end\n;") == [("a;b",)]


def test_two_bad_settings_are_told_apart(reader: SnowflakeCursor) -> None:
    assert failure(reader, "ALTER SESSION SET NO_SUCH_PARAMETER = 1")[0] == 1420
    assert failure(reader, "ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 'soon'")[0] == 1008
