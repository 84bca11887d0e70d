"""How the values of each Postgres type stand in a binary copy, and how they become Arrow's.

Which Arrow type a column has is said in text_rows, for every way that rows can come; here is
what it is made from. A type that is not here is copied as the text that its own output function
makes of it: time, interval, money, inet, arrays, enums, ranges, whatever an extension brings.
Source: PostgreSQL, src/backend/utils/adt, the send function of each type.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from connectors.postgres.fields import Array, Fields, Malformed, NotExact, NotText
from connectors.postgres.numeric import decimals

Reader: TypeAlias = Callable[[Fields, pa.DataType], pa.Array]
Numbers: TypeAlias = Callable[[Fields], Array]

UUID_BYTES, UUID_CHARS = 16, 36
UUID_DIGITS = [place for place in range(UUID_CHARS) if place not in (8, 13, 18, 23)]
HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)
JSONB_VERSION = 1
EPOCH_DAYS = 10_957
"""From Arrow's day 0, in 1970, to that of Postgres, in 2000."""
EPOCH_US = EPOCH_DAYS * 86_400 * 10**6
FIRST_DAY, LAST_DAY = -730_119, 2_921_939
"""0001-01-01 and 9999-12-31, from 2000 on: what text that Arrow reads can say."""
FIRST_US, LAST_US = FIRST_DAY * 86_400 * 10**6, (LAST_DAY + 1) * 86_400 * 10**6 - 1


@dataclass(frozen=True)
class CopiedColumn:
    """A column of a copy. ``read`` is ``None`` where the server has to make text of it.

    ``width`` is how many bytes each value has, ``None`` where it depends on the value.
    """

    field: pa.Field
    read: Reader | None
    width: int | None = None

    def array(self, fields: Fields) -> pa.Array:
        """Raises Malformed, NotExact and NotText."""
        return (self.read or _text)(fields, self.field.type)


def copied(oid: int, field: pa.Field) -> CopiedColumn:
    """How a column of that type is copied to become that field."""
    if pa.types.is_decimal(field.type):
        exactly = partial(decimals, precision=field.type.precision, scale=field.type.scale)
        return CopiedColumn(field, _fixed(exactly))
    return CopiedColumn(field, READERS.get(oid), WIDTHS.get(oid))


def _fixed(numbers: Numbers) -> Reader:
    """A reader of values that are all of one width in Arrow; ``numbers`` sees no NULL."""

    def read(fields: Fields, kind: pa.DataType) -> pa.Array:
        present = fields.present()
        if present is None:
            return _array(kind, len(fields), None, numbers(fields))
        try:
            found = numbers(fields.where(present))
        except NotExact as exc:
            raise NotExact(np.flatnonzero(present)[exc.rows]) from None
        values = np.zeros((len(fields), *found.shape[1:]), found.dtype)
        values[present] = found
        return _array(kind, len(fields), present, values)

    return read


def _array(kind: pa.DataType, count: int, present: Array | None, values: Array) -> pa.Array:
    if pa.types.is_boolean(kind):
        values = np.packbits(values, bitorder="little")
    buffers = [_bitmap(present), pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, count, buffers)


def _bitmap(present: Array | None) -> pa.Buffer | None:
    return None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))


def _loaded(kind: str, fields: Fields) -> Array:
    return fields.load_whole(kind)


def _booleans(fields: Fields) -> Array:
    values = fields.load_whole("u1")
    if (values > 1).any():
        raise Malformed
    return values


def _oids(fields: Fields) -> Array:
    return fields.load_whole(">u4").astype(np.int64)


def _days(fields: Fields) -> Array:
    return _since_1970(fields.load_whole(">i4"), FIRST_DAY, LAST_DAY, EPOCH_DAYS)


def _instants(fields: Fields) -> Array:
    return _since_1970(fields.load_whole(">i8"), FIRST_US, LAST_US, EPOCH_US)


def _since_1970(values: Array, first: int, last: int, epoch: int) -> Array:
    if len(values) and (values.min() < first or values.max() > last):
        raise NotExact(np.flatnonzero((values < first) | (values > last)))
    values += epoch
    return values


def _bytes(fields: Fields, kind: pa.DataType) -> pa.Array:
    values, present = fields.binary(), fields.present()
    if present is None:
        return values
    return pa.Array.from_buffers(kind, len(fields), [_bitmap(present), *values.buffers()[1:]])


def _text(fields: Fields, kind: pa.DataType) -> pa.Array:
    try:
        return _bytes(fields, pa.binary()).cast(kind)
    except pa.ArrowInvalid:
        # A database in SQL_ASCII holds any bytes.
        present = np.flatnonzero(fields.sizes >= 0)
        bad = [row for row in present.tolist() if not _is_text(fields.value(row))]
        raise NotText(np.array(bad, np.intp)) from None


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _jsonb(fields: Fields, kind: pa.DataType) -> pa.Array:
    present = fields.sizes >= 0
    versions = fields.where(present)
    if (versions.sizes < 1).any() or (versions.load("u1") != JSONB_VERSION).any():
        raise Malformed
    return _text(Fields(fields.data, fields.starts + present, fields.sizes - present), kind)


def _uuids(fields: Fields, kind: pa.DataType) -> pa.Array:
    """As the server writes them: 32 hexadecimal digits in five groups."""
    present = fields.sizes >= 0
    given = fields.where(present)
    if (given.sizes != UUID_BYTES).any():
        raise Malformed
    text = np.full((len(given), UUID_CHARS), ord("-"), np.uint8)
    digits = HEX[given.data[given.starts[:, np.newaxis] + np.arange(UUID_BYTES)]].view(np.uint8)
    text[:, UUID_DIGITS] = digits
    offsets = np.zeros(len(fields) + 1, np.int32)
    np.cumsum(present * np.int32(UUID_CHARS), out=offsets[1:])
    buffers = [_bitmap(present), pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(kind, len(fields), buffers)


READERS: dict[int, Reader] = {
    16: _fixed(_booleans),
    17: _bytes,
    19: _text,
    20: _fixed(partial(_loaded, ">i8")),
    21: _fixed(partial(_loaded, ">i2")),
    23: _fixed(partial(_loaded, ">i4")),
    25: _text,
    26: _fixed(_oids),
    114: _text,
    700: _fixed(partial(_loaded, ">f4")),
    701: _fixed(partial(_loaded, ">f8")),
    1042: _text,
    1043: _text,
    1082: _fixed(_days),
    1114: _fixed(_instants),
    1184: _fixed(_instants),
    2950: _uuids,
    3802: _jsonb,
}
"""By the type's oid. Numeric is read by precision and scale, all others as the server's text."""

WIDTHS = {16: 1, 20: 8, 21: 2, 23: 4, 26: 4, 700: 4, 701: 8, 1082: 4, 1114: 8, 1184: 8}
"""Bytes of each value, by the type's oid, where all have the same."""
