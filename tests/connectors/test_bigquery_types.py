"""Values of every type of BigQuery, as they arrive, by whichever way the rows come."""

import datetime
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.bigquery.types import arrow_type
from connectors.errors import DataError, InvalidParameters
from tests import vendors
from tests.connectors.helpers import assert_arrives

UTC = datetime.UTC
LAST = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 a DATETIME has no zone
NUMERIC, BIGNUMERIC = pa.decimal128(38, 9), pa.decimal256(76, 38)
INSTANT = pa.timestamp("us", tz="UTC")
MOST_76 = "99999999999999999999999999999999999999.99999999999999999999999999999999999999"
MOST_77 = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"
LEAST_77 = "-578960446186580977117854925043439539266.34992332820282019728792003956564819968"


def struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


VALUES: list[tuple[str, pa.DataType, Any]] = [
    ("TRUE", pa.bool_(), True),
    ("CAST(NULL AS BOOL)", pa.bool_(), None),
    ("9223372036854775807", pa.int64(), 2**63 - 1),
    ("-9223372036854775808", pa.int64(), -(2**63)),
    ("CAST(NULL AS INT64)", pa.int64(), None),
    ("1.5", pa.float64(), 1.5),
    ("CAST('inf' AS FLOAT64)", pa.float64(), math.inf),
    ("CAST('-inf' AS FLOAT64)", pa.float64(), -math.inf),
    (
        "NUMERIC '99999999999999999999999999999.999999999'",
        NUMERIC,
        Decimal("99999999999999999999999999999.999999999"),
    ),
    ("NUMERIC '-0.000000001'", NUMERIC, Decimal("-0.000000001")),
    ("CAST(NULL AS NUMERIC)", NUMERIC, None),
    (f"BIGNUMERIC '{MOST_76}'", BIGNUMERIC, Decimal(MOST_76)),
    (f"BIGNUMERIC '-{MOST_76}'", BIGNUMERIC, Decimal(f"-{MOST_76}")),
    ("BIGNUMERIC '1.5'", BIGNUMERIC, Decimal("1.5")),
    ("CAST(NULL AS BIGNUMERIC)", BIGNUMERIC, None),
    ("'é\\n\"'", pa.string(), 'é\n"'),
    ("''", pa.string(), ""),
    ("CAST(NULL AS STRING)", pa.string(), None),
    ("b'\\x00\\xff'", pa.binary(), b"\x00\xff"),
    ("b''", pa.binary(), b""),
    ("CAST(NULL AS BYTES)", pa.binary(), None),
    ("DATE '0001-01-01'", pa.date32(), datetime.date(1, 1, 1)),
    ("DATE '9999-12-31'", pa.date32(), datetime.date(9999, 12, 31)),
    ("TIME '23:59:59.999999'", pa.time64("us"), datetime.time(23, 59, 59, 999999)),
    ("TIME '00:00:00'", pa.time64("us"), datetime.time(0)),
    ("DATETIME '0001-01-01 00:00:00'", pa.timestamp("us"), datetime.datetime(1, 1, 1)),  # noqa: DTZ001
    ("DATETIME '9999-12-31 23:59:59.999999'", pa.timestamp("us"), LAST),
    ("TIMESTAMP '0001-01-01 00:00:00+00'", INSTANT, datetime.datetime(1, 1, 1, tzinfo=UTC)),
    ("TIMESTAMP '9999-12-31 23:59:59.999999+00'", INSTANT, LAST.replace(tzinfo=UTC)),
    (
        "TIMESTAMP '2026-01-02 03:04:05.123456+02'",
        INSTANT,
        datetime.datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC),
    ),
    ("CAST(NULL AS TIMESTAMP)", INSTANT, None),
    ("JSON '{\"a\": [1, null]}'", pa.string(), '{"a":[1,null]}'),
    ("JSON 'null'", pa.string(), "null"),
    ("ST_GEOGPOINT(1, -2.5)", pa.string(), "POINT(1 -2.5)"),
    ("CAST(NULL AS GEOGRAPHY)", pa.string(), None),
    ("INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND", pa.string(), "1-2 3 4:5:6.789"),
    ("INTERVAL -14 MONTH", pa.string(), "-1-2 0 0:0:0"),
    ("INTERVAL -1 SECOND", pa.string(), "0-0 0 -0:0:1"),
    ("CAST(NULL AS INTERVAL)", pa.string(), None),
    (
        "RANGE<DATE> '[2026-01-01, 2026-02-01)'",
        struct(start=pa.date32(), end=pa.date32()),
        {"start": datetime.date(2026, 1, 1), "end": datetime.date(2026, 2, 1)},
    ),
    (
        "RANGE<TIMESTAMP> '[UNBOUNDED, 2026-02-01)'",
        struct(start=INSTANT, end=INSTANT),
        {"start": None, "end": datetime.datetime(2026, 2, 1, tzinfo=UTC)},
    ),
    ("CAST(NULL AS RANGE<DATE>)", struct(start=pa.date32(), end=pa.date32()), None),
    ("[1, 2]", pa.list_(pa.int64()), [1, 2]),
    ("[INTERVAL 1 MONTH]", pa.list_(pa.string()), ["0-1 0 0:0:0"]),
    # BigQuery keeps no NULL array.
    ("CAST(NULL AS ARRAY<INT64>)", pa.list_(pa.int64()), []),
    (
        "[STRUCT(1 AS a, ['x'] AS b), STRUCT(2 AS a, [] AS b)]",
        pa.list_(struct(a=pa.int64(), b=pa.list_(pa.string()))),
        [{"a": 1, "b": ["x"]}, {"a": 2, "b": []}],
    ),
    (
        "STRUCT(INTERVAL 3 DAY AS i, CAST(NULL AS STRING) AS s, [NUMERIC '1.5'] AS n)",
        struct(i=pa.string(), s=pa.string(), n=pa.list_(NUMERIC)),
        {"i": "0-0 3 0:0:0", "s": None, "n": [Decimal("1.5")]},
    ),
]


@pytest.fixture(params=["storage", "rest"])
def connector(request: pytest.FixtureRequest, opened: Callable[..., Connector]) -> Connector:
    """One that reads rows over the Storage Read API, and one over REST."""
    return opened("bigquery") if request.param == "storage" else over_rest(opened)


def over_rest(opened: Callable[..., Connector]) -> Connector:
    return opened("bigquery", storage_endpoint=None)


@pytest.mark.filterwarnings("ignore:Unable to determine Arrow type")
@pytest.mark.parametrize(("sql", "kind", "value"), VALUES, ids=[sql for sql, _, _ in VALUES])
def test_value_arrives_exactly(
    connector: Connector, sql: str, kind: pa.DataType, value: Any
) -> None:
    assert_arrives(connector, sql, kind, value)


def test_nan_is_not_a_number(connector: Connector) -> None:
    found = connector.query("SELECT CAST('nan' AS FLOAT64) AS v").read_all()
    assert found.schema.types == [pa.float64()]
    assert math.isnan(found.to_pylist()[0]["v"])


@pytest.mark.parametrize("value", [MOST_77, LEAST_77])
def test_a_77th_digit_is_refused_by_the_name_of_its_column(
    opened: Callable[..., Connector], value: str
) -> None:
    sql = f"SELECT 1 AS fine, BIGNUMERIC '{value}' AS too_long"
    with opened("bigquery").query(sql) as result, pytest.raises(DataError, match="too_long"):
        list(result)
    with over_rest(opened).query(sql) as result, pytest.raises(DataError):
        list(result)


def test_picoseconds_are_refused_by_the_name_of_their_column(connector: Connector) -> None:
    with pytest.raises(DataError, match="fine_time") as caught:
        connector.query("SELECT CAST('2026-01-01' AS TIMESTAMP(12)) AS fine_time")
    assert "CAST" in caught.value.advice


@contextmanager
def table_of(endpoints: dict[str, Any], dataset: str, columns: str) -> Iterator[str]:
    there = endpoints["bigquery"]
    owner = {**there, "service_account_json": there["admin_service_account"]}
    with vendors.EXECUTING["bigquery"](owner) as run:
        run(f"CREATE SCHEMA {dataset}")
        run(f"CREATE TABLE {dataset}.every ({columns})")
        yield f"{dataset}.every"
        run(f"DROP SCHEMA {dataset} CASCADE")


COLUMNS = """
    a BOOL, b INT64 NOT NULL, c FLOAT64, d NUMERIC, e NUMERIC(10, 2), f BIGNUMERIC, g STRING,
    h STRING(10), i BYTES, j DATE, k TIME, l DATETIME, m TIMESTAMP, n JSON, p RANGE<DATE>,
    q ARRAY<INT64>, r STRUCT<x INT64, y ARRAY<STRING>>, s ARRAY<STRUCT<x NUMERIC>>
"""


def test_metadata_tell_the_arrow_types_of_a_result(
    opened: Callable[..., Connector], endpoints: dict[str, Any], private_name: str
) -> None:
    dataset = f"{private_name}_types"
    with table_of(endpoints, dataset, COLUMNS) as name:
        connector = opened("bigquery")
        (table,) = connector.fetch_tables(dataset)
        result = connector.query(f"SELECT * FROM {name}").read_all()
    told = {column.name: column.arrow_type for column in table.columns}
    assert told == dict(zip(result.schema.names, result.schema.types, strict=True))
    assert table.columns[1].nullable is False


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        ("STRING(10)", pa.string()),
        ("BIGNUMERIC(40, 3)", BIGNUMERIC),
        ("GEOGRAPHY", pa.string()),
        ("INTERVAL", pa.string()),
        ("RANGE<TIMESTAMP>", struct(start=INSTANT, end=INSTANT)),
        (
            "STRUCT<a INT64, `b c` ARRAY<STRUCT<é BYTES(3)>>>",
            pa.struct([("a", pa.int64()), ("b c", pa.list_(struct(é=pa.binary())))]),
        ),
        ("TIMESTAMP(12)", None),
        ("ARRAY<TIMESTAMP(12)>", None),
        ("TOKENLIST", None),
        ("STRUCT<a INT64", None),
        ("INT64 x", None),
        ("ARRAY<INT64>>", None),
        ("INT64; DROP", None),
        ("", None),
    ],
)
def test_arrow_type_of_a_native_one(native: str, kind: pa.DataType | None) -> None:
    assert arrow_type(native) == kind


# Parameters


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, pa.bool_()),
        (9223372036854775807, pa.int64()),
        (1.5, pa.float64()),
        ("x'y\\", pa.string()),
        (b"\x00\xff", pa.binary()),
        (None, pa.string()),
        (Decimal("12345678901234567890123456789.123456789"), NUMERIC),
        (Decimal("0.1234567890123456789"), BIGNUMERIC),
        (datetime.date(1, 1, 1), pa.date32()),
        (datetime.time(23, 59, 59, 999999), pa.time64("us")),
        (LAST, pa.timestamp("us")),
        (LAST.replace(tzinfo=UTC), INSTANT),
        ([1, 2], pa.list_(pa.int64())),
        (["a"], pa.list_(pa.string())),
        ([], pa.list_(pa.string())),
    ],
)
def test_value_is_bound_with_its_type(connector: Connector, value: Any, kind: pa.DataType) -> None:
    for sql, params in (("SELECT ? AS v", [value]), ("SELECT @v AS v", {"v": value})):
        found = connector.query(sql, params).read_all()
        assert found.schema.field("v").type == kind
        assert found.to_pylist() == [{"v": value}]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"a": 1},
        [1, "a"],
        [None, 1],
        2**63,
        Decimal("NaN"),
        Decimal("1e39"),
        Decimal("1e-39"),
        datetime.time(1, tzinfo=UTC),
    ],
)
def test_value_that_cannot_be_bound_exactly_is_refused(connector: Connector, value: Any) -> None:
    with pytest.raises(InvalidParameters):
        connector.query("SELECT ? AS v", [value])
