"""Every type's values as they arrive: from the stand-in, and as only the real service sends them.

The latter are written as its wire has them, and decoded by the vendor's own client.
"""

import base64
import datetime
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from snowflake.connector.arrow_context import ArrowConverterContext
from snowflake.connector.cursor import ResultMetadataV2
from snowflake.connector.result_batch import ArrowResultBatch

from connectors import Connector
from connectors.errors import ConnectionLost, DataError
from connectors.snowflake import types

UTC = datetime.UTC
NTZ, TZ = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
DIGITS = 12345678901234567890123456789012345678
SMALL = "1.2345678901234567890123456789012345678"
LAST = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 a wall clock


def one(warehouse: Connector, sql: str, params: Any = ()) -> tuple[pa.DataType, Any]:
    table = warehouse.query(f"SELECT {sql} AS V", params).read_all()
    return table.schema.types[0], table.column(0)[0].as_py()


@pytest.mark.parametrize(
    ("sql", "kind", "value"),
    [
        ("1::NUMBER(18,0)", pa.int64(), 1),
        (f"{DIGITS}::NUMBER(38,0)", pa.decimal128(38, 0), Decimal(DIGITS)),
        (f"-{DIGITS}::NUMBER(38,0)", pa.decimal128(38, 0), Decimal(f"-{DIGITS}")),
        ("1::NUMBER(38,0)", pa.decimal128(38, 0), Decimal(1)),
        (f"'{SMALL}'::NUMBER(38,37)", pa.decimal128(38, 37), Decimal(SMALL)),
        ("-0.05::NUMBER(4,2)", pa.decimal128(4, 2), Decimal("-0.05")),
        ("1.5::FLOAT", pa.float64(), 1.5),
        ("'inf'::FLOAT", pa.float64(), math.inf),
        ("'-inf'::FLOAT", pa.float64(), -math.inf),
        ("FALSE", pa.bool_(), False),
        ("''", pa.string(), ""),
        ("'é🙂'", pa.string(), "é🙂"),
        ("TO_BINARY('00FF', 'HEX')", pa.binary(), b"\x00\xff"),
        ("TO_BINARY('', 'HEX')", pa.binary(), b""),
        ("'0001-01-01'::DATE", pa.date32(), datetime.date(1, 1, 1)),
        ("'9999-12-31'::DATE", pa.date32(), datetime.date(9999, 12, 31)),
        ("'23:59:59.999999'::TIME", pa.time64("us"), datetime.time(23, 59, 59, 999999)),
        ("'00:00:00'::TIME", pa.time64("us"), datetime.time(0)),
        ("'0001-01-01 00:00:00.000001'::TIMESTAMP_NTZ", NTZ, LAST.min.replace(microsecond=1)),
        ("'9999-12-31 23:59:59.999999'::TIMESTAMP_NTZ", NTZ, LAST),
        (
            "'1969-12-31 23:59:59.999999'::TIMESTAMP_LTZ",
            TZ,
            datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
        (
            "'2026-01-02 03:04:05.123456 +0530'::TIMESTAMP_TZ",
            TZ,
            datetime.datetime(2026, 1, 1, 21, 34, 5, 123456, tzinfo=UTC),
        ),
        ("PARSE_JSON('null')", pa.string(), "null"),
        ("PARSE_JSON('[1, {\"a\": 12345678901234567890}]')", pa.string(), None),
    ],
)
def test_value_arrives_exactly(
    warehouse: Connector, sql: str, kind: pa.DataType, value: Any
) -> None:
    found_kind, found = one(warehouse, sql)
    assert found_kind == kind
    if value is None:
        assert found.replace(" ", "") == '[1,{"a":12345678901234567890}]'
    else:
        assert found == value
        assert type(found) is type(value)


def test_not_a_number_stays_one(warehouse: Connector) -> None:
    kind, found = one(warehouse, "'NaN'::FLOAT")
    assert kind == pa.float64()
    assert math.isnan(found)


@pytest.mark.parametrize(
    "kind",
    """NUMBER(5,0) NUMBER(38,2) FLOAT VARCHAR BINARY BOOLEAN DATE TIME TIMESTAMP_NTZ TIMESTAMP_LTZ
    TIMESTAMP_TZ VARIANT""".split(),
)
def test_null_is_null_in_its_type(warehouse: Connector, kind: str) -> None:
    _, found = one(warehouse, f"NULL::{kind}")
    assert found is None


@pytest.mark.parametrize(
    ("value", "cast", "arrived"),
    [
        (7, "INT", 7),
        (Decimal("1.25"), "NUMBER(10,2)", Decimal("1.25")),
        ("x'y", "VARCHAR", "x'y"),
        (True, "BOOLEAN", True),
        (b"\x00\xff", "BINARY", b"\x00\xff"),
        (datetime.date(2026, 1, 2), "DATE", datetime.date(2026, 1, 2)),
        (None, "VARCHAR", None),
    ],
)
def test_bound_value_takes_a_cast_of_either_kind(
    warehouse: Connector, value: Any, cast: str, arrived: Any
) -> None:
    assert one(warehouse, f"CAST(? AS {cast})", [value])[1] == arrived
    assert one(warehouse, f"?::{cast}", [value])[1] == arrived


def test_field_says_what_its_arrow_type_does_not(warehouse: Connector) -> None:
    with warehouse.query(
        "SELECT PARSE_JSON('1') AS V, '2026-01-02 03:04:05 +0200'::TIMESTAMP_TZ AS TZ, 1 AS N"
    ) as result:
        assert [field.metadata for field in result.schema] == [
            {b"native": b"VARIANT"},
            {b"native": b"TIMESTAMP_TZ"},
            None,
        ]


# As only the real service sends it


def column(kind: str, **facts: Any) -> ResultMetadataV2:
    described = {"name": "C", "type": kind, "nullable": True, "length": None}
    return ResultMetadataV2.from_column(described | {"precision": None, "scale": None} | facts)


def decoded(array: pa.Array, described: ResultMetadataV2, **metadata: str) -> pa.Table:
    """A chunk with that array as its one column, as our reader has it."""
    kind = types.native_type(described).partition("(")[0]
    wire = {"logicalType": kind, "scale": str(described.scale or 0), "precision": "38"} | metadata
    schema = pa.schema([pa.field("C", array.type, metadata=wire)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([array], schema=schema))
    batch = ArrowResultBatch.from_data(
        base64.b64encode(sink.getvalue()).decode(),
        len(array),
        ArrowConverterContext({"TIMEZONE": "UTC"}),
        False,
        False,
        [described],
        True,
    )
    fine = types.fine_columns([described])
    return types.table_of(batch, None, types.arrow_schema([described]), fine)  # type: ignore[arg-type]


def moments(*values: tuple[int, int] | None) -> pa.Array:
    """Seconds and nanoseconds since 1970, as timestamps of nine digits come."""
    rows = [value and {"epoch": value[0], "fraction": value[1]} for value in values]
    return pa.array(rows, pa.struct([("epoch", pa.int64()), ("fraction", pa.int32())]))


@pytest.mark.parametrize("kind", ["TIMESTAMP_NTZ", "TIMESTAMP_LTZ"])
def test_nanoseconds_are_refused_by_name_and_never_cut(kind: str) -> None:
    nine = column(kind, scale=9)
    whole = decoded(moments((0, 123_456_000), None, (-62_135_596_800, 0)), nine)
    assert whole.column(0).cast(pa.int64()).to_pylist() == [123_456, None, -62_135_596_800_000_000]
    # The client cuts them off where another moment of the chunk is too far away for nanoseconds.
    far = (253_402_300_799, 0)
    for values in [(0, 123_456_789)], [far, (0, 1)], [(0, 0), (-1, 999_999_999)]:
        with pytest.raises(DataError, match=r"Column C .* nanoseconds") as caught:
            decoded(moments(*values), nine)
        assert "::" in caught.value.advice
    assert decoded(moments(far), nine).column(0)[0].as_py().year == 9999


def test_nanoseconds_with_an_offset_are_refused_too() -> None:
    nine = column("TIMESTAMP_TZ", scale=9)
    parts = [("epoch", pa.int64()), ("fraction", pa.int32()), ("timezone", pa.int32())]
    row = {"epoch": 0, "fraction": 5_000, "timezone": 1440 + 330}
    (found,) = decoded(pa.array([row], pa.struct(parts)), nine, byteLength="16").column(0)
    assert found.as_py() == datetime.datetime(1970, 1, 1, microsecond=5, tzinfo=UTC)
    with pytest.raises(DataError):
        decoded(pa.array([row | {"fraction": 1}], pa.struct(parts)), nine, byteLength="16")


def test_nanoseconds_of_a_time_are_refused_too() -> None:
    nine = column("TIME", scale=9)
    whole = decoded(pa.array([1_000, None], pa.int64()), nine)
    assert whole.column(0).to_pylist() == [datetime.time(0, 0, 0, 1), None]
    with pytest.raises(DataError, match="Column C"):
        decoded(pa.array([1_001], pa.int64()), nine)


@pytest.mark.parametrize(("scale", "unit"), [(0, 1_000_000), (3, 1_000), (6, 1)])
def test_shorter_fractions_are_exact(scale: int, unit: int) -> None:
    described = column("TIMESTAMP_NTZ", scale=scale)
    found = decoded(pa.array([7, -7, None], pa.int64()), described)
    assert found.schema.types == [NTZ]
    assert found.column(0).cast(pa.int64()).to_pylist() == [7 * unit, -7 * unit, None]


def test_vector_is_a_list_of_its_own_length() -> None:
    element = {"type": "REAL", "nullable": False, "length": None, "precision": None, "scale": None}
    described = column("VECTOR", vectorDimension=2, fields=[element])
    sent = pa.array([[1.5, -2.0], None], pa.list_(pa.float32(), 2))
    found = decoded(sent, described)
    assert found.schema.types == [pa.list_(pa.float32(), 2)]
    assert found.column(0).to_pylist() == [[1.5, -2.0], None]
    assert types.native_type(described) == "VECTOR(FLOAT,2)"
    assert types.arrow_type("VECTOR(INT, 256)") == pa.list_(pa.int32(), 256)


@pytest.mark.parametrize("kind", ["GEOGRAPHY", "GEOMETRY", "OBJECT", "ARRAY", "MAP", "FILE"])
def test_type_that_arrow_lacks_is_text(kind: str) -> None:
    described = column(kind, extTypeName=kind)
    found = decoded(pa.array(['{"a":1}', None]), described, logicalType="VARIANT")
    assert found.schema.field(0).metadata == {b"native": kind.encode()}
    assert found.column(0).to_pylist() == ['{"a":1}', None]


@pytest.mark.parametrize("kind", ["INTERVAL_DAY_TIME", "INTERVAL_YEAR_MONTH", "DECFLOAT"])
def test_type_that_cannot_be_exact_is_refused_by_name(kind: str) -> None:
    with pytest.raises(DataError, match="Column C") as caught:
        types.arrow_schema([column(kind)])
    assert "VARCHAR" in caught.value.advice


def test_chunk_that_is_not_whole_is_no_result() -> None:
    described = column("FIXED", precision=9, scale=0)
    sink = pa.BufferOutputStream()
    wire = {"logicalType": "FIXED", "scale": "0", "precision": "9"}
    schema = pa.schema([pa.field("C", pa.int8(), metadata=wire)])
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int8())], schema=schema))
    batch = ArrowResultBatch.from_data(
        base64.b64encode(sink.getvalue()).decode(),
        2,
        ArrowConverterContext({"TIMEZONE": "UTC"}),
        False,
        False,
        [described],
        True,
    )
    with pytest.raises(ConnectionLost):
        types.table_of(batch, None, types.arrow_schema([described]), ())  # type: ignore[arg-type]
