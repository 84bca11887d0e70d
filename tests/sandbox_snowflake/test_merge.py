"""MERGE as a pipeline uses it."""

from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, names, rows, value


def prepare(cursor: SnowflakeCursor) -> None:
    cursor.execute(
        'CREATE TABLE IF NOT EXISTS TARGET (ID NUMBER(38,0) NOT NULL, "mixedCase" VARCHAR, '
        "DOC VARIANT, RAW BINARY, SEEN TIMESTAMP_TZ, PRIMARY KEY (ID))"
    )
    cursor.execute(
        "CREATE TEMPORARY TABLE STAGING (ID NUMBER(38,0), S VARCHAR, DOC VARCHAR, V INT)"
    )


def test_a_deduplicated_source_updates_and_inserts(cursor: SnowflakeCursor) -> None:
    prepare(cursor)
    cursor.execute("INSERT INTO TARGET (ID, \"mixedCase\") VALUES (1, 'old'), (9, 'stays')")
    cursor.execute(
        """INSERT INTO STAGING VALUES (1, 'newer', '{"n": 2}', 2), (1, 'older', '{"n": 1}', 1),
        (2, 'fresh', '[1]', 1)"""
    )
    cursor.execute(
        """MERGE INTO TARGET AS t USING (
            SELECT * FROM STAGING QUALIFY ROW_NUMBER() OVER (PARTITION BY ID ORDER BY V DESC) = 1
        ) AS s ON t.ID = s.ID
        WHEN MATCHED THEN UPDATE SET t."mixedCase" = s.S, DOC = PARSE_JSON(s.DOC)
        WHEN NOT MATCHED THEN INSERT (ID, "mixedCase", DOC) VALUES (s.ID, s.S, PARSE_JSON(s.DOC))"""
    )
    assert cursor.fetchall() == [(1, 1)]
    assert names(cursor) == ["number of rows inserted", "number of rows updated"]
    assert cursor.rowcount == 2
    assert rows(cursor, 'SELECT ID, "mixedCase", DOC:n::INT FROM TARGET ORDER BY ID') == [
        (1, "newer", 2),
        (2, "fresh", None),
        (9, "stays", None),
    ]


def test_conditions_choose_between_update_and_delete(cursor: SnowflakeCursor) -> None:
    prepare(cursor)
    cursor.execute("INSERT INTO TARGET (ID) VALUES (1), (2)")
    cursor.execute("INSERT INTO STAGING (ID, V) VALUES (1, 0), (2, 1)")
    found = rows(
        cursor,
        """MERGE INTO TARGET USING STAGING s ON TARGET.ID = s.ID
        WHEN MATCHED AND s.V = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET TARGET."mixedCase" = 'kept'""",
    )
    assert found == [(1, 1)]
    assert rows(cursor, 'SELECT ID, "mixedCase" FROM TARGET') == [(2, "kept")]


def test_two_rows_for_one_target_are_refused(cursor: SnowflakeCursor) -> None:
    prepare(cursor)
    cursor.execute("INSERT INTO TARGET (ID) VALUES (1)")
    cursor.execute("INSERT INTO STAGING (ID, S) VALUES (1, 'a'), (1, 'b')")
    number, state, _ = failure(
        cursor,
        "MERGE INTO TARGET t USING STAGING s ON t.ID = s.ID "
        'WHEN MATCHED THEN UPDATE SET "mixedCase" = s.S',
    )
    assert (number, state) == (100090, "42P18")
    assert value(cursor, 'SELECT "mixedCase" FROM TARGET') is None


def test_a_text_does_not_become_a_variant_by_itself(cursor: SnowflakeCursor) -> None:
    prepare(cursor)
    cursor.execute("INSERT INTO STAGING (ID, DOC) VALUES (1, '{}')")
    merge = (
        "MERGE INTO TARGET t USING STAGING s ON t.ID = s.ID "
        "WHEN NOT MATCHED THEN INSERT (ID, DOC) VALUES (s.ID, {})"
    )
    number, state, sentence = failure(cursor, merge.format("s.DOC"))
    assert (number, state) == (2023, "22000")
    assert "expecting VARIANT but got VARCHAR" in sentence
    cursor.execute(merge.format("PARSE_JSON(s.DOC)"))
    assert failure(cursor, "UPDATE TARGET SET DOC = 'text'")[0] == 2023
    assert value(cursor, "SELECT TYPEOF(DOC) FROM TARGET") == "OBJECT"


def test_primary_keys_are_not_enforced_and_not_null_is(cursor: SnowflakeCursor) -> None:
    """As in Snowflake, so that a double load shows here, too."""
    prepare(cursor)
    cursor.execute("INSERT INTO TARGET (ID) VALUES (1), (1)")
    assert value(cursor, "SELECT COUNT(*) FROM TARGET WHERE ID = 1") == 2
    assert failure(cursor, "INSERT INTO TARGET (\"mixedCase\") VALUES ('x')")[0] == 100072
