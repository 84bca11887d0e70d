"""Tables, views and schemas come, change and go."""

from collections.abc import Callable

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, rows, value


def test_create_if_not_exists_says_so(cursor: SnowflakeCursor) -> None:
    sql = 'CREATE TABLE IF NOT EXISTS "Mixed Case" ("a b" INT NOT NULL, V VARIANT, TZ TIMESTAMP_TZ)'
    assert value(cursor, sql) == "Table Mixed Case successfully created."
    assert value(cursor, sql) == "Mixed Case already exists, statement succeeded."
    cursor.execute('INSERT INTO "Mixed Case" ("a b") SELECT 1')
    assert rows(cursor, 'SELECT "a b" FROM "Mixed Case"') == [(1,)]


def test_a_copy_of_a_tables_shape_keeps_what_was_declared(cursor: SnowflakeCursor) -> None:
    cursor.execute(
        "CREATE TABLE T (ID NUMBER PRIMARY KEY, S VARCHAR(9) DEFAULT 'x', O OBJECT, "
        "L TIMESTAMP_LTZ)"
    )
    cursor.execute("INSERT INTO T (ID) VALUES (1)")
    cursor.execute("CREATE TEMPORARY TABLE LIKE_T LIKE T")
    cursor.execute("CREATE TABLE CLONED CLONE T")
    shape = rows(cursor, "DESCRIBE TABLE T")
    assert rows(cursor, "DESCRIBE TABLE LIKE_T") == shape
    assert rows(cursor, "DESCRIBE TABLE CLONED") == shape
    assert value(cursor, "SELECT COUNT(*) FROM LIKE_T") == 0
    assert rows(cursor, "SELECT ID, S FROM CLONED") == [(1, "x")]


def test_a_temporary_table_hides_a_permanent_one(
    cursor: SnowflakeCursor, connect: Callable[..., SnowflakeConnection]
) -> None:
    cursor.execute("CREATE TABLE T AS SELECT 'permanent' AS S")
    cursor.execute("CREATE TEMP TABLE T (S VARCHAR)")
    cursor.execute("INSERT INTO T SELECT 'temporary'")
    assert value(cursor, "SELECT S FROM T") == "temporary"
    assert value(connect().cursor(), "SELECT S FROM T") == "permanent"
    cursor.execute("DROP TABLE T")
    assert value(cursor, "SELECT S FROM T") == "permanent"


def test_columns_are_added_renamed_widened_and_dropped(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE T (A NUMBER(5,0) PRIMARY KEY)")
    cursor.execute("INSERT INTO T VALUES (1)")
    cursor.execute("ALTER TABLE T ADD COLUMN B VARCHAR(3), C TIMESTAMP_LTZ")
    cursor.execute("ALTER TABLE T ADD COLUMN IF NOT EXISTS B INT")
    cursor.execute("ALTER TABLE T RENAME COLUMN A TO ID")
    cursor.execute("ALTER TABLE T ALTER COLUMN ID SET DATA TYPE NUMBER(38,0)")
    cursor.execute("ALTER TABLE T MODIFY COLUMN B SET DATA TYPE VARCHAR(30)")
    cursor.execute("ALTER TABLE T ALTER COLUMN ID DROP NOT NULL")
    assert [(*row[:2], row[3], row[5]) for row in rows(cursor, "DESC TABLE T")] == [
        ("ID", "NUMBER(38,0)", "Y", "Y"),
        ("B", "VARCHAR(30)", "Y", "N"),
        ("C", "TIMESTAMP_LTZ(9)", "Y", "N"),
    ]
    cursor.execute("ALTER TABLE T DROP COLUMN B, C")
    assert rows(cursor, "SELECT * FROM T") == [(1,)]


def test_swapping_two_tables_swaps_all_of_them(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE OLD AS SELECT 'old' AS S")
    cursor.execute("CREATE TABLE NEW AS SELECT 'new' AS S")
    cursor.execute("ALTER TABLE OLD SWAP WITH NEW")
    assert value(cursor, "SELECT S FROM OLD") == "new"
    cursor.execute("ALTER TABLE OLD RENAME TO NEWEST")
    assert value(cursor, "SELECT S FROM NEWEST") == "new"


def test_insert_overwrite_replaces_the_rows(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE T AS SELECT 1 AS A UNION ALL SELECT 2")
    cursor.execute("INSERT OVERWRITE INTO T SELECT 3")
    assert rows(cursor, "SELECT A FROM T") == [(3,)]


def test_rows_are_counted_by_every_kind_of_change(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE T (A INT)")
    cursor.execute("INSERT INTO T SELECT SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => 5))")
    assert cursor.rowcount == 5
    cursor.execute("UPDATE T SET A = A + 10 WHERE A < 2")
    assert cursor.rowcount == 2
    cursor.execute("DELETE FROM T WHERE A >= 10")
    assert cursor.rowcount == 2


def test_a_view_follows_its_table_in_every_session(
    cursor: SnowflakeCursor, connect: Callable[..., SnowflakeConnection]
) -> None:
    cursor.execute("CREATE TABLE T AS SELECT '{\"a\": 1}' AS S, 4 AS N")
    cursor.execute("CREATE VIEW V AS SELECT PARSE_JSON(S):a::INT AS A, N / 8 AS HALF FROM T")
    assert rows(connect().cursor(), "SELECT * FROM V") == [(1, 0.5)]
    assert failure(cursor, "CREATE VIEW V AS SELECT 1 AS A")[0] == 2002
    cursor.execute("CREATE OR REPLACE VIEW V AS SELECT N FROM T")
    assert rows(cursor, "SELECT * FROM V") == [(4,)]


def test_a_schema_goes_with_all_that_is_in_it(cursor: SnowflakeCursor, schema: str) -> None:
    cursor.execute("CREATE SCHEMA IF NOT EXISTS OTHER_SCHEMA")
    cursor.execute("CREATE TABLE T (A INT)")
    assert value(cursor, "SELECT CURRENT_SCHEMA()") == "OTHER_SCHEMA"
    cursor.execute(f"USE SCHEMA {schema}")
    cursor.execute("DROP SCHEMA OTHER_SCHEMA")
    assert failure(cursor, "SELECT * FROM OTHER_SCHEMA.T")[0] == 2003


def test_a_database_comes_with_public_and_goes(cursor: SnowflakeCursor, schema: str) -> None:
    cursor.execute('CREATE DATABASE "Odd name/1"')
    cursor.execute("CREATE TABLE T AS SELECT 1 AS A")
    assert value(cursor, 'SELECT A FROM "Odd name/1".PUBLIC.T') == 1
    assert failure(cursor, 'CREATE DATABASE "Odd name/1"')[0] == 2002
    cursor.execute('DROP DATABASE "Odd name/1"')
    assert value(cursor, "SELECT CURRENT_DATABASE()") is None
    cursor.execute(f"USE DATAVAULT.{schema}")
    cursor.execute('DROP DATABASE IF EXISTS "Odd name/1"')


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT A FROM THREE QUALIFY ROW_NUMBER() OVER (ORDER BY A DESC) = 1", [(3,)]),
        ("WITH Q AS (SELECT MAX(A) AS M FROM THREE) SELECT M FROM Q", [(3,)]),
        ("(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1", [(1,), (2,)]),
        ("SELECT COLUMN1 FROM VALUES (1), (2) ORDER BY 1 DESC", [(2,), (1,)]),
        ("SELECT A FROM THREE ORDER BY NULLIF(A, 2) DESC", [(2,), (3,), (1,)]),
        ("SELECT LISTAGG(A, ',') WITHIN GROUP (ORDER BY A) FROM THREE", [("1,2,3",)]),
        ("SELECT f.VALUE::INT FROM TABLE(FLATTEN(PARSE_JSON('[4,5]'))) f", [(4,), (5,)]),
        ("SELECT IFF(A > 2, 'big', 'small') FROM THREE WHERE A = 3", [("big",)]),
        ("SELECT SUBSTR('abcdef', A, 2) FROM THREE WHERE A = 2", [("bc",)]),
        ("SELECT A / 2 / 2 FROM THREE WHERE A = 2", [(0.5,)]),
        ("SELECT AT, DESC_ FROM (SELECT 1 AS AT, 2 AS DESC_)", [(1, 2)]),
        ("SELECT TRANSFORM.A FROM (SELECT 5 AS A) TRANSFORM", [(5,)]),
        ("SELECT DATEDIFF(DAY, '2024-02-28'::DATE, '2024-03-01'::DATE)", [(2,)]),
    ],
)
def test_queries_mean_what_they_mean_in_snowflake(
    reader: SnowflakeCursor, sql: str, expected: list[tuple[object, ...]]
) -> None:
    assert rows(reader, sql) == expected
