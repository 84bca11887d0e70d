"""Rows as they are sent within a statement: a JSON text, of which nobody reads anything else.

Every value is a text that the warehouse casts to its type, as it does a literal: so no number is
rounded on its way through JSON.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from warehouse.hogql.types import Kind, Type

DIGITS = (29, 9)
"""Of a decimal, before and after the point: every warehouse holds as many."""
Columns = Sequence[tuple[str, Type]]


class DoesNotFit(Exception):
    """A value that a warehouse might hold otherwise."""


def can_give(columns: Columns) -> bool:
    """Values of these types mean the same in every warehouse."""
    return all(
        kind.kind in _TEXTS and (kind.kind != Kind.DECIMAL or _is_short(kind.scale))
        for _, kind in columns
    )


def text_of(columns: Columns, batches: Iterable[pa.RecordBatch]) -> str:
    """All of the rows; raises DoesNotFit."""
    rows: list[Sequence[str | None]] = []
    for batch in batches:
        texts = [
            [None if value is None else _text(kind, value) for value in column.to_pylist()]
            for (_, kind), column in zip(columns, batch.columns, strict=True)
        ]
        rows += zip(*texts, strict=True)
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _is_short(scale: int | None) -> bool:
    return scale is not None and scale <= DIGITS[1]


def _text(kind: Type, value: Any) -> str:
    if kind.kind == Kind.DECIMAL:
        return _decimal(value, kind.scale or 0)
    return _TEXTS[kind.kind](value)


def _whole(value: int) -> str:
    if not -(2**63) <= value < 2**63:
        raise DoesNotFit
    return str(int(value))


def _decimal(value: Decimal, scale: int) -> str:
    text = format(value, "f")
    whole, _, fraction = text.lstrip("-").partition(".")
    # A cast would round what has more digits.
    if len(whole) > DIGITS[0] or len(fraction.rstrip("0")) > scale:
        raise DoesNotFit
    return text


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise DoesNotFit
    return repr(value)


def _string(value: object) -> str:
    # Postgres has no text with a NUL; bytes may be no text at all.
    if not isinstance(value, str) or "\x00" in value:
        raise DoesNotFit
    return value


def _clock(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


_TEXTS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.BOOL: lambda value: "true" if value else "false",
    Kind.INT: _whole,
    Kind.DECIMAL: str,
    Kind.FLOAT: _float,
    Kind.STRING: _string,
    Kind.DATE: date.isoformat,
    Kind.DATETIME: _clock,
    Kind.TIMESTAMP: lambda value: f"{_clock(value)}+00:00",
}
