"""A query's rows as JSON, streamed batch by batch.

``{"run_id", "columns": [{"name", "type"}], "rows": [[…], …], "row_count", "truncated",
"stats": {…}, "cached", "age_s", "as_of", "source": {…}, "error": null}``. The members after
``rows`` close the result: an error in the middle stands in ``error``, and a body that ends before
it is incomplete.

Decimals, and integers beyond 2^53 that a browser would round, are strings; bytes are base64;
times are ISO 8601; NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".
"""

import base64
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from api import problems
from api.rows import RowStream
from warehouse.money import money

ROWS_AT_ONCE = 1_000
"""As JSON, and as Python's values before that, rows take several times their room in Arrow."""
SAFE_INTEGER = 2**53 - 1
"""The largest integer that JavaScript holds exactly. Source: ECMA-262, Number.MAX_SAFE_INTEGER."""


class JsonRows(RowStream):
    """An error in the middle stands in the body, which is valid JSON then, too."""

    def body(self) -> Iterator[bytes]:
        columns = [{"name": f.name, "type": str(f.type)} for f in self.run.schema]
        head = {"run_id": self.run.run_id, "columns": columns}
        yield orjson.dumps(head)[:-1] + b',"rows":['
        error = None
        try:
            yield from self._rows()
        except Exception as exc:  # noqa: BLE001 problems.of tells them apart, and logs
            error = problems.of(exc, run_id=self.run.run_id).as_json()
        yield b"]," + orjson.dumps(self._tail(error), option=orjson.OPT_UTC_Z)[1:]

    def _rows(self) -> Iterator[bytes]:
        separator = b""
        for batch in self.batches():
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield separator + encode_rows(batch.slice(start, ROWS_AT_ONCE))[1:-1]
                separator = b","

    def _tail(self, error: dict[str, Any] | None) -> dict[str, Any]:
        stats, origin = self.run.stats, self.run.origin
        return {
            "row_count": self.run.rows,
            "truncated": self.run.truncated,
            "stats": {
                "vendor_query_id": stats.vendor_query_id,
                "bytes_scanned": stats.bytes_scanned,
                "bytes_billed": stats.bytes_billed,
                "amount_billed": money(stats.amount_billed),
                "billed_in": stats.currency,
            },
            "cached": origin.cached,
            "age_s": round(origin.age_s, 3),
            "as_of": origin.as_of,
            "source": {"run_id": origin.run_id, "vendor_query_id": origin.vendor_query_id},
            "error": error,
        }


def encode_rows(batch: pa.RecordBatch) -> bytes:
    """One batch as a JSON array of rows."""
    columns = [column_values(column) for column in batch.columns]
    return orjson.dumps(list(zip(*columns, strict=True)), default=plain, option=orjson.OPT_UTC_Z)


def column_values(column: pa.Array) -> list[Any]:
    """As Python's values, but for numbers that JSON would lose, which are strings."""
    values: list[Any] = column.to_pylist()
    if _needs_care(column):
        return [careful(value) for value in values]
    return values


def _needs_care(column: pa.Array) -> bool:
    """The column holds numbers that JSON would lose: not finite, or beyond 2^53."""
    kind = column.type
    if pa.types.is_nested(kind):
        return True
    if pa.types.is_floating(kind):
        return not pc.all(pc.is_finite(column), min_count=0).as_py()
    if pa.types.is_int64(kind) or pa.types.is_uint64(kind):
        bounds = pc.min_max(column).as_py()
        low, high = bounds["min"] or 0, bounds["max"] or 0
        return bool(low < -SAFE_INTEGER or high > SAFE_INTEGER)
    return False


def careful(value: Any) -> Any:
    """The value, with numbers in it that JSON would lose as strings."""
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case bool():
            return value
        case int() if abs(value) > SAFE_INTEGER:
            return str(value)
        case list() | tuple():
            return [careful(item) for item in value]
        case dict():
            return {name: careful(item) for name, item in value.items()}
        case _:
            return value


def plain(value: Any) -> Any:
    """What JSON has no form for."""
    match value:
        case Decimal():
            return format(value, "f")
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)
