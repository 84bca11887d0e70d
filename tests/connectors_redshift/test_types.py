"""Values arrive as the warehouse holds them, or not at all."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from connectors import Connector
from connectors.errors import DataError

MOST = "9" * 38
LOCAL_TIME, INSTANT = pa.timestamp("us"), pa.timestamp("us", "UTC")


# A column that has no binary form of ours makes the whole result come as text.
BESIDE = {"binary": "", "text": ", interval '1 day' AS beside"}


def value(warehouse: Connector, expression: str, form: str = "binary") -> tuple[pa.DataType, Any]:
    table = warehouse.query(f"SELECT {expression} AS v{BESIDE[form]}").read_all()
    return table.schema.field("v").type, table.column("v")[0].as_py()


@pytest.fixture(params=BESIDE)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("true", pa.bool_(), True),
        ("false", pa.bool_(), False),
        ("32767::smallint", pa.int16(), 32767),
        ("(-32768)::smallint", pa.int16(), -32768),
        ("2147483647::int", pa.int32(), 2147483647),
        ("(-2147483648)::int", pa.int32(), -2147483648),
        ("9223372036854775807::bigint", pa.int64(), 9223372036854775807),
        ("(-9223372036854775808)::bigint", pa.int64(), -9223372036854775808),
        (f"{MOST}::numeric(38, 0)", pa.decimal128(38, 0), Decimal(MOST)),
        (f"(-9.{MOST[1:]})::numeric(38, 37)", pa.decimal128(38, 37), Decimal(f"-9.{MOST[1:]}")),
        ("12345678901234567890.123456789012345678::numeric(38, 18)", pa.decimal128(38, 18),
         Decimal("12345678901234567890.123456789012345678")),
        ("1.50::numeric", pa.string(), "1.50"),
        ("0.1::float8 + 0.2::float8", pa.float64(), 0.1 + 0.2),
        ("1.7976931348623157e308::float8", pa.float64(), 1.7976931348623157e308),
        ("4.9406564584124654e-324::float8", pa.float64(), 5e-324),
        ("'infinity'::float8", pa.float64(), math.inf),
        ("'-infinity'::float8", pa.float64(), -math.inf),
        ("0.5::float4", pa.float32(), 0.5),
        ("'-infinity'::float4", pa.float32(), -math.inf),
        ("''::varchar(20)", pa.string(), ""),
        ("'grün ✓ 𝄞'::varchar(20)", pa.string(), "grün ✓ 𝄞"),
        ("'two\nlines\tand \"more\"'::varchar(30)", pa.string(), 'two\nlines\tand "more"'),
        ("'ab'::char(4)", pa.string(), "ab  "),
        ("date '0001-01-01'", pa.date32(), date(1, 1, 1)),
        ("date '9999-12-31'", pa.date32(), date(9999, 12, 31)),
        ("timestamp '0001-01-01 00:00:00'", LOCAL_TIME, datetime(1, 1, 1)),  # noqa: DTZ001
        ("timestamp '9999-12-31 23:59:59.999999'", LOCAL_TIME,
         datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001 - has no zone there either
        ("timestamptz '2026-01-01 00:30:00.5+02'", INSTANT,
         datetime(2025, 12, 31, 22, 30, 0, 500000, UTC)),
        ("timestamptz '2026-01-01 00:30:00-11:30'", INSTANT, datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("timestamptz '1883-11-18 12:03:58-04:56:02'", INSTANT,
         datetime(1883, 11, 18, 17, 0, tzinfo=UTC)),
        ("time '24:00:00'", pa.string(), "24:00:00"),
        ("timetz '23:59:59.999999-11:30'", pa.string(), "23:59:59.999999-11:30"),
        ("interval '1 year 2 days'", pa.string(), "1 year 2 days"),
        ("'{\"a\": 1.10000000000000000001}'::json", pa.string(), '{"a": 1.10000000000000000001}'),
        ("'[1, {\"b\": null}]'::json", pa.string(), '[1, {"b": null}]'),
        ("ARRAY[1, NULL]", pa.string(), "{1,NULL}"),
        ("'\\\\x00ff27'::bytea", pa.binary(), b"\x00\xff'"),
        ("''::bytea", pa.binary(), b""),
    ],
)  # fmt: skip
def test_values_arrive_as_they_are(
    warehouse: Connector, expression: str, kind: pa.DataType, expected: Any, form: str
) -> None:
    assert value(warehouse, expression, form) == (kind, expected)


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        ("boolean", pa.bool_()),
        ("smallint", pa.int16()),
        ("int", pa.int32()),
        ("bigint", pa.int64()),
        ("numeric(38, 37)", pa.decimal128(38, 37)),
        ("real", pa.float32()),
        ("double precision", pa.float64()),
        ("varchar(5)", pa.string()),
        ("date", pa.date32()),
        ("timestamp", LOCAL_TIME),
        ("timestamptz", INSTANT),
        ("time", pa.string()),
        ("interval", pa.string()),
        ("bytea", pa.binary()),
    ],
)
def test_null_is_null_in_every_type(
    warehouse: Connector, native: str, kind: pa.DataType, form: str
) -> None:
    assert value(warehouse, f"NULL::{native}", form) == (kind, None)


@pytest.mark.parametrize("native", ["float4", "float8"])
def test_a_nan_stays_one(warehouse: Connector, native: str, form: str) -> None:
    assert math.isnan(value(warehouse, f"'NaN'::{native}", form)[1])


@pytest.mark.parametrize(
    "expression",
    [
        "date 'infinity'",
        "date '10000-01-01'",
        "date '0001-12-31 BC'",
        "timestamp '0044-03-15 BC'",
        "timestamp '10000-01-01'",
        "timestamptz '-infinity'",
        "'NaN'::numeric(10, 2)",
    ],
)
def test_a_value_that_arrow_cannot_hold_is_refused_by_its_column(
    warehouse: Connector, expression: str, form: str
) -> None:
    sql = f"SELECT 1 AS fine, {expression} AS odd_one, date '2026-01-01' AS also_fine{BESIDE[form]}"
    with pytest.raises(DataError, match="odd_one"):
        warehouse.query(sql).read_all()
    assert value(warehouse, "1")[1] == 1


def test_a_real_is_exact_in_binary_form_and_flagged_as_text(warehouse: Connector) -> None:
    real = "('0.123456789'::float4 / 3::float4) AS rough, 0.1::float8 AS fine"
    with warehouse.query(f"SELECT {real}{BESIDE['text']}") as result:
        batches = list(result)
    for schema in (result.schema, batches[0].schema):
        rough, fine, _ = schema
        assert rough.metadata == {
            b"native": b"real",
            b"inexact": b"Redshift sends 8 of 9 significant digits.",
        }
        assert fine.metadata is None
    with warehouse.query(f"SELECT {real}") as result:
        batches = list(result)
    assert [field.metadata for field in result.schema] == [None, None]
    third = np.float32("0.123456789") / np.float32(3)
    assert batches[0].column("rough").to_pylist() == [float(third)]


def test_many_rows_with_nulls_are_the_same_in_both_forms(warehouse: Connector) -> None:
    numbers = "SELECT " + ", ".join(
        f"CASE WHEN i % {n} > 0 THEN {value} END AS c{n}"
        for n, value in enumerate(
            [
                "i", "(i * i)::bigint", "(i / 7.0)::numeric(12, 5)", "(-i / 7.0)::numeric(38, 20)",
                "repeat('ü', i % 50)", "date '2020-01-01' + i", "i % 2 = 0", "i / 7.0::float8",
                "timestamptz '2020-01-01' + i * interval '1 minute'", "''::varchar(3)",
            ],
            2,
        )
    )  # fmt: skip
    source = " FROM (SELECT generate_series(0, 12345)::int AS i) AS s ORDER BY i"
    binary = warehouse.query(f"{numbers}{source}").read_all()
    text = warehouse.query(f"{numbers}{BESIDE['text']}{source}").read_all()
    assert binary.num_rows == 12_346
    assert binary.equals(text.drop_columns("beside"))
