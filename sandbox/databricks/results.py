"""Rows on their way to the client: from Spark's Thrift columns to LZ4-packed Arrow batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lz4.frame
import pyarrow as pa
import pyarrow.compute as pc
from databricks.sql.thrift_api.TCLIService import ttypes as t

_TYPES = {
    t.TTypeId.BOOLEAN_TYPE: pa.bool_(),
    t.TTypeId.TINYINT_TYPE: pa.int8(),
    t.TTypeId.SMALLINT_TYPE: pa.int16(),
    t.TTypeId.INT_TYPE: pa.int32(),
    t.TTypeId.BIGINT_TYPE: pa.int64(),
    t.TTypeId.FLOAT_TYPE: pa.float32(),
    t.TTypeId.DOUBLE_TYPE: pa.float64(),
    t.TTypeId.BINARY_TYPE: pa.binary(),
    t.TTypeId.DATE_TYPE: pa.date32(),
    t.TTypeId.NULL_TYPE: pa.null(),
}
"""Every type that is not here, and neither a decimal nor a timestamp, goes as text."""

_PHYSICAL = {
    "boolVal": pa.bool_(),
    "byteVal": pa.int8(),
    "i16Val": pa.int16(),
    "i32Val": pa.int32(),
    "i64Val": pa.int64(),
    "doubleVal": pa.float64(),
    "stringVal": pa.string(),
    "binaryVal": pa.binary(),
}
_CATALOG_COLUMNS = ("TABLE_CAT", "TABLE_CATALOG")
_SQL_NAME = b"Spark:DataType:SqlName"


@dataclass(frozen=True)
class Layout:
    """The columns of a result, as Thrift and as Arrow describe them."""

    thrift: Any
    arrow: pa.Schema
    time_zone: str
    catalog: str | None = None

    @property
    def arrow_bytes(self) -> bytes:
        """The Arrow schema as the client reads it."""
        data: bytes = self.arrow.serialize().to_pybytes()
        return data


def layout(
    thrift: Any, described: Sequence[tuple[str, str]], time_zone: str, catalog: str | None
) -> Layout:
    """Return the layout of a result.

    ``described`` are names and SQL types where they are known: Thrift does not tell the two
    timestamps apart, nor a VARIANT from a text. ``catalog`` is what metadata are to name.
    """
    columns = thrift.columns or []
    names = [name for name, _ in described] or [column.columnName for column in columns]
    kinds = [kind for _, kind in described] or [""] * len(columns)
    for column, name in zip(columns, names, strict=True):
        column.columnName = name
    fields = [_field(column, kind, time_zone) for column, kind in zip(columns, kinds, strict=True)]
    # The client counts the columns without looking whether there is a list.
    thrift.columns = columns
    return Layout(thrift, pa.schema(fields), time_zone, catalog)


def batch(columns: Sequence[Any] | None, wanted: Layout) -> pa.RecordBatch:
    """Return the rows of one answer of Spark's; raise pa.ArrowInvalid for a value out of range."""
    arrays = [
        _converted(_array(column), field.type, wanted.time_zone)
        for column, field in zip(columns or (), wanted.arrow, strict=False)
    ]
    if not arrays:
        arrays = [pa.array([], field.type) for field in wanted.arrow]
    if wanted.catalog is not None:
        for index in (wanted.arrow.get_field_index(name) for name in _CATALOG_COLUMNS):
            if index >= 0:
                arrays[index] = pa.repeat(wanted.catalog, len(arrays[index]))
    return pa.RecordBatch.from_arrays(arrays, schema=wanted.arrow)


def packed(rows: pa.RecordBatch) -> Any:
    """Return a batch as it goes over the wire."""
    data = lz4.frame.compress(rows.serialize().to_pybytes())
    return t.TSparkArrowBatch(batch=data, rowCount=rows.num_rows)


def _field(column: Any, kind: str, time_zone: str) -> pa.Field:
    entry = column.typeDesc.types[0].primitiveEntry
    metadata = {_SQL_NAME: kind.upper().encode()} if kind else None
    if entry.type == t.TTypeId.DECIMAL_TYPE:
        given = entry.typeQualifiers.qualifiers
        arrow = pa.decimal128(given["precision"].i32Value, given["scale"].i32Value)
    elif entry.type == t.TTypeId.TIMESTAMP_TYPE:
        arrow = pa.timestamp("us", None if kind == "timestamp_ntz" else time_zone)
    else:
        arrow = _TYPES.get(entry.type, pa.string())
    return pa.field(column.columnName, arrow, metadata=metadata)


def _array(column: Any) -> pa.Array:
    for name, kind in _PHYSICAL.items():
        part = getattr(column, name)
        if part is not None:
            return pa.array(_with_nulls(part.values, part.nulls), kind)
    raise ValueError("a column without values")


def _with_nulls(values: list[Any], nulls: bytes) -> list[Any]:
    if any(nulls):
        for index in range(min(len(values), 8 * len(nulls))):
            if nulls[index >> 3] >> (index & 7) & 1:
                values[index] = None
    return values


def _converted(array: pa.Array, kind: pa.DataType, time_zone: str) -> pa.Array:
    if pa.types.is_null(kind):
        return pa.nulls(len(array))
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return array.cast(kind)
    # Spark wrote the wall clock of the session's time zone.
    wall = array.cast(pa.timestamp("us"))
    return pc.assume_timezone(wall, time_zone, ambiguous="earliest", nonexistent="earliest")
