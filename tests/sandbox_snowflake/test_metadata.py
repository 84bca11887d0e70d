"""What the catalog, SHOW, DESCRIBE and EXPLAIN tell."""

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, names, plan, rows, value


@pytest.fixture
def shop(cursor: SnowflakeCursor) -> SnowflakeCursor:
    cursor.execute(
        "CREATE TABLE ITEMS (ID NUMBER(38,0), NAME VARCHAR(20) COMMENT 'what it is', "
        "PRICE NUMBER(10,2), SEEN TIMESTAMP_LTZ, DOC OBJECT, PRIMARY KEY (ID, NAME)) "
        "COMMENT = 'all'"
    )
    cursor.execute("CREATE TABLE EMPTY (A INT)")
    cursor.execute("CREATE VIEW CHEAP AS SELECT ID, NAME FROM ITEMS WHERE PRICE < 10")
    cursor.execute("INSERT INTO ITEMS (ID, NAME, PRICE) VALUES (1, 'abc', 1.5), (2, 'defg', 20)")
    return cursor


def test_tables_have_exact_rows_and_bytes_and_views_have_none(
    shop: SnowflakeCursor, schema: str
) -> None:
    sql = (
        "SELECT TABLE_NAME, TABLE_TYPE, ROW_COUNT, BYTES FROM DATAVAULT.INFORMATION_SCHEMA.TABLES "
        f"WHERE TABLE_SCHEMA = '{schema}' ORDER BY 1"
    )
    # 16 + 8 bytes of numbers and 8 of a moment for each row, and the names' own 7.
    assert rows(shop, sql) == [
        ("CHEAP", "VIEW", None, None),
        ("EMPTY", "BASE TABLE", 0, 0),
        ("ITEMS", "BASE TABLE", 2, 2 * 32 + 7),
    ]
    shop.execute("DELETE FROM ITEMS WHERE ID = 1")
    assert rows(shop, sql)[-1] == ("ITEMS", "BASE TABLE", 1, 32 + 4)


def test_columns_tell_declared_types(shop: SnowflakeCursor, schema: str) -> None:
    found = rows(
        shop,
        "SELECT COLUMN_NAME, ORDINAL_POSITION, DATA_TYPE, IS_NULLABLE, NUMERIC_PRECISION, "
        "NUMERIC_SCALE, CHARACTER_MAXIMUM_LENGTH, COMMENT FROM INFORMATION_SCHEMA.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = 'ITEMS' ORDER BY 2",
    )
    assert found == [
        ("ID", 1, "NUMBER", "NO", 38, 0, None, None),
        ("NAME", 2, "TEXT", "NO", None, None, 20, "what it is"),
        ("PRICE", 3, "NUMBER", "YES", 10, 2, None, None),
        ("SEEN", 4, "TIMESTAMP_LTZ", "YES", None, None, None, None),
        ("DOC", 5, "OBJECT", "YES", None, None, None, None),
    ]


@pytest.mark.parametrize("scope", ["SCHEMA DATAVAULT.{}", "DATABASE DATAVAULT", "TABLE ITEMS"])
def test_primary_keys_are_shown(shop: SnowflakeCursor, schema: str, scope: str) -> None:
    shop.execute(f"SHOW PRIMARY KEYS IN {scope.format(schema)}")
    place = [names(shop).index(name) for name in ("schema_name", "table_name", "column_name")]
    position = names(shop).index("key_sequence")
    found = [
        (row[place[1]], row[place[2]], row[position])
        for row in shop.fetchall()
        if row[place[0]] == schema
    ]
    assert found == [("ITEMS", "ID", 1), ("ITEMS", "NAME", 2)]


def test_describe_table(shop: SnowflakeCursor) -> None:
    found = rows(shop, "DESCRIBE TABLE ITEMS")
    assert [(*row[:2], row[3], row[5]) for row in found] == [
        ("ID", "NUMBER(38,0)", "N", "Y"),
        ("NAME", "VARCHAR(20)", "N", "Y"),
        ("PRICE", "NUMBER(10,2)", "Y", "N"),
        ("SEEN", "TIMESTAMP_LTZ(9)", "Y", "N"),
        ("DOC", "OBJECT", "Y", "N"),
    ]


def test_show_tables_can_be_narrowed(shop: SnowflakeCursor, schema: str) -> None:
    shop.execute("SHOW TABLES LIKE 'item%'")
    (found,) = [dict(zip(names(shop), row, strict=True)) for row in shop.fetchall()]
    assert (found["name"], found["schema_name"], found["rows"], found["comment"]) == (
        "ITEMS", schema, 2, "all",
    )  # fmt: skip
    assert len(rows(shop, f"SHOW TABLES IN SCHEMA {schema} STARTS WITH 'E'")) == 1
    assert len(rows(shop, f"SHOW OBJECTS IN SCHEMA DATAVAULT.{schema}")) == 3
    assert failure(shop, "SHOW TABLES IN SCHEMA NOPE")[:2] == (2043, "02000")


@pytest.mark.parametrize(
    "sql",
    ["SHOW DATABASES", "SHOW SCHEMAS", "SHOW OBJECTS", "SHOW STAGES", "SHOW WAREHOUSES",
     "SHOW COLUMNS IN TABLE THREE", "SHOW PARAMETERS LIKE 'QUERY_TAG' IN SESSION"],
)  # fmt: skip
def test_other_lists_are_shown(reader: SnowflakeCursor, sql: str) -> None:
    assert rows(reader, sql)


def test_a_plan_counts_the_bytes_of_its_tables(shop: SnowflakeCursor, schema: str) -> None:
    found = plan(shop, "SELECT * FROM CHEAP c JOIN ITEMS i ON i.ID = c.ID WHERE i.PRICE > 1000")
    scans = [one for one in found["Operations"][0] if one["operation"] == "TableScan"]
    assert [one["objects"] for one in scans] == [[f"DATAVAULT.{schema}.ITEMS"]] * 2
    assert found["GlobalStats"] == {
        "partitionsTotal": 2,
        "partitionsAssigned": 2,
        "bytesAssigned": 2 * 71,
    }


def test_a_plan_does_not_run_anything(shop: SnowflakeCursor) -> None:
    plan(shop, "INSERT INTO EMPTY SELECT ID FROM ITEMS")
    assert value(shop, "SELECT COUNT(*) FROM EMPTY") == 0
    assert plan(shop, "SELECT * FROM EMPTY")["GlobalStats"]["bytesAssigned"] == 0


def test_a_plan_needs_its_tables_and_no_warehouse(shop: SnowflakeCursor) -> None:
    number, state, sentence = failure(shop, "EXPLAIN USING JSON SELECT * FROM NOPE")
    assert (number, state) == (2003, "42S02")
    assert "Object 'NOPE' does not exist or not authorized." in sentence
    assert failure(shop, "EXPLAIN USING JSON SELECT NOPE FROM ITEMS")[0] == 904
    assert (
        "'DATAVAULT.PUBLIC.NOPE'"
        in failure(shop, "EXPLAIN USING JSON SELECT * FROM DATAVAULT.PUBLIC.NOPE")[2]
    )
    assert failure(shop, "EXPLAIN USING JSON SELECT 1; DROP TABLE ITEMS")[0] == 8
