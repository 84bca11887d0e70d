"""Arrow's types in the store, and back; the table is in docs/sync.md.

A version of a table remembers the Arrow schema that it was made of: of bytes, of a time without a
zone, and of a vector ClickHouse's own type says less than Arrow's.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import Unsupported
from connectors.quarantine import Reason, Unfit
from warehouse.store.names import quote

FIRST, LAST = date(1900, 1, 1), date(2299, 12, 31)
"""What Date32 and DateTime64 hold. Source: ClickHouse documentation, Date32."""
UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}

SCALARS: dict[pa.DataType, str] = {
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.string(): "String",
    pa.binary(): "String",
    pa.date32(): "Date32",
}


def columns(schema: pa.Schema, key: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names and ClickHouse's types; the key takes no NULL. Raises Unsupported."""
    return [(field.name, column_type(field, required=field.name in key)) for field in schema]


def column_type(field: pa.Field, *, required: bool = False) -> str:
    """What a column is in the store; lists and records have no NULL there. Raises Unsupported."""
    kind = field.type
    if _is_list(kind):
        return f"Array({column_type(kind.value_field)})"
    if pa.types.is_struct(kind):
        inner = ", ".join(f"{quote(part.name)} {column_type(part)}" for part in kind)
        return f"Tuple({inner})"
    found = _scalar(kind)
    if found is None:
        raise Unsupported(
            f"The store has no exact place for {kind}.",
            hint="Leave the column out, or have the source cast it.",
            fields={field.name: f"{kind} cannot be carried exactly."},
        )
    return found if required else f"Nullable({found})"


def unfit(batch: pa.RecordBatch) -> list[Unfit]:
    """Times that ClickHouse's types do not reach, and NULL where they have none."""
    found = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        for row in sorted(set(_bad(column))):
            value = column[row]
            reason = Reason.OUT_OF_RANGE if value.is_valid else Reason.NO_NULL
            found.append(Unfit(row, field.name, reason, str(value.as_py())))
    return found


def _scalar(kind: pa.DataType) -> str | None:
    if pa.types.is_decimal(kind):
        return f"Decimal({kind.precision}, {kind.scale})" if kind.scale >= 0 else None
    if pa.types.is_timestamp(kind):
        return f"DateTime64({UNITS[kind.unit]}, 'UTC')"
    if pa.types.is_time(kind):
        return f"Time64({UNITS[kind.unit]})"
    return SCALARS.get(kind)


def _bad(values: pa.Array) -> Iterator[int]:
    """The rows of which some part does not fit, perhaps repeatedly."""
    kind = values.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        yield from _where(_out_of_range(values))
    elif _is_list(kind):
        yield from _where(values.is_null())
        parents = pc.list_parent_indices(values)
        yield from (parents[element].as_py() for element in _bad(pc.list_flatten(values)))
    elif pa.types.is_struct(kind):
        yield from _where(values.is_null())
        for position in range(kind.num_fields):
            yield from _bad(pc.struct_field(values, position))


def _out_of_range(values: pa.Array) -> pa.Array:
    first, last = _ends(values.type)
    return pc.or_(pc.less(values, first), pc.greater(values, last))


def _ends(kind: pa.DataType) -> tuple[pa.Scalar, pa.Scalar]:
    if pa.types.is_date(kind):
        return pa.scalar(FIRST, kind), pa.scalar(LAST, kind)
    if kind.unit == "ns":
        # All that 64 bits have of them is within the range.
        return pa.scalar(-(2**63), kind), pa.scalar(2**63 - 1, kind)
    unit = 10 ** UNITS[kind.unit]
    seconds = [_midnight(FIRST), _midnight(LAST) + 24 * 3600]
    return pa.scalar(seconds[0] * unit, kind), pa.scalar(seconds[1] * unit - 1, kind)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _where(chosen: pa.Array) -> list[int]:
    rows: list[int] = pc.indices_nonzero(chosen).to_pylist()
    return rows
