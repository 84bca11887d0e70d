"""Types of values, as far as they decide what an expression means.

A small lattice: integers widen to decimals, and those to floats; text, dates and truth values
stay what they are. NULL fits everywhere. OTHER is a type that only its own warehouse knows (uuid,
json, an interval): it can be selected, counted, and compared with its like.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import pyarrow as pa

from connectors.types import Column


class Kind(StrEnum):
    NULL = "null"
    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    FLOAT = "float"
    STRING = "string"
    DATE = "date"
    DATETIME = "datetime"
    """A reading of a clock, of no zone; of UTC where it was made from a timestamp."""
    TIMESTAMP = "timestamp"
    """An instant."""
    INTERVAL = "interval"
    ARRAY = "array"
    JSON = "json"
    """A document, kept as text; its members are named behind a dot."""
    OTHER = "other"


@dataclass(frozen=True)
class Type:
    """``scale`` is a decimal's, where it is known; ``native`` says which OTHER it is; a text that
    is ``padded`` arrives with blanks behind it that are no part of it."""

    kind: Kind
    item: "Type | None" = None
    scale: int | None = None
    native: str = ""
    padded: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        if self.item is not None:
            return f"array({self.item})"
        return self.native or self.kind.value

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBERS

    @property
    def is_time(self) -> bool:
        return self.kind in TIMES


MOST_DIGITS = 38
"""Of a decimal, everywhere."""
NUMBERS = (Kind.INT, Kind.DECIMAL, Kind.FLOAT)
TIMES = (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)
NULL = Type(Kind.NULL)
BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
DECIMAL = Type(Kind.DECIMAL)
FLOAT = Type(Kind.FLOAT)
STRING = Type(Kind.STRING)
DATE = Type(Kind.DATE)
DATETIME = Type(Kind.DATETIME)
TIMESTAMP = Type(Kind.TIMESTAMP)
INTERVAL = Type(Kind.INTERVAL)
JSON = Type(Kind.JSON)
# Text is how these arrive, not what they are.
TEXT = re.compile(
    r"(?:text|char|bpchar|character|varchar|nvarchar|string|name|citext|character varying)"
    r"(?:\(.*\))?",
    re.IGNORECASE,
)
DOCUMENT = re.compile(r"jsonb?|variant|object|super|(?:struct|map)<.*>", re.IGNORECASE)
PADDED = re.compile(r"(?:char|bpchar|character)(?:\(\d+\))?", re.IGNORECASE)


def of_column(column: Column) -> Type:
    """The type that a column has here."""
    arrow = column.arrow_type
    known = None if arrow is None else _of_arrow(arrow)
    if known == STRING and not TEXT.fullmatch(column.native_type):
        if DOCUMENT.fullmatch(column.native_type):
            return JSON
        if re.match("numeric|decimal", column.native_type, re.IGNORECASE):
            return DECIMAL
        return Type(Kind.OTHER, native=column.native_type.lower())
    if known == STRING and PADDED.fullmatch(column.native_type):
        return Type(Kind.STRING, padded=True)
    return known or Type(Kind.OTHER, native=column.native_type.lower())


def of_field(field: pa.Field) -> Type:
    """The type of a column that has been copied as Arrow has it; a text may be a document's."""
    native = (field.metadata or {}).get(b"native", b"").decode()
    if field.type == pa.string() and DOCUMENT.fullmatch(native):
        return JSON
    return _of_arrow(field.type) or Type(Kind.OTHER, native=str(field.type))


def _of_arrow(arrow: pa.DataType) -> Type | None:
    for test, found in (
        (pa.types.is_boolean, BOOL),
        (pa.types.is_integer, INT),
        (pa.types.is_floating, FLOAT),
        (pa.types.is_string, STRING),
        (pa.types.is_date, DATE),
    ):
        if test(arrow):
            return found
    if pa.types.is_decimal(arrow):
        return Type(Kind.DECIMAL, scale=arrow.scale)
    if pa.types.is_timestamp(arrow):
        return DATETIME if arrow.tz is None else TIMESTAMP
    if pa.types.is_list(arrow):
        item = _of_arrow(arrow.value_type)
        return item and Type(Kind.ARRAY, item=item)
    return None


def digits(number: object) -> int:
    """Before the point and after it, as a decimal has them."""
    _, found, exponent = Decimal(str(number)).as_tuple()
    return max(len(found) + max(0, int(exponent)), -int(exponent))


def common(*types: Type) -> Type | None:
    """The narrowest type that holds values of all of them; ``None`` where there is none."""
    found = NULL
    for one in types:
        joined = _joined(found, one)
        if joined is None:
            return None
        found = joined
    return found


def _joined(a: Type, b: Type) -> Type | None:
    if a == b:
        return b if a.padded else a
    if b.kind == Kind.NULL:
        return a
    if a.kind == Kind.NULL:
        return b
    if a.is_number and b.is_number:
        kind = max(a.kind, b.kind, key=NUMBERS.index)
        if kind != Kind.DECIMAL:
            return Type(kind)
        scales = [0 if t.kind == Kind.INT else t.scale for t in (a, b)]
        known = [scale for scale in scales if scale is not None]
        return Type(kind, scale=max(known) if len(known) == len(scales) else None)
    if a.is_time and b.is_time:
        # A date and a clock compare as the warehouse has it: midnight. An instant needs a zone.
        return DATETIME if Kind.TIMESTAMP not in (a.kind, b.kind) else None
    if a.kind == b.kind == Kind.ARRAY and a.item and b.item:
        item = _joined(a.item, b.item)
        return item and Type(Kind.ARRAY, item=item)
    return None
