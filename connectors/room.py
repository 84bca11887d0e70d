"""Which values a destination cannot hold exactly, though Parquet can: the too long, and some JSON.

A document becomes a value of the warehouse's own, whose numbers have so many digits; one with an
exponent becomes a double. Nor may a key come twice, or half of a surrogate pair.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.checksums import is_json
from connectors.quarantine import MAX_TEXT, Reason, Unfit

NUMBER_DIGITS, NUMBER_SCALE = 38, 37
DOUBLE_DIGITS, DOUBLE_MAGNITUDE = 15, 307
"""So many digits of a number survive in a double, and so large or small it may be."""
LONG_NUMBER = rf"(^|[\s:,\[])-?[0-9][0-9.]{{{NUMBER_DIGITS - 1}}}"


class _InexactNumber(Exception):
    pass


class _KeyTwice(Exception):
    pass


@dataclass(frozen=True)
class Room:
    """The most bytes that one value of a type may have, and one JSON document, as text."""

    max_bytes: Mapping[pa.DataType, int]
    json_bytes: int

    def unfit(self, batch: pa.RecordBatch) -> list[Unfit]:
        """What cannot be held, by row and column."""
        found: list[Unfit] = []
        for field, column in zip(batch.schema, batch.columns, strict=True):
            limit = self.json_bytes if is_json(field) else self.max_bytes.get(field.type)
            if limit is not None and batch.nbytes > limit:
                found += _too_long(field, column, limit)
            if is_json(field):
                found += _bad_json(field, column, self.json_bytes)
        return found


def _too_long(field: pa.Field, column: pa.Array, limit: int) -> Iterator[Unfit]:
    for row in _where(pc.greater(pc.binary_length(column), limit)):
        value = column[row].as_py()
        text = value if isinstance(value, str) else "\\x" + value[:MAX_TEXT].hex()
        yield Unfit(row, field.name, Reason.TOO_LONG, text)


def _bad_json(field: pa.Field, column: pa.Array, limit: int) -> Iterator[Unfit]:
    # jsonb has numbers without exponents, each key once, and no half of a pair; json has any.
    is_binary = field.metadata[b"native"] == b"jsonb"
    suspects = pc.match_substring_regex(column, LONG_NUMBER) if is_binary else column.is_valid()
    for row in _where(suspects):
        text = column[row].as_py()
        if (reason := _fault(text)) is not None and len(text.encode()) <= limit:
            yield Unfit(row, field.name, reason, text)


def _where(chosen: pa.Array) -> list[int]:
    rows: list[int] = pc.indices_nonzero(chosen).to_pylist()
    return rows


def _fault(text: str) -> Reason | None:
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, object_pairs_hook=_object)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except _InexactNumber:
        return Reason.JSON_NUMBER
    except (_KeyTwice, UnicodeEncodeError, RecursionError):
        return Reason.JSON_REFUSED
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyTwice
    return found


def _number(text: str) -> int:
    """Judges a number by its digits; what it is does not matter."""
    mantissa, _, exponent = text.lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    before = whole.lstrip("0")
    digits = (before + fraction).strip("0")
    fixed = len(before) + len(fraction) <= NUMBER_DIGITS and len(fraction) <= NUMBER_SCALE
    if (exponent or not fixed) and not _survives_in_double(digits, before, fraction, exponent):
        raise _InexactNumber
    return 0


def _survives_in_double(digits: str, before: str, fraction: str, exponent: str) -> bool:
    if not digits:
        return True
    if len(digits) > DOUBLE_DIGITS or len(exponent) > len(str(DOUBLE_MAGNITUDE)) + 1:
        return False
    first = len(before) or len(fraction.lstrip("0")) - len(fraction)
    return abs(first + int(exponent or 0)) <= DOUBLE_MAGNITUDE
