"""How a table's columns differ from a source's, by Arrow's types."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from connectors import drift
from connectors.drift import Difference, Kind

WIDER = (
    *pairwise((pa.int16(), pa.int32(), pa.int64())),
    (pa.int16(), pa.int64()),
    (pa.float32(), pa.float64()),
)
"""Pairs of types of which readers of several Parquet files make the second."""


@dataclass(frozen=True)
class Existing:
    """A column of the table's newest snapshot."""

    type: pa.DataType
    required: bool = False
    """No column is: a file that lacks one has NULL in it."""


def differences(
    schema: pa.Schema,
    there: pa.Schema,
    merged_by: Sequence[str] = (),
    key_there: Sequence[str] = (),
) -> Iterator[Difference]:
    """What of the table does not fit the source, as ``connectors.drift`` has it."""
    fields = {field.name: field for field in schema}
    columns = {field.name: Existing(field.type) for field in there}
    return drift.differences(fields, merged_by, columns, key_there, _difference)


def alteration(difference: Difference) -> str:
    """Nothing is run: the snapshot that the load makes has the column so."""
    return f"-- the next snapshot has the column {difference.column} as {difference.wanted}"


def _difference(name: str, field: pa.Field, there: Existing | None) -> Difference | None:
    wanted = str(field.type)
    if there is None:
        return Difference(Kind.ADDED, name, wanted=wanted)
    if there.type == field.type:
        return None
    if _is_wider(there.type, field.type):
        return Difference(Kind.WIDENED, name, str(there.type), wanted)
    if _is_wider(field.type, there.type):
        return Difference(Kind.NARROWED, name, str(there.type), wanted)
    return Difference(Kind.RETYPED, name, str(there.type), wanted)


def _is_wider(narrow: pa.DataType, wide: pa.DataType) -> bool:
    """Every value of the one is exactly one of the other."""
    if pa.types.is_decimal(narrow) and pa.types.is_decimal(wide):
        before = wide.precision - wide.scale >= narrow.precision - narrow.scale
        return bool(before and wide.scale >= narrow.scale)
    return (narrow, wide) in WIDER
