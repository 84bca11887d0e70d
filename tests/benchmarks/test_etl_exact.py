"""What counts as the same value as the server's."""

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.etl_exact import outcomes, same, verdict

UUID_TEXT = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
MONTH = pa.MonthDayNano([1, 2, -11_045_000_006_000])


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("numeric(15,2)", Decimal("0.10"), "0.10"),
        ("numeric", "NaN", "NaN"),
        ("numeric", 0.5, "0.5"),
        ("money", Decimal("-12.34"), "-$12.34"),
        ("date", "9999-12-31", "9999-12-31"),
        ("timestamptz", "2026-01-02 01:04:05.123456Z", "2026-01-02 01:04:05.123456+00"),
        ("interval", MONTH, "1 mon 2 days -03:04:05.000006"),
        ("jsonb", '{"n":9007199254740993}', '{"n": 9007199254740993}'),
        ("bytea", b"\0\xff", r"\x00ff"),
        ("uuid", UUID(UUID_TEXT).bytes, UUID_TEXT),
        ("int4[]", [[1, 2], [3, None]], "{{1,2},{3,NULL}}"),
        ("text[]", ["a b", None, "NULL"], '{"a b",NULL,"NULL"}'),
        ("float8", float("nan"), "NaN"),
        ("float8", -0.0, "-0"),
    ],
)
def test_the_same(kind: str, value: Any, text: str) -> None:
    assert same(kind, value, text)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("numeric(15,2)", None, "NaN"),
        ("numeric(15,2)", Decimal(0), "NaN"),
        ("numeric", 1.2345678901234568e29, "123456789012345678901234567890.5"),
        ("time", "00:00:00", "24:00:00"),
        ("timestamptz", "2026-01-02 03:04:05.123456", "2026-01-02 01:04:05.123456+00"),
        ("timetz", "24:00:00", "24:00:00+15:59"),
        ("jsonb", '{"n": 9007199254740992}', '{"n": 9007199254740993}'),
        ("json", '{"a": 2}', '{"a":  1.10, "a": 2}'),
        ("int4[]", [1, 2, 3, 4], "{{1,2},{3,4}}"),
        ("float8", 0.0, "-0"),
    ],
)
def test_not_the_same(kind: str, value: Any, text: str) -> None:
    assert not same(kind, value, text)


def test_types_are_exact_changed_or_refused(tmp_path: Path) -> None:
    tables = {"date": "s.one", "time": "s.two", "xml": "s.three", "int4[]": "s.four"}
    days = pa.array([datetime.date(2026, 1, 2), None])
    for name in ("s.one", "s.two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        pq.write_table(pa.table({"id": [1, 0], "v": days}), tmp_path / name / "deep" / "a.parquet")
    texts = {"s.one": ["infinity", "2026-01-02"], "s.two": ["24:00:00"], "s.four": []}
    found = outcomes({"s.three": "an error"}, tables, tmp_path, texts.__getitem__)
    assert found == {"date": "changed", "time": "changed", "xml": "refused", "int4[]": "exact"}
    assert verdict(found) == "no: 2 changed, 1 refused"
    assert verdict({"xml": "exact", "date": "refused"}) == "yes: 0 changed, 1 refused"
    assert verdict({"xml": "refused"}) == "not known"
