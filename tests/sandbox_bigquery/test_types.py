"""Values of every type, in parameters, in results over REST and over the Storage Read API."""

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter, StructQueryParameter

from .conftest import Client, reason, rows

UTC = datetime.UTC
LAST = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 a DATETIME has no zone
VALUES: list[tuple[str, str, Any]] = [
    ("9223372036854775807", "INTEGER", 2**63 - 1),
    ("-9223372036854775808", "INTEGER", -(2**63)),
    ("1.5", "FLOAT", 1.5),
    ("CAST('inf' AS FLOAT64)", "FLOAT", math.inf),
    ("CAST('-inf' AS FLOAT64)", "FLOAT", -math.inf),
    (
        "NUMERIC '99999999999999999999999999999.999999999'",
        "NUMERIC",
        Decimal("99999999999999999999999999999.999999999"),
    ),
    ("CAST(1.123456789 AS NUMERIC)", "NUMERIC", Decimal("1.123456789")),
    ("NUMERIC '-0.000000001'", "NUMERIC", Decimal("-0.000000001")),
    (
        "BIGNUMERIC '1234567890123456789.1234567890123456789'",
        "BIGNUMERIC",
        Decimal("1234567890123456789.1234567890123456789"),
    ),
    ("BIGNUMERIC '1'", "BIGNUMERIC", Decimal(1)),
    ("TRUE", "BOOLEAN", True),
    ("'é\\n\"'", "STRING", 'é\n"'),
    ("b'\\x00\\xff'", "BYTES", b"\x00\xff"),
    ("DATE '0001-01-01'", "DATE", datetime.date(1, 1, 1)),
    ("DATE '9999-12-31'", "DATE", datetime.date(9999, 12, 31)),
    ("DATETIME '9999-12-31 23:59:59.999999'", "DATETIME", LAST),
    ("TIME '23:59:59.999999'", "TIME", datetime.time(23, 59, 59, 999999)),
    ("TIMESTAMP '9999-12-31 23:59:59.999999+00'", "TIMESTAMP", LAST.replace(tzinfo=UTC)),
    (
        "TIMESTAMP '2026-01-01 00:00:00+02:00'",
        "TIMESTAMP",
        datetime.datetime(2025, 12, 31, 22, tzinfo=UTC),
    ),
    ("NULL", "INTEGER", None),
    ("CAST(NULL AS STRING)", "STRING", None),
]
IDS = [sql for sql, _, _ in VALUES]


@pytest.mark.parametrize(("sql", "kind", "value"), VALUES, ids=IDS)
def test_a_value_arrives_exact_over_rest(reader: Client, sql: str, kind: str, value: Any) -> None:
    found = reader.query(f"SELECT {sql} AS v").result()
    assert found.schema[0].field_type == kind
    assert [row.v for row in found] == [value]


def test_all_values_arrive_exact_over_the_storage_api(
    reader: Client, storage: Callable[[], Any]
) -> None:
    columns = ", ".join(f"{sql} AS c{number}" for number, (sql, _, _) in enumerate(VALUES))
    found = reader.query(f"SELECT {columns}").result().to_arrow(bqstorage_client=storage())
    assert list(found.to_pylist()[0].values()) == [value for _, _, value in VALUES]
    kinds = {
        kind: str(field.type) for (_, kind, _), field in zip(VALUES, found.schema, strict=True)
    }
    assert kinds == {
        "INTEGER": "int64",
        "FLOAT": "double",
        "NUMERIC": "decimal128(38, 9)",
        "BIGNUMERIC": "decimal256(76, 38)",
        "BOOLEAN": "bool",
        "STRING": "string",
        "BYTES": "binary",
        "DATE": "date32[day]",
        "DATETIME": "timestamp[us]",
        "TIME": "time64[us]",
        "TIMESTAMP": "timestamp[us, tz=UTC]",
    }


def test_nan_is_not_a_number(reader: Client) -> None:
    (row,) = rows(reader, "SELECT CAST('nan' AS FLOAT64) AS n, [CAST('nan' AS FLOAT64)] AS a")
    assert math.isnan(row["n"])
    assert math.isnan(row["a"][0])


def test_nested_values_and_json_arrive_whole(reader: Client, storage: Callable[[], Any]) -> None:
    sql = """
    SELECT [1, 2] AS numbers, [STRUCT(1 AS a, 'x' AS b)] AS pairs,
           STRUCT(1 AS a, [STRUCT(b'y' AS c)] AS d) AS deep, JSON '{"k": [1, null]}' AS j,
           CAST(NULL AS ARRAY<INT64>) AS nothing
    """
    found = reader.query(sql).result()
    assert [(field.field_type, field.mode) for field in found.schema] == [
        ("INTEGER", "REPEATED"),
        ("RECORD", "REPEATED"),
        ("RECORD", "NULLABLE"),
        ("JSON", "NULLABLE"),
        ("INTEGER", "REPEATED"),
    ]
    assert dict(next(iter(found))) == {
        "numbers": [1, 2],
        "pairs": [{"a": 1, "b": "x"}],
        "deep": {"a": 1, "d": [{"c": b"y"}]},
        "j": {"k": [1, None]},
        "nothing": [],
    }
    (row,) = reader.query(sql).result().to_arrow(bqstorage_client=storage()).to_pylist()
    assert row["deep"] == {"a": 1, "d": [{"c": b"y"}]}
    assert (row["j"], row["nothing"]) == ('{"k":[1,null]}', [])


def test_intervals_and_ranges_arrive(reader: Client) -> None:
    (row,) = rows(reader, "SELECT INTERVAL 3 DAY AS i, RANGE<DATE> '[2026-01-01, 2026-02-01)' AS r")
    assert row["i"].days == 3
    assert row["r"] == {"start": datetime.date(2026, 1, 1), "end": datetime.date(2026, 2, 1)}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INT64", 2**63 - 1),
        ("FLOAT64", -math.inf),
        ("NUMERIC", Decimal("12345678901234567890123456789.123456789")),
        ("BIGNUMERIC", Decimal("1234567890123456789.1234567890123456789")),
        ("BOOL", False),
        ("STRING", "o'x \\ \" @p ?\n"),
        ("BYTES", bytes(range(256))),
        ("DATE", datetime.date(1, 1, 1)),
        ("DATETIME", LAST),
        ("TIME", datetime.time(23, 59, 59, 999999)),
        ("TIMESTAMP", datetime.datetime(1, 1, 1, tzinfo=UTC)),
        ("JSON", {"a": [1, None, "x'"]}),
        ("STRING", None),
        ("BYTES", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_scalar_parameter_comes_back_as_it_went(reader: Client, kind: str, value: Any) -> None:
    found = rows(
        reader,
        "SELECT @p AS named, '@p' AS text",
        query_parameters=[ScalarQueryParameter("p", kind, value)],
    )
    assert found == [{"named": value, "text": "@p"}]


def test_positional_parameters_go_in_order(reader: Client) -> None:
    found = rows(
        reader,
        "SELECT ? AS a, '?' AS text, ? AS b",
        query_parameters=[
            ScalarQueryParameter(None, "INT64", 1),
            ScalarQueryParameter(None, "STRING", "two"),
        ],
    )
    assert found == [{"a": 1, "text": "?", "b": "two"}]


def test_array_and_struct_parameters_keep_their_types(reader: Client) -> None:
    found = rows(
        reader,
        "SELECT @s.n AS n, @e AS empty, plan_id FROM analytics.plans "
        "WHERE plan_id IN UNNEST(@ids) ORDER BY plan_id",
        query_parameters=[
            ArrayQueryParameter("ids", "INT64", [7, 8]),
            ArrayQueryParameter("e", "STRING", []),
            StructQueryParameter("s", ScalarQueryParameter("n", "NUMERIC", Decimal("1.123456789"))),
        ],
    )
    exact = Decimal("1.123456789")
    assert found == [{"n": exact, "empty": [], "plan_id": number} for number in (7, 8)]


def test_what_cannot_be_kept_exactly_is_refused_by_name(reader: Client) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="19 digits before"):
        rows(reader, "SELECT BIGNUMERIC '12345678901234567890.5'")
    with pytest.raises(exceptions.MethodNotImplemented, match="GEOGRAPHY"):
        rows(reader, "SELECT ST_GEOGPOINT(1, 2)")
    wide = ScalarQueryParameter("n", "NUMERIC", Decimal("0.0000000001"))
    with pytest.raises(exceptions.BadRequest) as caught:
        rows(reader, "SELECT @n", query_parameters=[wide])
    assert reason(caught.value) == "invalid"


def test_stored_columns_keep_values_and_types(admin: Client, reader: Client, dataset: str) -> None:
    rows(
        admin,
        f"""CREATE TABLE {dataset}.t (i INT64 NOT NULL, n NUMERIC, b BIGNUMERIC, r NUMERIC(10, 2),
            j JSON, a ARRAY<INT64>, s STRUCT<x INT64, y ARRAY<STRING>>, raw BYTES)""",
    )
    rows(
        admin,
        f"""INSERT INTO {dataset}.t VALUES (5000000000, NUMERIC '0.123456789',
            BIGNUMERIC '0.1234567890123456789', NUMERIC '12.34', JSON '[1]', [1, 2],
            STRUCT(1, ['z']), b'\\xff')""",
    )
    assert rows(reader, f"SELECT * FROM {dataset}.t") == [
        {
            "i": 5000000000,
            "n": Decimal("0.123456789"),
            "b": Decimal("0.1234567890123456789"),
            "r": Decimal("12.34"),
            "j": [1],
            "a": [1, 2],
            "s": {"x": 1, "y": ["z"]},
            "raw": b"\xff",
        }
    ]
    schema = reader.get_table(f"{dataset}.t").schema
    assert [(field.field_type, field.mode) for field in schema] == [
        ("INTEGER", "REQUIRED"),
        ("NUMERIC", "NULLABLE"),
        ("BIGNUMERIC", "NULLABLE"),
        ("NUMERIC", "NULLABLE"),
        ("JSON", "NULLABLE"),
        ("INTEGER", "REPEATED"),
        ("RECORD", "NULLABLE"),
        ("BYTES", "NULLABLE"),
    ]


MOST = "578960446186580977117854925043439539266.34992332820282019728792003956564819967"


def test_constants_that_duckdb_cannot_hold_arrive_when_selected(reader: Client) -> None:
    sql = f"""SELECT n, BIGNUMERIC '{MOST}' AS big, ST_GEOGFROMTEXT('POINT(1 2)') AS place,
        CAST(NULL AS GEOGRAPHY) AS nowhere FROM UNNEST([1, 2]) AS n"""
    found = reader.query(sql).result()
    assert [field.field_type for field in found.schema] == [
        "INTEGER",
        "BIGNUMERIC",
        "GEOGRAPHY",
        "GEOGRAPHY",
    ]
    assert [tuple(row) for row in found] == [
        (number, Decimal(MOST), "POINT(1 2)", None) for number in (1, 2)
    ]


@pytest.mark.parametrize("literal", [MOST[:-1] + "8", "1e-39"])
def test_a_bignumeric_beyond_its_range_is_invalid(reader: Client, literal: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid BIGNUMERIC literal"):
        rows(reader, f"SELECT BIGNUMERIC '{literal}' AS v")


def test_an_interval_has_a_sign_for_each_part(reader: Client) -> None:
    (row,) = rows(reader, "SELECT INTERVAL -61 SECOND AS t, INTERVAL -14 MONTH AS m")
    assert (row["t"].minutes, row["t"].seconds) == (-1, -1)
    assert (row["m"].years, row["m"].months) == (-1, -2)
