"""Takes out of a column what its Arrow type does not have, in the text that the server has for it.

Only an extraction does so; a query that meets such a value is refused.
"""

import datetime
from collections.abc import Callable

import pyarrow as pa

from connectors.postgres.fields import Fields, NotText, Uncarried
from connectors.postgres.numeric import special_text
from connectors.postgres.types import EPOCH_DAYS, CopiedColumn
from connectors.quarantine import Reason, Unfit

DAYS_IN_400_YEARS = 146_097
DAY_US = 86_400 * 10**6
UNIX_EPOCH = datetime.date(1970, 1, 1).toordinal()


def fitting(column: CopiedColumn, fields: Fields) -> tuple[pa.Array, list[Unfit]]:
    """The column, with NULL for what cannot be carried, and what that was. Raises Malformed."""
    taken: list[Unfit] = []
    while True:
        try:
            return column.array(fields), taken
        except Uncarried as exc:
            described = _text_bytes if isinstance(exc, NotText) else _describe(column.field.type)
            for row in exc.rows.tolist():
                reason, text = described(fields.value(row))
                taken.append(Unfit(row, column.field.name, reason, text))
            fields = fields.without(exc.rows)


Described = tuple[Reason, str]


def _describe(kind: pa.DataType) -> Callable[[bytes], Described]:
    if pa.types.is_decimal(kind):
        return _numeric
    if pa.types.is_date(kind):
        return _date
    return _instant if kind.tz else _timestamp


def _text_bytes(value: bytes) -> Described:
    return Reason.NOT_TEXT, value.decode(errors="backslashreplace")


def _numeric(value: bytes) -> Described:
    text = special_text(value)
    return (Reason.NOT_A_NUMBER if text == "NaN" else Reason.INFINITE), text


def _date(value: bytes) -> Described:
    days = int.from_bytes(value, signed=True)
    if infinite := _infinite(days, 8 * len(value)):
        return infinite
    text, era = _day(days)
    return Reason.OUT_OF_RANGE, text + era


def _timestamp(value: bytes, zone: str = "") -> Described:
    instant = int.from_bytes(value, signed=True)
    if infinite := _infinite(instant, 8 * len(value)):
        return infinite
    days, rest = divmod(instant, DAY_US)
    seconds, micros = divmod(rest, 10**6)
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}{zone}"
    text, era = _day(days)
    return Reason.OUT_OF_RANGE, f"{text} {clock}{era}"


def _instant(value: bytes) -> Described:
    return _timestamp(value, zone="+00")


def _infinite(number: int, bits: int) -> Described | None:
    """The greatest and the least number of its width stand for the two infinities."""
    if number == 2 ** (bits - 1) - 1:
        return Reason.INFINITE, "infinity"
    if number == -(2 ** (bits - 1)):
        return Reason.INFINITE, "-infinity"
    return None


def _day(days: int) -> tuple[str, str]:
    """A day since 2000 in ISO form, and its era: the Gregorian calendar repeats in 400 years."""
    cycles, rest = divmod(days + EPOCH_DAYS + UNIX_EPOCH - 1, DAYS_IN_400_YEARS)
    day = datetime.date.fromordinal(rest + 1)
    year = day.year + 400 * cycles
    text = f"{year if year > 0 else 1 - year:04}-{day:%m-%d}"
    return text, "" if year > 0 else " BC"
