"""Rows as text, and the Arrow types that hold them exactly."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connectors.errors import DataError

if TYPE_CHECKING:
    import psycopg
    from psycopg import Column

FIRST_ROWS = 100
BATCH_ROWS = 10_000
BATCH_BYTES = 8 * 2**20
NUMERIC_OID = 1700
MAX_DIGITS, MAX_SCALE = 38, 37
"""Of Arrow's decimal128, and of what Redshift and Snowflake take."""
JSON_TYPES = {114: "json", 3802: "jsonb"}

ARROW_TYPES: dict[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
"""Types by oid that Arrow holds exactly. Every other type arrives as the server's own text."""
PARSED_BY_ARROW = frozenset({1082, 1114, 1184})
"""Dates and times: from their text, which refuses BC and infinity, and is the fastest way."""


def read_everything_else_as_text(connection: "psycopg.Connection[Any]") -> None:
    """Keep Python's own types out of the way: no float for JSON numbers, no list for arrays."""
    from psycopg.types.string import TextLoader

    adapters = connection.adapters
    for info in adapters.types:
        for oid in (info.oid, info.array_oid):
            if oid and (oid not in ARROW_TYPES or oid in PARSED_BY_ARROW):
                adapters.register_loader(oid, TextLoader)


def arrow_type(column: "Column") -> pa.DataType:
    """The Arrow type that holds a column exactly; text where there is none."""
    if column.type_code == NUMERIC_OID and column.precision is not None:
        return decimal_type(column.precision, column.scale or 0)
    return ARROW_TYPES.get(column.type_code, pa.string())


def decimal_type(precision: int, scale: int) -> pa.DataType:
    """The Arrow type of a ``numeric(precision, scale)``."""
    exact = precision <= MAX_DIGITS and 0 <= scale <= min(precision, MAX_SCALE)
    return pa.decimal128(precision, scale) if exact else pa.string()


def arrow_schema(description: Sequence["Column"]) -> pa.Schema:
    """The Arrow schema of a cursor's description; JSON carries its type's name as ``native``."""
    return pa.schema([_arrow_field(column) for column in description])


def _arrow_field(column: "Column") -> pa.Field:
    native = JSON_TYPES.get(column.type_code)
    metadata = {"native": native} if native else None
    return pa.field(column.name, arrow_type(column), metadata=metadata)


def batches(cursor: "psycopg.ServerCursor[Any]", schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rest of a server-side cursor; holds one batch at a time, of about BATCH_BYTES at most.

    How wide the rows are shows in the first few.
    """
    count = FIRST_ROWS
    while rows := cursor.fetchmany(count):
        batch = record_batch(rows, schema)
        yield batch
        fitting = BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)
        count = max(1, min(BATCH_ROWS, fitting))


def record_batch(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """The rows, of which there is one at least, as Arrow's."""
    columns = zip(*rows, strict=True)
    arrays = [_array(values, field) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class TextRows:
    """Makes a batch of rows whose values have been read from text."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._parts: list[pa.RecordBatch] = []
        self.num_rows = self.nbytes = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Some more of them, one at least."""
        part = record_batch(rows, self._schema)
        self._parts.append(part)
        self.num_rows += part.num_rows
        self.nbytes += part.nbytes

    def batch(self) -> pa.RecordBatch:
        """All of them, one at least."""
        return pa.concat_batches(self._parts)


def _array(values: Sequence[object], field: pa.Field) -> pa.Array:
    kind = field.type
    try:
        if pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
            return pa.array(values, pa.string()).cast(kind)
        return pa.array(values, kind)
    except pa.ArrowInvalid as exc:
        raise inexact(field) from exc


def array_of_text(values: Sequence[str | None], field: pa.Field) -> pa.Array:
    """Values as the server's output functions write them. Raises DataError."""
    kind = field.type
    try:
        if pa.types.is_boolean(kind):
            return pa.array([value and value == "t" for value in values], kind)
        if pa.types.is_binary(kind):
            return pa.array([value and bytes.fromhex(value[2:]) for value in values], kind)
        return pa.array(values, pa.string()).cast(kind)
    except pa.ArrowInvalid as exc:
        raise inexact(field) from exc


def inexact(field: pa.Field) -> DataError:
    """What to say of a column with a value that its Arrow type does not have."""
    return DataError(
        f"The column {field.name} has a value that {field.type} cannot hold exactly.",
        hint="Cast the column to text, or leave out NaN, infinite and far-off values.",
    )
