"""Results in BigQuery's own types: from DuckDB's to REST fields, and from those to Arrow's."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.bigquery.errors import invalid_query

Field = dict[str, Any]

_INTEGERS = {
    f"{sign}{size}"
    for sign in ("", "u")
    for size in ("bigint", "hugeint", "integer", "smallint", "tinyint")
}
# An untyped NULL is an INT64 in GoogleSQL.
_SCALARS = dict.fromkeys([*_INTEGERS, '"null"', "sqlnull", "null"], "INTEGER") | {
    "double": "FLOAT",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "varchar": "STRING",
    "blob": "BYTES",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "DATETIME",
    "timestamp_s": "DATETIME",
    "timestamp_ms": "DATETIME",
    "timestamp_ns": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "interval": "INTERVAL",
    "uuid": "STRING",
    "enum": "STRING",
}
_ARROW = {
    "INTEGER": pa.int64(),
    "INT64": pa.int64(),
    "FLOAT": pa.float64(),
    "FLOAT64": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "BOOL": pa.bool_(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "STRING": pa.string(),
    "JSON": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "INTERVAL": pa.month_day_nano_interval(),
}
# How the Storage Read API marks the types that Arrow does not have.
_EXTENSIONS = {
    "JSON": {b"ARROW:extension:name": b"google:sqlType:json"},
    "DATETIME": {b"ARROW:extension:name": b"google:sqlType:datetime"},
    "GEOGRAPHY": {
        b"ARROW:extension:name": b"google:sqlType:geography",
        b"ARROW:extension:metadata": b'{"encoding":"WKT"}',
    },
}
# By this bqemulator's printer of rows tells a RANGE from any other struct.
_EMULATORS_TYPE = b"bqemu.duckdb_type"
_RANGES = {
    "DATE": b'STRUCT("start" DATE, "end" DATE)',
    "DATETIME": b'STRUCT("start" TIMESTAMP, "end" TIMESTAMP)',
    "TIMESTAMP": b'STRUCT("start" TIMESTAMP WITH TIME ZONE, "end" TIMESTAMP WITH TIME ZONE)',
}
_NUMERIC_SCALE = 9


def rest_field(name: str, kind: Any) -> Field:
    """Return the REST schema entry for a DuckDB column type."""
    if kind.id == "list":
        return rest_field(name, dict(kind.children)["child"]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        return _struct_field(name, dict(kind.children))
    if kind.id == "decimal":
        is_big = dict(kind.children)["scale"] > _NUMERIC_SCALE
        return _entry(name, "BIGNUMERIC" if is_big else "NUMERIC")
    if str(kind) == "JSON":
        return _entry(name, "JSON")
    return _entry(name, _SCALARS.get(kind.id, "STRING"))


def check_names(fields: Iterable[Field]) -> None:
    """Raise what BigQuery answers when two columns of a result have one name."""
    seen: set[str] = set()
    for field in fields:
        if field["name"].lower() in seen:
            raise invalid_query(
                "Duplicate column names in the result are not supported when a destination table "
                f"is present. Found duplicate(s): {field['name']}"
            )
        seen.add(field["name"].lower())


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    return pa.schema([_arrow_field(field) for field in fields])


def in_bigquery_types(table: pa.Table, fields: list[Field]) -> pa.Table:
    """Cast a table, column by column, to what the Storage Read API would send."""
    schema = arrow_schema(fields)
    if table.num_columns != len(fields):
        return schema.empty_table()
    columns = [_cast(column, field) for column, field in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        found = column.cast(field.type)
    except pa.ArrowInvalid as error:
        what = "int64 overflow" if pa.types.is_int64(field.type) else f"{field.type}: {error}"
        raise invalid_query(f"Value out of range in column {field.name}: {what}") from error
    return _array(found, field) if pa.types.is_list(field.type) else found


def _array(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """An array in a result is never NULL but empty, and has no NULL in it."""
    if pc.list_flatten(column).null_count:
        raise invalid_query(
            f"Array cannot have a null element; error in writing field {field.name}"
        )
    if column.null_count:
        return pc.if_else(column.is_null(), pa.scalar([], field.type), column)
    return column


def _arrow_field(field: Mapping[str, Any]) -> pa.Field:
    metadata = _EXTENSIONS.get(field["type"])
    if field["type"] == "RANGE":
        metadata = {_EMULATORS_TYPE: _RANGES[field["rangeElementType"]["type"]]}
    kind = _arrow_type(field)
    if field.get("mode") == "REPEATED":
        kind = pa.list_(pa.field("item", kind))
    return pa.field(field["name"], kind, metadata=metadata)


def _arrow_type(field: Mapping[str, Any]) -> pa.DataType:
    if field["type"] in ("RECORD", "STRUCT"):
        return pa.struct([_arrow_field(child) for child in field["fields"]])
    if field["type"] == "RANGE":
        kind = _ARROW[field["rangeElementType"]["type"]]
        return pa.struct([("start", kind), ("end", kind)])
    return _ARROW.get(field["type"], pa.string())


def _struct_field(name: str, children: Mapping[str, Any]) -> Field:
    fields = [rest_field(child, kind) for child, kind in children.items()]
    kinds = {field["type"] for field in fields}
    # bqemulator keeps RANGE<T> as a struct of these two.
    if list(children) == ["start", "end"] and len(kinds) == 1:
        (kind,) = kinds
        if kind in _RANGES:
            return _entry(name, "RANGE") | {"rangeElementType": {"type": kind}}
    return _entry(name, "RECORD") | {"fields": fields}


def _entry(name: str, kind: str) -> Field:
    return {"name": name, "type": kind, "mode": "NULLABLE"}
