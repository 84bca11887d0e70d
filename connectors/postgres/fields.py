"""Where the values are in rows of COPY (FORMAT BINARY), found for a whole column at a time.

A row is a count of fields, and for each its size, -1 for NULL, with so many bytes behind it; all
numbers begin with their highest byte. Source: PostgreSQL documentation, COPY, Binary Format.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array: TypeAlias = npt.NDArray[Any]

PADDING = bytes(8)
"""Stands behind the rows, so that a word can be loaded from wherever a value may begin."""
COUNT_BYTES, SIZE_BYTES = 2, 4


class Malformed(Exception):
    """The bytes are no rows of the columns that the server has described."""


class Uncarried(Exception):
    """Values that cannot become Arrow's; ``rows`` are their places in the column, ascending."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows


class NotExact(Uncarried):
    """Values that their column's Arrow type does not have."""


class NotText(Uncarried):
    """Texts that are not UTF-8."""


class Fields:
    """One column of some rows: the place and the size of each value, -1 for NULL."""

    def __init__(self, data: Array, starts: Array, sizes: Array) -> None:
        self.data = data
        self.starts = starts
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.starts)

    def load(self, kind: str) -> Array:
        """A number of at most eight bytes from where each value begins, as this machine's."""
        return _load(self.data, self.starts, np.dtype(kind))

    def load_whole(self, kind: str) -> Array:
        """The values, where each is one such number and nothing else; else raises Malformed."""
        if (self.sizes != np.dtype(kind).itemsize).any():
            raise Malformed
        return self.load(kind)

    def present(self) -> Array | None:
        """A mask that is false for NULL; ``None`` where there is none."""
        present = self.sizes >= 0
        return None if present.all() else present

    def where(self, chosen: Array) -> "Fields":
        """Those rows only for which the mask is true."""
        return type(self)(self.data, self.starts[chosen], self.sizes[chosen])

    def plain_decimals(self, precision: int, scale: int) -> Array | None:
        """What ``numeric.decimals`` returns, where there is a faster way to it; else ``None``."""
        return None

    def without(self, rows: Array) -> "Fields":
        """The same, with NULL in these rows."""
        sizes = self.sizes.copy()
        sizes[rows] = -1
        return Fields(self.data, self.starts, sizes)

    def value(self, row: int) -> bytes:
        """The bytes of one value that is not NULL."""
        start = self.starts[row]
        return bytes(self.data[start : start + self.sizes[row]])

    def binary(self) -> pa.Array:
        """The values as an array of Arrow's, with nothing in the place of NULL."""
        # They stand between others: an array of both, of which one half is taken.
        bounds = np.empty(2 * len(self), np.int64)
        bounds[0::2] = self.starts
        bounds[1::2] = self.starts + np.maximum(self.sizes, 0)
        # Not by pa.array(), which imports pandas wherever that is installed: 50 MB.
        halves = pa.py_buffer(np.arange(0, 2 * len(self), 2, dtype=np.int32))
        places = pa.Array.from_buffers(pa.int32(), len(self), [None, halves])
        return _binary(2 * len(self) - 1, bounds, self.data).take(places)


class Gathered(Fields):
    """A column whose values a driver hands out one by one, put one behind the other again.

    Where ``width`` says how long all values are that are not NULL, they need no measuring.
    """

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._parts: list[bytes] = []
        self._part_sizes: list[Array] = []
        self.nbytes = 0

    def add(self, values: Sequence[bytes | None]) -> None:
        """The values of some rows more."""
        try:
            part = b"".join(values)  # type: ignore[arg-type]  # None is what it is tried for
        except TypeError:
            part = b"".join(filter(None, values))
            sizes = np.array([-1 if value is None else len(value) for value in values], np.int64)
        else:
            sizes = self._measured(values, len(part))
        self._parts.append(part)
        self._part_sizes.append(sizes)
        self.nbytes += len(part)

    def _measured(self, values: Sequence[bytes | None], size: int) -> Array:
        if size == len(values) * (self._width or -1):
            return np.full(len(values), self._width, np.int64)
        return np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]

    def end(self) -> None:
        """There are no more: now they can be read."""
        self.sizes = np.concatenate(self._part_sizes)
        self.bounds = np.zeros(len(self.sizes) + 1, np.int64)
        np.cumsum(np.maximum(self.sizes, 0), out=self.bounds[1:])
        self.starts = self.bounds[:-1]
        self.data = np.frombuffer(b"".join([*self._parts, PADDING]), np.uint8)

    def where(self, chosen: Array) -> Fields:
        return Fields(self.data, self.starts[chosen], self.sizes[chosen])

    def binary(self) -> pa.Array:
        return _binary(len(self), self.bounds, self.data)


def columns(data: Array, row_sizes: Array, count: int) -> Iterator[Fields]:
    """The columns of rows that stand one behind the other, with PADDING behind them.

    Raises Malformed at the first thing that does not fit; all bytes have been looked at only when
    the iterator has ended.
    """
    ends = np.cumsum(row_sizes)
    if row_sizes.min() < COUNT_BYTES or ends[-1] + len(PADDING) != len(data):
        raise Malformed
    at = ends - row_sizes
    if (_load(data, at, np.dtype(">i2")) != count).any():
        raise Malformed
    at += COUNT_BYTES
    for _ in range(count):
        sizes = _load(data, at, np.dtype(">i4"))
        starts = at + SIZE_BYTES
        at = starts + np.maximum(sizes, 0)
        if (at > ends).any() or sizes.min() < -1:
            raise Malformed
        yield Fields(data, starts, sizes)
    if (at != ends).any():
        raise Malformed


def _load(data: Array, places: Array, kind: np.dtype[Any]) -> Array:
    """The numbers at these places, of which none lies behind the beginning of the padding."""
    everywhere: Array = np.ndarray(len(data) - kind.itemsize + 1, kind, data, strides=(1,))
    return _native(everywhere[places])


def _native(loaded: Array) -> Array:
    if loaded.dtype.isnative:
        return loaded
    return loaded.byteswap(inplace=True).view(loaded.dtype.newbyteorder())


def _binary(count: int, bounds: Array, data: Array) -> pa.Array:
    buffers = [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), count, buffers)
