"""Pages of rows in the shape of REST, where every value is text."""

from typing import Any

import pyarrow as pa
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows

from sandbox.bigquery.errors import invalid

_ROWS_A_PAGE = 10_000
_PLAIN = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_string)


def page(rows: pa.Table, *, start: int, total: int) -> dict[str, Any]:
    """Return `rows`, cut out of `total` at `start`, and a `pageToken` when more follow."""
    columns = [_texts(rows.select([number])) for number in range(rows.num_columns)]
    found: dict[str, Any] = {
        "rows": [{"f": [{"v": value} for value in row]} for row in zip(*columns, strict=True)]
    }
    if start + rows.num_rows < total:
        found["pageToken"] = str(start + rows.num_rows)
    return found


def page_start(token: str | None, start_index: int) -> int:
    """Return where a page begins; a token wins over an index."""
    if token and not token.isdecimal():
        raise invalid(f"Invalid page token: {token}")
    return int(token) if token else start_index


def page_length(max_results: int | None) -> int:
    """Return how many rows a page has: what the client wants, within bounds."""
    return _ROWS_A_PAGE if max_results is None else min(max_results, _ROWS_A_PAGE)


def _texts(table: pa.Table) -> list[Any]:
    """Spell the values of a table's only column; what is nested stays so."""
    (column,), kind = table.columns, table.schema.field(0).type
    if pa.types.is_decimal(kind):
        return [None if one is None else _decimal(one) for one in column.to_pylist()]
    if pa.types.is_floating(kind):
        return [None if one is None else _float(one) for one in column.to_pylist()]
    if pa.types.is_interval(kind):
        return [None if one is None else _interval(one) for one in column.to_pylist()]
    if pa.types.is_timestamp(kind) and kind.tz:
        column = column.cast(pa.int64())
    elif not any(is_plain(kind) for is_plain in _PLAIN):
        return [row["f"][0]["v"] for row in arrow_table_to_bq_rows(table)]
    texts: list[Any] = column.cast(pa.string()).to_pylist()
    return texts


def _decimal(value: Any) -> str:
    # Not normalize(): that rounds to the 28 digits of Python's decimal context.
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _interval(value: Any) -> str:
    """Spell an interval with a sign for each of its parts; bqemulator loses that of the time."""
    years, months = divmod(abs(value.months), 12)
    seconds, nanos = divmod(abs(value.nanoseconds), 10**9)
    fraction = f".{nanos // 1000:06d}" if nanos else ""
    time = f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}{fraction}"
    of_months, of_time = ("-" if part < 0 else "" for part in (value.months, value.nanoseconds))
    return f"{of_months}{years}-{months} {value.days} {of_time}{time}"


def _float(value: float) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text := repr(value), text)
