"""Where the values are in rows of COPY (FORMAT BINARY), found for a whole column at a time.

A row is a count of fields, and for each its size, -1 for NULL, with so many bytes behind it; all
numbers begin with their highest byte. Source: PostgreSQL documentation, COPY, Binary Format.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

PADDING = bytes(8)
"""Stands behind the rows, so that a word can be loaded from wherever a value may begin."""
COUNT_BYTES, SIZE_BYTES = 2, 4


class Malformed(Exception):
    """The bytes are no rows of the columns that the server has described."""


class NotExact(Exception):
    """A value that its column's Arrow type does not have."""


class NotText(Exception):
    """A text that is not UTF-8."""


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

    def where(self, chosen: Array) -> "Fields":
        """Those rows only for which the mask is true."""
        return Fields(self.data, self.starts[chosen], self.sizes[chosen])


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
    loaded = everywhere[places]
    if kind.isnative:
        return loaded
    return loaded.byteswap(inplace=True).view(kind.newbyteorder())
