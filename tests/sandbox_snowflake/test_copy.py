"""COPY INTO: all files or none, none twice, and values by Snowflake's rules."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, names, rows, value
from .standin import Lake

PARQUET = "FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE)"
BY_NAME = f"{PARQUET} MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
TEN_COLUMNS = [
    "file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen", "first_error",
    "first_error_line", "first_error_character", "first_error_column_name",
]  # fmt: skip


@pytest.fixture
def run(lake: Lake, schema: str) -> str:
    """A folder of the bucket for this test, with two files."""
    lake.put(f"{schema}/a.parquet", id=[1, 2], name=["x", "y"])
    lake.put(f"{schema}/b.parquet", id=[3], name=["z"])
    return schema


@pytest.fixture
def table(cursor: SnowflakeCursor) -> SnowflakeCursor:
    cursor.execute("CREATE TABLE T (ID NUMBER(38,0) NOT NULL, NAME VARCHAR)")
    return cursor


def copy(folder: str, *files: str, options: str = BY_NAME, table: str = "T") -> str:
    listed = ", ".join(f"'{file}'" for file in files)
    named = f"FILES = ({listed})" if files else ""
    return f"COPY INTO {table} FROM @LAKE/{folder}/ {named} {options}"


def test_listed_files_are_loaded_and_reported(table: SnowflakeCursor, run: str, lake: Lake) -> None:
    found = rows(table, copy(run, "a.parquet", "b.parquet"))
    assert names(table) == TEN_COLUMNS
    assert [(row[0], *row[1:4]) for row in found] == [
        (f"s3://stage-of-tests/{run}/a.parquet", "LOADED", 2, 2),
        (f"s3://stage-of-tests/{run}/b.parquet", "LOADED", 1, 1),
    ]
    assert rows(table, "SELECT * FROM T ORDER BY ID") == [(1, "x"), (2, "y"), (3, "z")]


def test_a_quoted_stage_and_table_are_found(
    connection: SnowflakeConnection, run: str, schema: str
) -> None:
    cursor = connection.cursor()
    cursor.execute('CREATE TEMPORARY TABLE "Mixed Case" ("Id" NUMBER, "na me" VARCHAR)')
    cursor.execute(
        f'COPY INTO "{schema}"."Mixed Case" FROM @"{schema}"."LAKE"/{run}/ '
        f"FILES = ('a.parquet') {BY_NAME}"
    )
    assert rows(cursor, 'SELECT "Id", "na me" FROM "Mixed Case" ORDER BY 1') == [
        (1, None),
        (2, None),
    ]


def test_a_file_is_loaded_once(table: SnowflakeCursor, run: str) -> None:
    table.execute(copy(run, "a.parquet"))
    again = rows(table, copy(run, "a.parquet", "b.parquet", options=f"{BY_NAME} FORCE = FALSE"))
    assert [row[1] for row in again] == ["LOAD_SKIPPED", "LOADED"]
    assert value(table, "SELECT COUNT(*) FROM T") == 3
    assert rows(table, copy(run)) == [("Copy executed with 0 files processed.",)]


def test_force_loads_it_again(table: SnowflakeCursor, run: str) -> None:
    table.execute(copy(run, "a.parquet"))
    table.execute(copy(run, "a.parquet", options=f"{BY_NAME} FORCE = TRUE"))
    assert value(table, "SELECT COUNT(*) FROM T") == 4


def test_a_changed_file_is_loaded_again(table: SnowflakeCursor, run: str, lake: Lake) -> None:
    table.execute(copy(run, "b.parquet"))
    lake.put(f"{run}/b.parquet", id=[30], name=["new"])
    table.execute(copy(run, "b.parquet"))
    assert rows(table, "SELECT ID FROM T ORDER BY ID") == [(3,), (30,)]


@pytest.mark.parametrize(
    "renewal", ["TRUNCATE TABLE T", "CREATE OR REPLACE TABLE T (ID NUMBER NOT NULL, NAME VARCHAR)"]
)
def test_an_emptied_or_recreated_table_knows_of_no_loads(
    table: SnowflakeCursor, run: str, renewal: str
) -> None:
    table.execute(copy(run, "a.parquet"))
    table.execute(renewal)
    assert [row[1] for row in rows(table, copy(run, "a.parquet"))] == ["LOADED"]


def test_create_if_not_exists_keeps_the_memory_of_loads(table: SnowflakeCursor, run: str) -> None:
    table.execute(copy(run, "a.parquet"))
    table.execute("CREATE TABLE IF NOT EXISTS T (ID NUMBER)")
    assert [row[1] for row in rows(table, copy(run, "a.parquet"))] == ["LOAD_SKIPPED"]


def test_one_bad_file_leaves_nothing_of_any(table: SnowflakeCursor, run: str, lake: Lake) -> None:
    lake.put(f"{run}/c.parquet", id=["not a number"], name=["z"])
    number, state, sentence = failure(table, copy(run, "a.parquet", "b.parquet", "c.parquet"))
    assert (number, state) == (100071, "22000")
    assert "'not a number'" in sentence
    assert f"{run}/c.parquet" in sentence
    assert value(table, "SELECT COUNT(*) FROM T") == 0
    assert [row[1] for row in rows(table, copy(run, "a.parquet"))] == ["LOADED"]


def test_a_null_for_a_required_column_is_refused(
    table: SnowflakeCursor, run: str, lake: Lake
) -> None:
    lake.put(f"{run}/c.parquet", id=pa.array([None], pa.int64()), name=["z"])
    assert failure(table, copy(run, "c.parquet"))[:2] == (100072, "22000")


def test_a_missing_file_is_refused(table: SnowflakeCursor, run: str) -> None:
    number, state, sentence = failure(table, copy(run, "a.parquet", "nope.parquet"))
    assert (number, state) == (91016, "22000")
    assert "nope.parquet' was not found" in sentence
    assert value(table, "SELECT COUNT(*) FROM T") == 0


def test_a_file_that_is_no_parquet_is_refused(table: SnowflakeCursor, run: str, lake: Lake) -> None:
    lake.put_bytes(f"{run}/c.parquet", b"certainly not a Parquet file")
    number, state, _ = failure(table, copy(run, "c.parquet"))
    assert (number, state) == (100080, "22000")


def test_an_unknown_stage_or_table_is_refused(table: SnowflakeCursor, run: str) -> None:
    assert failure(table, f"COPY INTO T FROM @NOPE/{run}/ {BY_NAME}")[:2] == (2003, "02000")
    assert failure(table, copy(run, "a.parquet", table="NOPE"))[:2] == (2003, "42S02")


def test_a_prefix_takes_all_files_under_it(table: SnowflakeCursor, run: str) -> None:
    assert len(rows(table, copy(run))) == 2


def test_a_pattern_narrows_the_files_down(table: SnowflakeCursor, run: str) -> None:
    found = rows(table, copy(run, options=f"PATTERN = '.*b[.]parquet' {BY_NAME}"))
    assert [row[0].rsplit("/", 1)[1] for row in found] == ["b.parquet"]


def test_a_size_limit_stops_after_the_file_that_reaches_it(
    table: SnowflakeCursor, run: str
) -> None:
    assert len(rows(table, copy(run, options=f"{BY_NAME} SIZE_LIMIT = 10"))) == 1


def test_a_temporary_table_like_another_can_be_loaded_and_is_private(
    table: SnowflakeCursor, run: str, connect: Callable[..., SnowflakeConnection], schema: str
) -> None:
    table.execute("CREATE TEMPORARY TABLE STAGING LIKE T")
    table.execute(copy(run, "a.parquet", table=f"DATAVAULT.{schema}.STAGING"))
    assert value(table, "SELECT COUNT(*) FROM STAGING") == 2
    assert value(table, f"SELECT COUNT(*) FROM DATAVAULT.{schema}.STAGING") == 2
    assert failure(connect().cursor(), "SELECT * FROM STAGING")[0] == 2003


def test_a_load_belongs_to_its_transaction(table: SnowflakeCursor, run: str) -> None:
    table.execute("BEGIN")
    table.execute(copy(run, "a.parquet"))
    table.execute("ROLLBACK")
    assert value(table, "SELECT COUNT(*) FROM T") == 0
    assert [row[1] for row in rows(table, copy(run, "a.parquet"))] == ["LOADED"]


def test_bytes_arrive_identical_with_the_vectorized_scanner(
    cursor: SnowflakeCursor, schema: str, lake: Lake
) -> None:
    every = bytes(range(256))
    lake.put(f"{schema}/bytes.parquet", b=[every, b"", None])
    cursor.execute("CREATE TABLE T (B BINARY)")
    cursor.execute(copy(schema, "bytes.parquet"))
    found = [row[0] if row[0] is None else bytes(row[0]) for row in rows(cursor, "SELECT B FROM T")]
    assert found == [every, b"", None]


def test_the_old_scanner_takes_bytes_for_text(
    cursor: SnowflakeCursor, schema: str, lake: Lake
) -> None:
    """BINARY_AS_TEXT is on unless one turns it off: Snowflake's own trap."""
    lake.put(f"{schema}/bytes.parquet", b=[b"\x00\xff"])
    lake.put(f"{schema}/hex.parquet", b=[b"00FF"])
    cursor.execute("CREATE TABLE T (B BINARY)")
    old = "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FILE_FORMAT = (TYPE = PARQUET{})"
    failure(cursor, copy(schema, "bytes.parquet", options=old.format("")))
    cursor.execute(copy(schema, "hex.parquet", options=old.format("")))
    cursor.execute(copy(schema, "bytes.parquet", options=old.format(" BINARY_AS_TEXT = FALSE")))
    assert [bytes(row[0]) for row in rows(cursor, "SELECT B FROM T")] == [b"\x00\xff", b"\x00\xff"]


def test_json_text_becomes_a_variant_that_holds_text(
    cursor: SnowflakeCursor, schema: str, lake: Lake
) -> None:
    lake.put(f"{schema}/json.parquet", v=['{"k": 1}', None])
    cursor.execute("CREATE TABLE T (V VARIANT)")
    cursor.execute(copy(schema, "json.parquet"))
    assert rows(cursor, "SELECT TYPEOF(V), V:k, PARSE_JSON(V):k::INT FROM T") == [
        ("VARCHAR", None, 1),
        (None, None, None),
    ]


def test_types_of_parquet_land_in_snowflakes(
    cursor: SnowflakeCursor, schema: str, lake: Lake
) -> None:
    moment = datetime.fromisoformat("2024-02-29 12:30:15.123456")
    lake.put(
        f"{schema}/types.parquet",
        n=pa.array([Decimal("1234567890123456789012345678.123456789")], pa.decimal128(38, 9)),
        ntz=pa.array([moment], pa.timestamp("us")),
        tz=pa.array([moment], pa.timestamp("us", "UTC")),
        d=pa.array([date(2024, 2, 29)]),
        f=pa.array([1.5]),
        b=pa.array([True]),
        i=pa.array([7], pa.int32()),
        l=pa.array([[1, 2]]),
    )
    cursor.execute(
        "CREATE TABLE T (N NUMBER(38,9), NTZ TIMESTAMP_NTZ, TZ TIMESTAMP_TZ, D DATE, F FLOAT, "
        "B BOOLEAN, I NUMBER(38,0), L VARIANT, ABSENT VARCHAR DEFAULT 'x')"
    )
    cursor.execute(copy(schema, "types.parquet"))
    assert rows(cursor, "SELECT * FROM T") == [
        (
            Decimal("1234567890123456789012345678.123456789"),
            moment,
            moment.replace(tzinfo=UTC),
            date(2024, 2, 29),
            1.5,
            True,
            7,
            "[1,2]",
            None,
        )
    ]


def test_without_matching_a_parquet_row_is_one_variant(table: SnowflakeCursor, run: str) -> None:
    assert failure(table, copy(run, "a.parquet", options=PARQUET))[:2] == (2019, "0A000")
    table.execute("CREATE TABLE V (V VARIANT)")
    table.execute(copy(run, "b.parquet", options=PARQUET, table="V"))
    assert rows(table, "SELECT V:id::INT, V:name::VARCHAR FROM V") == [(3, "z")]


def test_csv_and_json_lines_load(table: SnowflakeCursor, schema: str, lake: Lake) -> None:
    lake.put_bytes(f"{schema}/x.csv", b"ID,NAME\n1,one\n2,\n")
    lake.put_bytes(f"{schema}/x.json", b'{"a": 1}\n{"a": 2}\n')
    csv = "FILE_FORMAT = (TYPE = CSV SKIP_HEADER = 1)"
    table.execute(copy(schema, "x.csv", options=csv))
    assert rows(table, "SELECT * FROM T ORDER BY ID") == [(1, "one"), (2, None)]
    table.execute("CREATE TABLE J (V VARIANT)")
    table.execute(copy(schema, "x.json", options="FILE_FORMAT = (TYPE = JSON)", table="J"))
    assert rows(table, "SELECT V:a::INT FROM J ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize(
    "options",
    [
        "ON_ERROR = CONTINUE",
        "PURGE = TRUE",
        "VALIDATION_MODE = RETURN_ERRORS",
        "NO_SUCH_OPTION = 1",
        "FILE_FORMAT = (TYPE = AVRO)",
        "FILE_FORMAT = (FORMAT_NAME = 'mine')",
    ],
)
def test_an_option_that_cannot_be_obeyed_is_refused(
    table: SnowflakeCursor, run: str, options: str
) -> None:
    assert failure(table, copy(run, "a.parquet", options=options))[:2] == (2, "0A000")


def test_files_are_listed_and_removed(table: SnowflakeCursor, run: str) -> None:
    listed: list[Any] = rows(table, f"LIST @LAKE/{run}/")
    assert [row[0].rsplit("/", 1)[1] for row in listed] == ["a.parquet", "b.parquet"]
    table.execute(f"REMOVE @LAKE/{run}/a")
    assert len(rows(table, f"LS @LAKE/{run}/")) == 1


def test_loads_show_in_the_load_history(table: SnowflakeCursor, run: str) -> None:
    table.execute(copy(run, "a.parquet"))
    assert rows(
        table,
        "SELECT TABLE_NAME, STATUS, ROW_COUNT FROM INFORMATION_SCHEMA.LOAD_HISTORY "
        f"WHERE SCHEMA_NAME = '{run}'",
    ) == [("T", "LOADED", 2)]
