"""Databricks' types as Arrow's; see the table of the provider."""

import re

import pyarrow as pa

DECIMAL = re.compile(r"(?:DECIMAL|DEC|NUMERIC)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")
NAME = re.compile(r"[A-Z_]+")
EXACT = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "BINARY": pa.binary(),
}
AS_TEXT = frozenset(
    """ARRAY CHAR GEOGRAPHY GEOMETRY INTERVAL MAP OBJECT STRING STRUCT VARCHAR VARIANT
    VOID""".split()
)


def arrow_type(native: str) -> pa.DataType | None:
    """The Arrow type that a column arrives in, by its type's name; ``None`` for an unknown one."""
    text = native.strip().upper()
    if match := DECIMAL.fullmatch(text):
        return pa.decimal128(int(match[1] or 10), int(match[2] or 0))
    if text in EXACT:
        return EXACT[text]
    name = NAME.match(text)
    return pa.string() if name and name[0] in AS_TEXT else None


def arrow_schema(sent: pa.Schema) -> pa.Schema:
    """The Arrow schema of a result, from what the server sends."""
    return pa.schema([pa.field(field.name, _arrived(field.type)) for field in sent])


def _arrived(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    return kind if pa.types.is_decimal(kind) or kind in EXACT.values() else pa.string()
