"""Values arrive as they went in, small results and large ones."""

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from .conftest import failure, names, rows, value
from .standin import StandIn, memory_mb

moment = datetime.datetime.fromisoformat


BIG = 12345678901234567890123456789012345678
LONG = Decimal("12345678901234567890123456789.123456789")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"{BIG}::NUMBER(38,0)", BIG),
        (f"{LONG}::NUMBER(38,9)", LONG),
        ("-0.000000001::NUMBER(38,9)", Decimal("-0.000000001")),
        # From Snowflake's documentation of the function.
        ("MD5_NUMBER_LOWER64('Snowflake')", 9203306159527282910),
        ("1.5::FLOAT", 1.5),
        ("'NaN'::FLOAT > 1", True),
        ("'déjà vu ☃'", "déjà vu ☃"),
        ("TO_BINARY('00FF10', 'HEX')", b"\x00\xff\x10"),
        ("TO_BINARY('00FF')", b"\x00\xff"),
        ("X'AB'", b"\xab"),
        ("'0001-01-01'::DATE", datetime.date(1, 1, 1)),
        ("'9999-12-31'::DATE", datetime.date(9999, 12, 31)),
        ("'23:59:59.999999'::TIME", datetime.time(23, 59, 59, 999999)),
        ("'1969-12-31 23:59:59.999999'::TIMESTAMP_NTZ", moment("1969-12-31 23:59:59.999999")),
        ("'9999-12-31 23:59:59.999999'::TIMESTAMP_NTZ", moment("9999-12-31 23:59:59.999999")),
        ("'2024-03-01 12:00:00 +05:30'::TIMESTAMP_TZ", moment("2024-03-01 06:30:00+00:00")),
        ("'2024-03-01 12:00:00'::TIMESTAMP_LTZ", moment("2024-03-01 12:00:00+00:00")),
        ("TRUE", True),
        ("NULL", None),
        ('PARSE_JSON(\'{"b": [1, null], "a": "x"}\'):b[0]::INT', 1),
        ("'text'::VARIANT", '"text"'),
    ],
)
def test_a_value_arrives_exactly(reader: SnowflakeCursor, sql: str, expected: Any) -> None:
    assert value(reader, f"SELECT {sql}") == expected


def test_sums_of_numbers_are_exact(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE T (N NUMBER(38,0), D NUMBER(38,9))")
    cursor.execute(
        "INSERT INTO T VALUES (9007199254740993, 0.1), (9007199254740993, 0.2), (1, 0.000000001)"
    )
    assert rows(cursor, "SELECT SUM(N), SUM(D) FROM T") == [
        (18014398509481987, Decimal("0.300000001"))
    ]


def test_columns_say_their_types(cursor: SnowflakeCursor) -> None:
    cursor.execute(
        "CREATE TABLE T (N NUMBER(10,2), S VARCHAR, B BINARY, V VARIANT, O OBJECT, A ARRAY, "
        "TZ TIMESTAMP_TZ, LTZ TIMESTAMP_LTZ, NTZ TIMESTAMP_NTZ, D DATE, T TIME, F FLOAT, X BOOLEAN)"
    )
    cursor.execute("SELECT * FROM T")
    fields = snowflake_fields()
    assert [(column.name, fields[column.type_code]) for column in cursor.description] == [
        ("N", "FIXED"), ("S", "TEXT"), ("B", "BINARY"), ("V", "VARIANT"), ("O", "OBJECT"),
        ("A", "ARRAY"), ("TZ", "TIMESTAMP_TZ"), ("LTZ", "TIMESTAMP_LTZ"), ("NTZ", "TIMESTAMP_NTZ"),
        ("D", "DATE"), ("T", "TIME"), ("F", "REAL"), ("X", "BOOLEAN"),
    ]  # fmt: skip
    assert (cursor.description[0].precision, cursor.description[0].scale) == (10, 2)


def test_describe_tells_columns_without_running(reader: SnowflakeCursor) -> None:
    described = reader.describe("SELECT 1 AS A, ERROR('never') AS B")
    assert [column.name for column in described] == ["A", "B"]


def test_expressions_are_named_by_their_text(reader: SnowflakeCursor) -> None:
    reader.execute('SELECT count(*), 1, max(1) /* comment */, current_date, 1 AS "mixedCase"')
    assert names(reader) == ["COUNT(*)", "1", "MAX(1)", "CURRENT_DATE", "mixedCase"]


def test_a_large_result_comes_as_arrow_in_parts(standin: StandIn, connect: Any) -> None:
    cursor = connect(arrow_number_to_decimal=True).cursor()
    cursor.execute(
        """CREATE TABLE BIG AS SELECT
            SEQ8() AS ID, 'row ' || SEQ8() AS T, TO_BINARY(SHA2('x' || SEQ8()), 'HEX') AS B,
            (SEQ8() * 1.000000001)::NUMBER(38,9) AS N,
            DATEADD(SECOND, SEQ8(), '2024-01-01'::TIMESTAMP_NTZ) AS TS, SEQ8() / 4 AS F,
            SEQ8() % 2 = 0 AS EVEN, PARSE_JSON('{"k":' || SEQ8() || '}') AS V
        FROM TABLE(GENERATOR(ROWCOUNT => 200000))"""
    )
    cursor.execute("SELECT * FROM BIG ORDER BY ID")
    batches = list(cursor.fetch_arrow_batches())
    assert len(batches) > 2
    assert sum(batch.num_rows for batch in batches) == 200_000
    last = batches[-1].slice(batches[-1].num_rows - 1).to_pylist()[0]
    assert last["ID"] == 199_999
    assert last["N"] == Decimal("199999.000199999")
    assert last["TS"] == moment("2024-01-03 07:33:19")
    assert last["V"] == '{"k":199999}'
    assert len(last["B"]) == 32
    assert standin.process is not None
    assert memory_mb(standin.process.pid) < 700


def test_numbers_are_packed_as_the_real_server_packs_them(reader: SnowflakeCursor) -> None:
    """So a client that needs exact decimals has to ask for them, as with the real thing."""
    reader.execute("SELECT 1::NUMBER(38,0) AS I, 1.5::NUMBER(38,9) AS D")
    (table,) = reader.fetch_arrow_batches()
    assert table.schema.types == [pa.int8(), pa.float64()]


def test_binary_columns_keep_every_byte(cursor: SnowflakeCursor) -> None:
    every = bytes(range(256))
    cursor.execute("CREATE TABLE T (B BINARY)")
    cursor.execute("INSERT INTO T SELECT TO_BINARY(%s, 'HEX')", (every.hex(),))
    assert bytes(value(cursor, "SELECT B FROM T")) == every


def test_bound_values_are_exact(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = connect(paramstyle="qmark").cursor()
    given = (
        1,
        "x'y\\z",
        1.5,
        Decimal("12345678901234567890.123456789"),
        datetime.date(1969, 12, 31),
        moment("2024-01-01 01:02:03.999999"),
        datetime.time(1, 2, 3, 999999),
        b"\x00\xff",
        None,
        True,
    )
    places = ", ".join("?" * len(given))
    assert rows(cursor, f"SELECT {places}", given) == [given]


def test_a_missing_bound_value_is_an_error(connect: Any) -> None:
    cursor = connect(paramstyle="qmark").cursor()
    assert failure(cursor, "SELECT ?")[0] == 2049


def test_a_bound_batch_is_one_statement(connect: Any) -> None:
    cursor = connect(paramstyle="qmark").cursor()
    cursor.execute("CREATE TABLE T (A INT NOT NULL, S VARCHAR)")
    cursor.executemany("INSERT INTO T VALUES (?, ?)", [(i, f"r{i}") for i in range(300)])
    assert cursor.rowcount == 300
    with pytest.raises(Exception, match="non-nullable"):
        cursor.executemany("INSERT INTO T VALUES (?, ?)", [(1, "x"), (None, "y")])
    assert value(cursor, "SELECT COUNT(*) FROM T") == 300


def test_a_client_side_batch_inserts_all_rows(cursor: SnowflakeCursor) -> None:
    cursor.execute("CREATE TABLE T (A INT, S VARCHAR)")
    cursor.executemany("INSERT INTO T VALUES (%s, %s)", [(i, f"r'{i}") for i in range(1000)])
    assert value(cursor, "SELECT COUNT(DISTINCT S) FROM T") == 1000


def test_an_earlier_result_can_be_read_again(connection: SnowflakeConnection) -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT 42 AS A")
    assert rows(cursor, "SELECT * FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))") == [(42,)]


def snowflake_fields() -> dict[int, str]:
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    return dict(FIELD_ID_TO_NAME)
