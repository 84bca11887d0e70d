"""Snowflake's types in Arrow, one table for query() and fetch_tables().

    Snowflake                  Arrow                        exact?
    NUMBER(p,0), p <= 18       int64                        yes
    NUMBER(p,s)                decimal128(p,s)              yes, all 38 digits
    FLOAT                      float64                      yes, NaN and infinities too
    BOOLEAN                    bool
    TEXT                       string                       yes
    BINARY                     binary                       yes
    DATE                       date32                       yes, years 1 to 9999
    TIME(n)                    time64[us]                   n <= 6 yes; else see below
    TIMESTAMP_NTZ(n)           timestamp[us]                n <= 6 yes; else see below
    TIMESTAMP_LTZ(n)           timestamp[us, UTC]           n <= 6 yes; else see below
    TIMESTAMP_TZ(n)            timestamp[us, UTC]           the instant; the offset is not carried
    VARIANT, OBJECT, ARRAY,    string, JSON                 as Snowflake writes it
    MAP
    GEOGRAPHY, GEOMETRY        string                       as GEOGRAPHY_OUTPUT_FORMAT has it
    FILE                       string, JSON                 what describes the file
    VECTOR(FLOAT|INT, n)       fixed_size_list of float32   yes
                               or int32
    INTERVAL …, DECFLOAT       refused                      cast them to VARCHAR

Beyond microseconds: the default of n is 9, so it is judged value by value. One that has
nanoseconds is refused with DataError, which names its column; it is never cut.

A field's metadata have the Snowflake type as ``native`` where the Arrow type says less: JSON in
text, and TIMESTAMP_TZ, whose offset Arrow has no place for (select ``TO_VARCHAR(c)`` to have it).

Source: Snowflake documentation, Data types; the client's own CArrowTableIterator for the wire.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import ConnectionLost, DataError

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import ResultMetadataV2
    from snowflake.connector.result_batch import ArrowResultBatch

INT64_DIGITS = 18
MICROSECONDS = 6
TEXTUAL = ("ARRAY", "FILE", "GEOGRAPHY", "GEOMETRY", "MAP", "OBJECT", "VARIANT")
SCALARS: dict[str, pa.DataType] = {
    "BINARY": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "FLOAT": pa.float64(),
    "TEXT": pa.string(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", tz="UTC"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_TZ": pa.timestamp("us", tz="UTC"),
    **dict.fromkeys(TEXTUAL, pa.string()),
}
ELEMENTS = {"FLOAT": pa.float32(), "INT": pa.int32()}
NOTED = frozenset({*TEXTUAL, "TIMESTAMP_TZ"})
NUMBER = re.compile(r"NUMBER\((\d+), ?(\d+)\)")
VECTOR = re.compile(r"VECTOR\((FLOAT|INT), ?(\d+)\)")

RESULT_NAMES = {"FIXED": "NUMBER", "REAL": "FLOAT", "TIMESTAMP": "TIMESTAMP_NTZ"}
"""Types as results name them, where the catalog has another word."""


def arrow_type(native: str) -> pa.DataType | None:
    """What a query's result has for a column of this type; ``None`` when it is refused there.

    Names as in ``Column.native_type``.
    """
    if number := NUMBER.fullmatch(native):
        precision, scale = int(number[1]), int(number[2])
        small = scale == 0 and precision <= INT64_DIGITS
        return pa.int64() if small else pa.decimal128(precision, scale)
    if vector := VECTOR.fullmatch(native):
        return pa.list_(ELEMENTS[vector[1]], int(vector[2]))
    return SCALARS.get(native.partition("(")[0])


def arrow_schema(columns: "Iterable[ResultMetadataV2]") -> pa.Schema:
    """The Arrow schema of a result, the same whatever widths its chunks were packed to.

    Raises DataError for a column of a type that is not in the table above.
    """
    return pa.schema([_field(column.name, native_type(column)) for column in columns])


def native_type(column: "ResultMetadataV2") -> str:
    """A result column's type as the catalog would name it."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    name = FIELD_ID_TO_NAME[column.type_code]
    name = RESULT_NAMES.get(name, name)
    if name == "NUMBER":
        # The client takes a type that it does not know for a number; that has no digits.
        known = column.precision is not None
        return f"NUMBER({column.precision},{column.scale})" if known else "a new type"
    if name == "VECTOR":
        element = FIELD_ID_TO_NAME[column.fields[0].type_code] if column.fields else ""
        return f"VECTOR({'INT' if element == 'FIXED' else 'FLOAT'},{column.vector_dimension})"
    if name.startswith("TIME"):
        return f"{name}({column.scale})"
    return name


def _field(name: str, native: str) -> pa.Field:
    kind = arrow_type(native)
    if kind is None:
        raise DataError(
            f"Column {name} is of {native}, which cannot be carried exactly.",
            hint="Cast it: column::VARCHAR.",
        )
    bare = native.partition("(")[0]
    return pa.field(name, kind, metadata={"native": bare} if bare in NOTED else None)


def fine_columns(columns: "Sequence[ResultMetadataV2]") -> tuple[tuple[int, int], ...]:
    """Position and scale of the columns that may hold more than microseconds."""
    return tuple(
        (position, int(column.scale or 0))
        for position, column in enumerate(columns)
        if native_type(column).startswith("TIME") and (column.scale or 0) > MICROSECONDS
    )


def table_of(
    batch: "ArrowResultBatch",
    connection: "SnowflakeConnection",
    schema: pa.Schema,
    fine: Sequence[tuple[int, int]],
) -> pa.Table:
    """Download one chunk of a result and decode it; its columns are those of ``schema``.

    ``fine`` is what ``fine_columns`` says. Raises DataError for a value that the schema has no
    place for, ConnectionLost for a chunk that did not arrive whole.
    """
    if fine:
        batch = _fetched(batch, connection)
        _refuse_nanoseconds(_content(batch), schema, fine)
    table = batch.to_arrow(connection, force_microsecond_precision=True)
    if table.num_rows != batch.rowcount:
        raise ConnectionLost("A part of the result did not arrive whole.")
    columns = [_cast(column, field) for column, field in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as exc:
        raise DataError(f"Column {field.name} has a value outside the range of its type.") from exc


def _fetched(batch: Any, connection: "SnowflakeConnection") -> Any:
    """The chunk with its content; a copy, because the client keeps the original to the end."""
    return batch if batch._data else copy(batch).populate_data(connection)


def _content(batch: Any) -> bytes:
    """The chunk as it came over the wire: the client's own decoder cuts nanoseconds off."""
    content = batch._data
    return base64.b64decode(content) if isinstance(content, str) else bytes(content)


def _refuse_nanoseconds(content: bytes, schema: pa.Schema, fine: Iterable[tuple[int, int]]) -> None:
    """Raises DataError naming the first column with a value that microseconds cannot hold."""
    table = pa.ipc.open_stream(content).read_all()
    for position, scale in fine:
        if any(_has_nanoseconds(chunk, scale) for chunk in table.column(position).chunks):
            name = schema.field(position).name
            raise DataError(
                f"Column {name} has a value with nanoseconds, which cannot be carried exactly.",
                hint="Round it in the query, such as column::TIMESTAMP_NTZ(6), or select "
                "column::VARCHAR.",
            )


def _has_nanoseconds(array: pa.Array, scale: int) -> bool:
    """On the wire it is a count of 10^-scale seconds, or of seconds and nanoseconds apart."""
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        split = "fraction" in names
        array, scale = (
            pc.struct_field(array, "fraction" if split else "epoch"),
            9 if split else scale,
        )
    unit = pa.scalar(10 ** (scale - MICROSECONDS), array.type)
    return bool(pc.any(pc.not_equal(pc.remainder(array, unit), 0)).as_py())
