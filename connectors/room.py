"""Which values a destination cannot hold exactly, though Parquet can: the too long, and some JSON.

A document becomes a value of the warehouse's own, whose numbers have so many digits; one with an
exponent becomes a double. Nor may a key come twice, or half of a surrogate pair.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.checksums import is_json
from connectors.quarantine import MAX_TEXT, Reason, Unfit

NUMBER_DIGITS, NUMBER_SCALE = 38, 37
DOUBLE_DIGITS, DOUBLE_MAGNITUDE = 15, 307
"""So many digits of a number survive in a double, and so large or small it may be."""
LONG_NUMBER = r"(^|[\s:,\[])-?[0-9][0-9.]{%d}"


class _InexactNumber(Exception):
    pass


class _KeyTwice(Exception):
    pass


def is_number(sign: str, before: str, fraction: str) -> bool:
    """A number of as many digits as NUMBER or DECIMAL has."""
    return len(before) + len(fraction) <= NUMBER_DIGITS and len(fraction) <= NUMBER_SCALE


@dataclass(frozen=True)
class Room:
    """The most bytes that one value of a type may have, and one JSON document, as text."""

    max_bytes: Mapping[pa.DataType, int]
    json_bytes: int
    suspect_digits: int = NUMBER_DIGITS
    """A number of JSON that has fewer fits, whatever it is, unless it has an exponent."""
    is_fixed: Callable[[str, str, str], bool] = is_number
    """Whether a number is kept digit by digit: sign, digits before the point, and after it."""

    def unfit(self, batch: pa.RecordBatch) -> list[Unfit]:
        """What cannot be held, by row and column."""
        found: list[Unfit] = []
        for field, column in zip(batch.schema, batch.columns, strict=True):
            limit = self.json_bytes if is_json(field) else self.max_bytes.get(field.type)
            if limit is not None and batch.nbytes > limit:
                found += _too_long(field, column, limit)
            if is_json(field):
                found += self._bad_json(field, column)
        return found

    def _bad_json(self, field: pa.Field, column: pa.Array) -> Iterator[Unfit]:
        # jsonb has numbers without exponents, each key once, and no half of a pair; json has any.
        is_binary = field.metadata[b"native"] == b"jsonb"
        long = LONG_NUMBER % (self.suspect_digits - 1)
        suspects = pc.match_substring_regex(column, long) if is_binary else column.is_valid()
        for row in _where(suspects):
            text = column[row].as_py()
            reason = _fault(text, self._judge)
            if reason is not None and len(text.encode()) <= self.json_bytes:
                yield Unfit(row, field.name, reason, text)

    def _judge(self, text: str) -> int:
        """Judges a number by its digits; what it is does not matter."""
        mantissa, _, exponent = text.lower().lstrip("-").partition("e")
        whole, _, fraction = mantissa.partition(".")
        before = whole.lstrip("0")
        digits = (before + fraction).strip("0")
        fixed = self.is_fixed("-" if text.startswith("-") else "", before, fraction)
        if (exponent or not fixed) and not _survives_in_double(digits, before, fraction, exponent):
            raise _InexactNumber
        return 0


def _too_long(field: pa.Field, column: pa.Array, limit: int) -> Iterator[Unfit]:
    for row in _where(pc.greater(pc.binary_length(column), limit)):
        value = column[row].as_py()
        text = value if isinstance(value, str) else "\\x" + value[:MAX_TEXT].hex()
        yield Unfit(row, field.name, Reason.TOO_LONG, text)


def _where(chosen: pa.Array) -> list[int]:
    rows: list[int] = pc.indices_nonzero(chosen).to_pylist()
    return rows


def _fault(text: str, number: Callable[[str], int]) -> Reason | None:
    try:
        value = json.loads(text, parse_int=number, parse_float=number, object_pairs_hook=_object)
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


def _survives_in_double(digits: str, before: str, fraction: str, exponent: str) -> bool:
    if not digits:
        return True
    if len(digits) > DOUBLE_DIGITS or len(exponent) > len(str(DOUBLE_MAGNITUDE)) + 1:
        return False
    first = len(before) or len(fraction.lstrip("0")) - len(fraction)
    return abs(first + int(exponent or 0)) <= DOUBLE_MAGNITUDE
