"""Types of BigQuery and what they arrive as.

    BigQuery                     Arrow                       exact?
    BOOL                         bool                        yes
    INT64                        int64                       yes
    FLOAT64                      double                      yes, with NaN and both infinities
    NUMERIC, NUMERIC(p, s)       decimal128(38, 9)           yes
    BIGNUMERIC, BIGNUMERIC(p, s) decimal256(76, 38)          up to 76 digits; a value with 77 is
                                                             refused with the column's name
    STRING, STRING(n)            string                      yes
    BYTES, BYTES(n)              binary                      yes
    DATE                         date32                      yes, 0001-01-01 to 9999-12-31
    TIME                         time64[us]                  yes
    DATETIME                     timestamp[us]               yes
    TIMESTAMP                    timestamp[us, UTC]          yes: BigQuery keeps no offset
    TIMESTAMP(12)                none                        refused with the column's name
    JSON                         string                      yes, as JSON text
    GEOGRAPHY                    string                      yes, as WKT
    INTERVAL                     string                      yes, as 1-2 3 4:5:6.789
    RANGE<T>                     struct<start: T, end: T>    yes, NULL where it is unbounded
    ARRAY<T>                     list<T>                     BigQuery itself returns a NULL array
                                                             as an empty one
    STRUCT<…>                    struct<…>                   yes

JSON, GEOGRAPHY and INTERVAL are text so that every consumer can hold them.
"""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import DataError

SCALARS: dict[str, pa.DataType] = {
    "BIGNUMERIC": pa.decimal256(76, 38),
    "BOOL": pa.bool_(),
    "BOOLEAN": pa.bool_(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "FLOAT": pa.float64(),
    "FLOAT64": pa.float64(),
    "GEOGRAPHY": pa.string(),
    "INT64": pa.int64(),
    "INTEGER": pa.int64(),
    "INTERVAL": pa.string(),
    "JSON": pa.string(),
    "NUMERIC": pa.decimal128(38, 9),
    "STRING": pa.string(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}
"""By the names of SQL and of the REST interface, which differ for some."""

BIGNUMERIC_DIGITS = 76
PICOSECONDS = "TIMESTAMP(12)"
TOKEN = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<word>\w+(?:\([^)]*\))?)|(?P<sign>[<>,]))")


def arrow_schema(fields: Any) -> pa.Schema:
    """The Arrow schema of a query's result; raises DataError for a type that is not in the table"""
    return pa.schema([pa.field(field.name, _type_of(field, field.name)) for field in fields])


def _type_of(field: Any, column: str) -> pa.DataType:
    if field.field_type in ("RECORD", "STRUCT"):
        kind = pa.struct([pa.field(one.name, _type_of(one, column)) for one in field.fields])
    elif field.field_type == "RANGE":
        kind = _range(SCALARS[field.range_element_type.element_type])
    elif field.field_type not in SCALARS or _is_too_fine(field):
        raise _not_exact(column, "its type has no exact equal here")
    else:
        kind = SCALARS[field.field_type]
    return pa.list_(kind) if field.mode == "REPEATED" else kind


def _is_too_fine(field: Any) -> bool:
    """A TIMESTAMP of picoseconds, of which the Storage Read API would send microseconds."""
    return str(field._properties.get("timestampPrecision")) == "12"


def arrow_type(native: str) -> pa.DataType | None:
    """The Arrow type of a column by its SQL type, such as ``ARRAY<STRUCT<a INT64>>``.

    ``None`` for a type that a query would refuse, and for what this cannot read.
    """
    tokens = [match for match in TOKEN.finditer(native) if match[0].strip()]
    if "".join(match[0] for match in tokens).strip() != native.strip():
        return None
    try:
        kind, rest = _read(tokens)
    except (IndexError, KeyError):
        return None
    return None if rest else kind


Tokens = list[re.Match[str]]


def _read(tokens: Tokens) -> tuple[pa.DataType, Tokens]:
    """A type off the front of the tokens, and the tokens after it."""
    word, rest = tokens[0]["word"], tokens[1:]
    if word == "STRUCT":
        return _read_struct(rest[1:])
    if word in ("ARRAY", "RANGE"):
        inner, rest = _read(rest[1:])
        return (pa.list_(inner) if word == "ARRAY" else _range(inner)), rest[1:]
    if word == PICOSECONDS:
        raise KeyError(word)
    return SCALARS[word.partition("(")[0]], rest


def _read_struct(rest: Tokens) -> tuple[pa.DataType, Tokens]:
    fields = []
    while True:
        name = rest[0]["quoted"] or rest[0]["word"]
        kind, rest = _read(rest[1:])
        fields.append(pa.field(name, kind))
        sign, rest = rest[0]["sign"], rest[1:]
        if sign == ">":
            return pa.struct(fields), rest


def _range(kind: pa.DataType) -> pa.DataType:
    return pa.struct([pa.field("start", kind), pa.field("end", kind)])


def converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch as it came, in the types of ``arrow_schema``.

    Raises DataError with the name of a column that has a value that cannot be exact in them.
    """
    columns = [_exact(batch.column(number), field) for number, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _exact(column: pa.Array, field: pa.Field) -> pa.Array:
    try:
        return _converted(column, field.type)
    except pa.ArrowInvalid as exc:
        raise _not_exact(field.name, "a value has no exact equal here") from exc


def _not_exact(column: str, why: str) -> DataError:
    return DataError(
        f"Column {column} cannot be read: {why}.",
        hint="Convert it in the query, as with CAST(… AS STRING).",
        fields={"sql": column},
    )


def _converted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind and not pa.types.is_nested(kind):
        if pa.types.is_decimal256(kind):
            _refuse_77_digits(array)
        return array
    if pa.types.is_interval(array.type):
        texts = [None if one is None else _interval(one) for one in array.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_list(kind):
        values = _converted(array.values, kind.value_type)
        return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=array.is_null())
    if pa.types.is_struct(kind):
        children = [_converted(array.field(n), field.type) for n, field in enumerate(kind)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    return array.cast(kind)


def _refuse_77_digits(array: pa.Array) -> None:
    """The bytes of a decimal256 hold what a BIGNUMERIC holds, its type one digit less."""
    for value in pc.min_max(array).as_py().values():
        if value is not None and len(value.as_tuple().digits) > BIGNUMERIC_DIGITS:
            raise pa.ArrowInvalid("more digits than decimal256 has")


def _interval(value: pa.MonthDayNano) -> str:
    """As CAST(… AS STRING) writes it: years-months, days, hours:minutes:seconds."""
    years, months = divmod(abs(value.months), 12)
    seconds, nanos = divmod(abs(value.nanoseconds), 10**9)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{nanos:09d}" if nanos else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    of_months, of_time = ("-" if part < 0 else "" for part in (value.months, value.nanoseconds))
    return (
        f"{of_months}{years}-{months} {value.days} {of_time}{hours}:{minutes}:{seconds}{fraction}"
    )
