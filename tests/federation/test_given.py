"""Rows as text: exact, or not at all."""

import datetime
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from warehouse.federation.given import DoesNotFit, can_give, text_of
from warehouse.hogql.types import (
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    INT,
    JSON,
    STRING,
    TIMESTAMP,
    Kind,
    Type,
)

MONEY = Type(Kind.DECIMAL, scale=9)
AT = datetime.datetime(9, 1, 2, 3, 4, 5, 600, tzinfo=datetime.UTC)


def text(kind: Type, *values: Any, of: pa.DataType | None = None) -> Any:
    batch = pa.RecordBatch.from_arrays([pa.array(values, of)], ["v"])
    return json.loads(text_of([("v", kind)], [batch]))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (BOOL, False, "false"),
        (INT, -(2**63), "-9223372036854775808"),
        (INT, Decimal(7), "7"),
        (FLOAT, 0.1 + 0.2, "0.30000000000000004"),
        (MONEY, Decimal(f"-{'9' * 29}.123456789"), f"-{'9' * 29}.123456789"),
        (Type(Kind.DECIMAL, scale=1), Decimal("1.500"), "1.500"),
        (STRING, 'null "\\ ☃', 'null "\\ ☃'),
        (DATE, datetime.date(9, 1, 2), "0009-01-02"),
        (DATETIME, AT, "0009-01-02 03:04:05.000600"),
        (TIMESTAMP, AT, "0009-01-02 03:04:05.000600+00:00"),
    ],
)
def test_value_is_a_text_that_is_cast_back(kind: Type, value: Any, said: str) -> None:
    assert text(kind, value, None) == [[said], [None]]


@pytest.mark.parametrize(
    ("kind", "value", "of"),
    [
        (FLOAT, float("nan"), pa.float64()),
        (FLOAT, float("-inf"), pa.float64()),
        (INT, 2**63, pa.uint64()),
        (STRING, "a\x00b", pa.string()),
        (STRING, b"ab", pa.binary()),
        (MONEY, Decimal("1" + "0" * 29), pa.decimal128(38, 0)),
        (Type(Kind.DECIMAL, scale=1), Decimal("1.25"), pa.decimal128(9, 2)),
    ],
)
def test_value_that_might_be_another_is_not_given(kind: Type, value: Any, of: pa.DataType) -> None:
    with pytest.raises(DoesNotFit):
        text(kind, value, of=of)


def test_kinds_that_systems_do_not_share_are_not_given() -> None:
    assert can_give([("a", INT), ("b", MONEY)])
    for kind in (DECIMAL, Type(Kind.DECIMAL, scale=10), JSON, Type(Kind.ARRAY, item=INT)):
        assert not can_give([("a", INT), ("b", kind)])
