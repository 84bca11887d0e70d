"""Result columns as the client is told of them, and Arrow data in the form it reads."""

import re
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.snowflake.errors import unsupported

_TYPES = {
    "BLOB": "BINARY",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "DOUBLE": "REAL",
    "FLOAT": "REAL",
    "JSON": "VARIANT",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMP_MS": "TIMESTAMP_NTZ",
    "TIMESTAMP_NS": "TIMESTAMP_NTZ",
    "TIMESTAMP_S": "TIMESTAMP_NTZ",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ",
    "UUID": "TEXT",
    "VARCHAR": "TEXT",
    '"NULL"': "TEXT",
}
_INTEGER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)$")
# Snowflake writes a zone's offset in minutes from -1440, so that UTC is 1440.
_UTC = 1440


@dataclass(frozen=True)
class ResultColumn:
    """One column of a result: Snowflake's type word, and sizes as far as it has any."""

    name: str
    type: str = "TEXT"
    precision: int | None = None
    scale: int | None = None
    length: int | None = None

    def wire(self) -> dict[str, Any]:
        """Return the column as an element of `rowtype`."""
        return {
            "name": self.name,
            "database": "",
            "schema": "",
            "table": "",
            "type": self.type.lower(),
            "nullable": True,
            "precision": self.precision,
            "scale": self.scale,
            "length": self.length,
            "byteLength": self.length,
            "collation": None,
        }


def column_of(name: str, duckdb_type: str) -> ResultColumn:
    """Return the result column for one of duckdb; raises SqlError for a type nobody has here."""
    if decimal := _DECIMAL.match(duckdb_type):
        return ResultColumn(name, "FIXED", int(decimal[1]), int(decimal[2]))
    if _INTEGER.match(duckdb_type):
        # What a COUNT is in Snowflake; only duckdb's 128 bits need more digits.
        return ResultColumn(name, "FIXED", 38 if "HUGE" in duckdb_type else 18, 0)
    kind = _TYPES.get(duckdb_type)
    if kind is None:
        raise unsupported(f"result column {name} of type {duckdb_type}")
    if kind.startswith("TIME"):
        return ResultColumn(name, kind, 0, 9)
    if kind in {"TEXT", "BINARY"}:
        return ResultColumn(name, kind, length=16777216 if kind == "TEXT" else 8388608)
    return ResultColumn(name, kind)


def declared_as(column: ResultColumn, declared: str | None) -> ResultColumn:
    """Return the column with the type its table declares, where duckdb has one for several."""
    families = ({"TIMESTAMP_TZ", "TIMESTAMP_LTZ"}, {"VARIANT", "OBJECT", "ARRAY"})
    if any(column.type in family and declared in family for family in families):
        return replace(column, type=str(declared))
    return column


def to_wire(table: pa.Table, columns: list[ResultColumn]) -> pa.Table:
    """Return Arrow data the way Snowflake's server sends it.

    Whole numbers and decimals come as the narrowest integer that holds this chunk, so chunks of
    one result differ in their Arrow types, as they do from the real server.
    """
    arrays = [
        _convert(chunked.combine_chunks(), column)
        for chunked, column in zip(table.columns, columns, strict=True)
    ]
    fields = [
        pa.field(column.name, array.type, metadata=_metadata(column))
        for array, column in zip(arrays, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _metadata(column: ResultColumn) -> dict[str, str]:
    return {
        "logicalType": column.type,
        "precision": str(column.precision or 38),
        "scale": str(column.scale or 0),
        "charLength": str(column.length or 0),
    }


def _convert(array: pa.Array, column: ResultColumn) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.chunks else pa.array([], array.type)
    if column.type == "FIXED":
        return _narrow(array)
    if column.type == "TIME":
        return pc.multiply(array.cast(pa.time64("us")).cast(pa.int64()), 1000)
    if column.type.startswith("TIMESTAMP"):
        return _timestamp(array, with_zone=column.type == "TIMESTAMP_TZ")
    if column.type == "REAL":
        return array.cast(pa.float64())
    if column.type in {"TEXT", "VARIANT", "OBJECT", "ARRAY"}:
        return array.cast(pa.string())
    return array


def _narrow(array: pa.Array) -> pa.Array:
    """Return unscaled integers of the smallest type that holds them all, else 128 bits."""
    wide = array if pa.types.is_decimal128(array.type) else array.cast(pa.decimal128(38, 0))
    unscaled = pa.Array.from_buffers(
        pa.decimal128(38, 0), len(wide), wide.buffers(), wide.null_count, wide.offset
    )
    bounds = pc.min_max(unscaled).as_py()
    least, most = int(bounds["min"] or 0), int(bounds["max"] or 0)
    for bits, target in ((7, pa.int8()), (15, pa.int16()), (31, pa.int32()), (63, pa.int64())):
        if -(2**bits) <= least and most < 2**bits:
            return unscaled.cast(target)
    return wide


def _timestamp(array: pa.Array, *, with_zone: bool) -> pa.Array:
    micros = array.cast(pa.timestamp("us", array.type.tz), safe=False).cast(pa.int64())
    # Integer division goes towards zero, so before 1970 the fraction comes out negative.
    seconds = pc.divide(micros, 1_000_000)
    rest = pc.subtract(micros, pc.multiply(seconds, 1_000_000))
    before = pc.less(rest, 0)
    seconds = pc.if_else(before, pc.subtract(seconds, 1), seconds)
    rest = pc.if_else(before, pc.add(rest, 1_000_000), rest)
    parts = {
        "epoch": seconds.fill_null(0),
        "fraction": pc.multiply(rest, 1000).fill_null(0).cast(pa.int32()),
    }
    if with_zone:
        parts["timezone"] = pa.array([_UTC] * len(array), pa.int32())
    fields = [pa.field(name, part.type, nullable=False) for name, part in parts.items()]
    return pa.StructArray.from_arrays(list(parts.values()), fields=fields, mask=array.is_null())
