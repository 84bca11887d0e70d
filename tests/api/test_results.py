"""Arrow batches as JSON rows: nothing is rounded, nothing is dropped, nothing breaks the body."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import pyarrow as pa
import pytest

from api.results import SAFE_INTEGER, JsonRows, encode_rows
from connectors import connect
from connectors.result import Execution, Result
from connectors.types import Limits, RunStats
from warehouse.direct import DirectRun
from warehouse.pool import Lease, Session

NAN, INFINITE = float("nan"), float("inf")
BIG = SAFE_INTEGER + 1


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (Decimal("1.50"), pa.decimal128(10, 2), "1.50"),
        (Decimal("1E+3"), pa.decimal128(10, 0), "1000"),
        (Decimal(f"{'9' * 38}.5"), pa.decimal256(76, 38), f"{'9' * 38}.5" + "0" * 37),
        (b"\x00\xff", pa.binary(), "AP8="),
        (b"", pa.binary(), ""),
        (NAN, pa.float64(), "NaN"),
        (INFINITE, pa.float64(), "Infinity"),
        (-INFINITE, pa.float32(), "-Infinity"),
        (0.1, pa.float64(), 0.1),
        (SAFE_INTEGER, pa.int64(), SAFE_INTEGER),
        (BIG, pa.int64(), str(BIG)),
        (-BIG, pa.int64(), str(-BIG)),
        (2**64 - 1, pa.uint64(), str(2**64 - 1)),
        (7, pa.int16(), 7),
        (True, pa.bool_(), True),
        (None, pa.null(), None),
        ("naïve 🛒 \u2028", pa.string(), "naïve 🛒 \u2028"),
        (date(1, 1, 1), pa.date32(), "0001-01-01"),
        (time(23, 59, 59, 5), pa.time64("us"), "23:59:59.000005"),
        (datetime(2026, 1, 2, 3, 4, 5), pa.timestamp("us"), "2026-01-02T03:04:05"),  # noqa: DTZ001
        (
            datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            pa.timestamp("us", tz="UTC"),
            "2026-01-02T03:04:05.000006Z",
        ),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            pa.timestamp("us", tz="Europe/Berlin"),
            "2026-01-02T04:04:05+01:00",
        ),
        (timedelta(hours=1), pa.duration("us"), "1:00:00"),
        ([1, None, BIG], pa.list_(pa.int64()), [1, None, str(BIG)]),
        ([NAN, 1.5], pa.list_(pa.float64()), ["NaN", 1.5]),
        (
            {"a": Decimal("1.5"), "b": [b"\xff"], "c": {"d": -INFINITE}},
            pa.struct(
                {
                    "a": pa.decimal128(3, 1),
                    "b": pa.list_(pa.binary()),
                    "c": pa.struct({"d": pa.float64()}),
                }
            ),
            {"a": "1.5", "b": ["/w=="], "c": {"d": "-Infinity"}},
        ),
        ([("k", NAN)], pa.map_(pa.string(), pa.float64()), [["k", "NaN"]]),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, pa.DataType) else None,
)
def test_value_is_exact_and_its_neighbour_may_be_null(
    value: Any, kind: pa.DataType, shown: Any
) -> None:
    batch = pa.record_batch([pa.array([value, None], kind)], names=["x"])
    assert json.loads(encode_rows(batch)) == [[shown], [None]]


def test_columns_of_one_name_keep_their_places() -> None:
    batch = pa.record_batch([pa.array([1]), pa.array(["b"]), pa.array([3])], names=["x", "x", "x"])
    assert json.loads(encode_rows(batch)) == [[1, "b", 3]]


class FarFuture(Execution):
    """A result whose second batch has a moment that Python's calendar does not reach."""

    schema = pa.schema({"at": pa.timestamp("us")})

    def start(self) -> None:
        """There is nothing to send."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        for microseconds in (0, 2**62):
            yield pa.record_batch([pa.array([microseconds], pa.timestamp("us"))], self.schema)

    def stats(self) -> RunStats:
        return RunStats()

    def cancel(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to free."""


def test_what_nobody_foresaw_stands_in_error_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(timeout_s=5)
    deadline = monotonic() + limits.timeout_s
    found = Result(limits, deadline, nullcontext, lambda: None)
    found.start(FarFuture())
    form = {"host": "db.example.com", "database": "d", "user": "u", "password": "not-a-real-one"}
    lease = Lease(Session("c1", 1), connect("postgres", form))
    run = DirectRun("r1", lambda: nullcontext(lease), lambda _: found)
    body = json.loads(b"".join(JsonRows(run, {})))
    assert body["rows"] == [["1970-01-01T00:00:00"]]
    assert body["error"]["code"] == "internal_error"
    assert "api.crashed" in caplog.text
    assert "r1" in caplog.text
