"""Every type of the provider's table, value by value, as it arrives."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector

INSTANT = pa.timestamp("us", "UTC")
WALL = pa.timestamp("us")
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
POINT = "0101000000000000000000F03F0000000000000040"
Case = tuple[str, pa.DataType, Any]
CASES: tuple[Case, ...] = (
    ("true", pa.bool_(), True),
    ("CAST(-128 AS TINYINT)", pa.int8(), -(2**7)),
    ("CAST(32767 AS SMALLINT)", pa.int16(), 2**15 - 1),
    ("-2147483648", pa.int32(), -(2**31)),
    ("9223372036854775807", pa.int64(), 2**63 - 1),
    ("CAST(0.1 AS FLOAT)", pa.float32(), 0.10000000149011612),
    ("CAST('-Infinity' AS FLOAT)", pa.float32(), -math.inf),
    ("0.1D", pa.float64(), 0.1),
    ("CAST('Infinity' AS DOUBLE)", pa.float64(), math.inf),
    ("CAST('-Infinity' AS DOUBLE)", pa.float64(), -math.inf),
    ("CAST(REPEAT('9', 38) AS DECIMAL(38, 0))", pa.decimal128(38), Decimal("9" * 38)),
    ("CAST('-1E-38' AS DECIMAL(38, 38))", pa.decimal128(38, 38), Decimal("-1E-38")),
    ("CAST(0 AS DECIMAL(5, 2))", pa.decimal128(5, 2), Decimal("0.00")),
    ("DATE '0001-01-01'", pa.date32(), date.min),
    ("DATE '9999-12-31'", pa.date32(), date.max),
    ("TIMESTAMP '2026-01-01 00:00:00.000001+01:00'", INSTANT, datetime(2025, 12, 31, 23, 0, 0, 1, tzinfo=UTC)),  # noqa: E501
    ("TIMESTAMP '0001-01-01 00:00:00'", INSTANT, FIRST),
    ("TIMESTAMP '9999-12-31 23:59:59.999999'", INSTANT, LAST),
    ("TIMESTAMP_NTZ '2026-03-29 02:30:00.000001'", WALL, datetime(2026, 3, 29, 2, 30, 0, 1)),  # noqa: DTZ001 - it has no zone
    ("TIMESTAMP_NTZ '0001-01-01 00:00:00'", WALL, FIRST.replace(tzinfo=None)),
    ("TIMESTAMP_NTZ '9999-12-31 23:59:59.999999'", WALL, LAST.replace(tzinfo=None)),
    ("'grüße \\'\\n\\t𝄞'", pa.string(), "grüße '\n\t𝄞"),
    ("''", pa.string(), ""),
    ("CAST('a ' AS VARCHAR(5))", pa.string(), "a "),
    ("X'00FF'", pa.binary(), b"\x00\xff"),
    ("X''", pa.binary(), b""),
    ("ARRAY(1, NULL)", pa.string(), "[1,null]"),
    ("ARRAY()", pa.string(), "[]"),
    ("MAP('a', 1)", pa.string(), '{"a":1}'),
    ("NAMED_STRUCT('x', 1, 'y', ARRAY('z'))", pa.string(), '{"x":1,"y":["z"]}'),
    ("PARSE_JSON('{\"a\": [1, 2.50]}')", pa.string(), '{"a":[1,2.5]}'),
    ("PARSE_JSON('null')", pa.string(), "null"),
    ("INTERVAL '-1-2' YEAR TO MONTH", pa.string(), "-1-2"),
    ("INTERVAL '1 02:03:04.5' DAY TO SECOND", pa.string(), "1 02:03:04.500000000"),
    (f"ST_GEOGFROMWKB(X'{POINT}')", pa.string(), "SRID=4326;POINT(1 2)"),
    ("NULL", pa.string(), None),
)  # fmt: skip
SCHEMA = pa.schema([(f"c{at}", kind) for at, (_, kind, _) in enumerate(CASES)])


def select(form: str = "{}") -> str:
    listed = (f"{form.format(sql)} AS c{at}" for at, (sql, _, _) in enumerate(CASES))
    return f"SELECT {', '.join(listed)}"


@pytest.fixture(scope="module")
def arrived(shared: Connector) -> pa.Table:
    return shared.query(select()).read_all()


@pytest.mark.parametrize("at", range(len(CASES)), ids=[sql for sql, _, _ in CASES])
def test_a_value_arrives_as_the_table_says(arrived: pa.Table, at: int) -> None:
    _, kind, value = CASES[at]
    assert arrived.schema.field(at).type == kind
    assert arrived.column(at).to_pylist() == [value]


def test_a_null_arrives_in_its_type(shared: Connector) -> None:
    found = shared.query(select("IF(true, NULL, {})")).read_all()
    assert found.schema == SCHEMA
    assert set(found.to_pylist()[0].values()) == {None}


def test_an_empty_result_has_the_same_types(shared: Connector) -> None:
    found = shared.query(f"{select()} WHERE 1 = 2").read_all()
    assert (found.schema, found.num_rows) == (SCHEMA, 0)


def test_not_a_number_arrives_as_such(shared: Connector) -> None:
    found = shared.query("SELECT DOUBLE('NaN') AS d, FLOAT('NaN') AS f").read_all()
    assert found.schema.types == [pa.float64(), pa.float32()]
    assert all(math.isnan(value) for value in found.to_pylist()[0].values())
