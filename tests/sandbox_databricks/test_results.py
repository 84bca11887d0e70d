"""Rows as the vendor's client gets them."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from .conftest import Connect, rows, table

VALUES: tuple[tuple[str, pa.DataType, Any], ...] = (
    ("true", pa.bool_(), True),
    ("CAST(-128 AS TINYINT)", pa.int8(), -128),
    ("CAST(32767 AS SMALLINT)", pa.int16(), 32767),
    ("-2147483648", pa.int32(), -(2**31)),
    ("9223372036854775807", pa.int64(), 2**63 - 1),
    ("CAST(1.5 AS FLOAT)", pa.float32(), 1.5),
    ("DOUBLE('-Infinity')", pa.float64(), float("-inf")),
    ("CAST(REPEAT('9', 38) AS DECIMAL(38, 0))", pa.decimal128(38), Decimal("9" * 38)),
    ("CAST('1E-38' AS DECIMAL(38, 38))", pa.decimal128(38, 38), Decimal("1E-38")),
    ("'grüße \\'\\n'", pa.string(), "grüße '\n"),
    ("''", pa.string(), ""),
    ("X'00FF'", pa.binary(), b"\x00\xff"),
    ("DATE '0001-01-01'", pa.date32(), date.min),
    ("DATE '9999-12-31'", pa.date32(), date.max),
    ("ARRAY(1, NULL)", pa.string(), "[1,null]"),
    ("MAP('a', 1)", pa.string(), '{"a":1}'),
    ("NAMED_STRUCT('x', 1, 'y', 'z')", pa.string(), '{"x":1,"y":"z"}'),
    ("PARSE_JSON('{\"a\": [1, 2]}')", pa.string(), '{"a":[1,2]}'),
    ("INTERVAL '1-2' YEAR TO MONTH", pa.string(), "1-2"),
    ("INTERVAL '1 02:03:04.5' DAY TO SECOND", pa.string(), "1 02:03:04.500000000"),
    ("TIMESTAMP_NTZ '2026-01-02 03:04:05.6'", pa.timestamp("us"), datetime(2026, 1, 2, 3, 4, 5, 600000)),  # noqa: DTZ001, E501 - it has no zone
    ("TIMESTAMP '2026-01-02 03:04:05 +02:00'", pa.timestamp("us", "UTC"), datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),  # noqa: E501
    ("TIMESTAMP '0001-01-01 00:00:00'", pa.timestamp("us", "UTC"), datetime(1, 1, 1, tzinfo=UTC)),
    ("NULL", pa.null(), None),
)  # fmt: skip


def test_values_arrive_with_their_types(cursor: Any) -> None:
    found = table(cursor, f"SELECT {', '.join(sql for sql, _, _ in VALUES)}")
    arrived = [(c.type, c.to_pylist()) for c in found.columns]
    assert arrived == [(kind, [value]) for _, kind, value in VALUES]


def test_nulls_arrive_with_their_types(cursor: Any) -> None:
    found = table(cursor, f"SELECT {', '.join(f'IF(true, NULL, {sql})' for sql, _, _ in VALUES)}")
    arrived = [(c.type, c.to_pylist()) for c in found.columns]
    assert arrived == [(kind, [None]) for _, kind, _ in VALUES]


def test_not_a_number_arrives_as_such(cursor: Any) -> None:
    ((value,),) = rows(cursor, "SELECT DOUBLE('NaN')")
    assert math.isnan(value)


def test_nulls_stand_where_they_are(cursor: Any) -> None:
    found = rows(cursor, "SELECT IF(id % 3 = 0, NULL, id) FROM range(0, 100, 1, 1)")
    assert found == [(None if number % 3 == 0 else number,) for number in range(100)]


def test_an_empty_result_has_its_types(cursor: Any) -> None:
    found = table(cursor, "SELECT 1 AS a, TIMESTAMP_NTZ '2026-01-01 00:00:00' AS b LIMIT 0")
    assert found.schema.types == [pa.int32(), pa.timestamp("us")]
    assert found.num_rows == 0


def test_columns_may_share_a_name(cursor: Any) -> None:
    found = table(cursor, "SELECT 1 AS a, PARSE_JSON('2') AS a, 3 AS b")
    assert found.schema.names == ["a", "a", "b"]
    assert [column.to_pylist() for column in found.columns] == [[1], ["2"], [3]]


def test_many_rows_come_in_order_and_in_parts(shared: Any) -> None:
    with shared.cursor(arraysize=7_000) as cursor:
        cursor.execute("SELECT id FROM range(0, 50000, 1, 1)")
        parts = []
        while (part := cursor.fetchmany_arrow(7_000)).num_rows:
            parts.append(part)
    assert [part.num_rows for part in parts] == [7_000] * 7 + [1_000]
    assert pa.concat_tables(parts).column(0).to_pylist() == list(range(50_000))


def test_a_fetch_keeps_to_its_bytes(shared: Any) -> None:
    with shared.cursor(buffer_size_bytes=100_000) as cursor:
        cursor.execute("SELECT REPEAT('x', 100) AS v FROM range(0, 100000, 1, 1)")
        assert 0 < cursor.active_result_set.results.n_valid_rows < 100_000
        assert cursor.fetchall_arrow().num_rows == 100_000


def test_a_row_limit_is_kept(shared: Any) -> None:
    with shared.cursor(row_limit=11) as cursor:
        assert table(cursor, "SELECT id FROM range(1000)").num_rows == 11


def test_wall_clocks_are_of_the_sessions_time_zone(connect: Connect) -> None:
    zone = "Europe/Helsinki"
    with connect(session_configuration={"TIMEZONE": zone}).cursor() as cursor:
        cursor.execute("SELECT TIMESTAMP '2026-07-01 12:00:00' AS t, current_timezone() AS z")
        found = cursor.fetchall_arrow()
    assert found.schema.types[0] == pa.timestamp("us", zone)
    instant = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    assert found.to_pylist() == [{"t": instant, "z": zone}]
