"""Rows that come from anywhere, on their way into a table of the store: no value is changed."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from connectors.errors import DataError
from warehouse.hogql.types import Kind, Type
from warehouse.store.load import types


def schema_of(columns: Sequence[tuple[str, Type]], came: pa.Schema) -> pa.Schema:
    """What a table for them has: the query's names, and the types that came. Raises DataError."""
    fields = []
    # By place: some warehouses change the case of a column's name.
    for (name, kind), field in zip(columns, came, strict=True):
        if kind.kind == Kind.DECIMAL and not pa.types.is_decimal(field.type):
            raise DataError(
                f"{name} has numbers of any size, which cannot be brought together exactly.",
                hint="Have its warehouse give the column a precision and a scale.",
                fields={"column": name},
            )
        fields.append(pa.field(name, field.type))
    return pa.schema(fields)


def fitting(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Raises DataError for a value that the store cannot hold exactly."""
    for batch in batches:
        made = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        for one in types.unfit(made):
            raise DataError(
                f"The store cannot hold {one.text} exactly.", fields={"column": one.column}
            )
        yield made
