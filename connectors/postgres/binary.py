"""The messages of one COPY … TO STDOUT (FORMAT BINARY) into Arrow record batches.

Nothing is taken on trust: bytes that do not fit the columns raise, whatever they are. Source of
the format: PostgreSQL documentation, COPY, Binary Format.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

import pyarrow as pa

from connectors.errors import DataError, WarehouseError
from connectors.postgres import text_rows
from connectors.postgres.fields import (
    PADDING,
    Array,
    Fields,
    Gathered,
    Malformed,
    NotExact,
    NotText,
    columns,
)
from connectors.postgres.types import CopiedColumn
from connectors.postgres.unfit import fitting
from connectors.quarantine import Quarantine

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = struct.Struct(f">{len(SIGNATURE)}sII")
"""The signature, flags, and the size of an extension that is to be skipped."""
CRITICAL = 0xFFFF0000
"""Flags that say that the format is another one."""
TRAILER = b"\xff\xff"
Split: TypeAlias = Callable[[Array, Array, int], Iterator[Fields]]
"""Finds the columns in rows, as ``fields.columns`` does."""


class BinaryRows:
    """Decodes what one COPY sends, some messages at a time, and knows whether it has ended.

    With a quarantine, values that cannot be carried exactly go there, and are NULL in their rows.
    """

    def __init__(
        self,
        copied: Sequence[CopiedColumn],
        quarantine: Quarantine | None = None,
        *,
        split: Split = columns,
    ) -> None:
        self._columns = copied
        self._quarantine = quarantine
        self._split = split
        self._schema = pa.schema([column.field for column in copied])
        self._begun = False
        self._ended = False

    def decode(self, data: Array, sizes: Array) -> pa.RecordBatch:
        """The rows in some messages, which stand one behind the other with PADDING behind them.

        ``sizes`` are their lengths. Keeps neither. Raises DataError, which names the column, for a
        value that cannot be carried exactly, or what the quarantine raises; WarehouseError for
        bytes that are no rows.
        """
        try:
            if len(sizes):
                data, sizes = self._unframed(data, sizes)
            if len(sizes):
                return self._rows(data, sizes)
        except Malformed as exc:
            raise _broken() from exc
        nothing = [pa.nulls(0, field.type) for field in self._schema]
        return pa.RecordBatch.from_arrays(nothing, schema=self._schema)

    def end(self) -> None:
        """Raises WarehouseError when the end is missing."""
        if not self._ended:
            raise _broken()

    def _unframed(self, data: Array, sizes: Array) -> tuple[Array, Array]:
        """Without the header and the trailer, where they are."""
        if self._ended:
            raise Malformed
        if not self._begun:
            data, sizes = self._without_header(data, sizes)
        end = len(data) - len(PADDING)
        if len(sizes) and sizes[-1] == len(TRAILER) and bytes(data[:end][-2:]) == TRAILER:
            self._ended = True
            data, sizes = data[: -len(TRAILER)], sizes[:-1]
        return data, sizes

    def _without_header(self, data: Array, sizes: Array) -> tuple[Array, Array]:
        """It shares a message with the first row, or with the trailer where there is none."""
        if sizes[0] < HEADER.size:
            raise Malformed
        signature, flags, extension = HEADER.unpack(bytes(data[: HEADER.size]))
        length = HEADER.size + extension
        if signature != SIGNATURE or flags & CRITICAL or sizes[0] < length:
            raise Malformed
        self._begun = True
        rest = sizes.copy()
        rest[0] -= length
        return data[length:], rest if rest[0] else rest[1:]

    def _rows(self, data: Array, sizes: Array) -> pa.RecordBatch:
        pairs = zip(self._columns, self._split(data, sizes, len(self._columns)), strict=True)
        if self._quarantine is None:
            arrays = [_array(*pair) for pair in pairs]
            return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return self._fitting(self._quarantine, pairs)

    def _fitting(
        self, quarantine: Quarantine, pairs: Iterable[tuple[CopiedColumn, Fields]]
    ) -> pa.RecordBatch:
        columns = [fitting(*pair) for pair in pairs]
        batch = pa.RecordBatch.from_arrays([array for array, _ in columns], schema=self._schema)
        quarantine.take(batch, chain.from_iterable(unfit for _, unfit in columns))
        return batch


class GatheredRows:
    """Makes a batch of rows that a driver has taken apart, whose values are in binary form."""

    def __init__(self, copied: Sequence[CopiedColumn], schema: pa.Schema) -> None:
        self._columns = copied
        self._schema = schema
        self._gathered = [Gathered(column.width) for column in copied]
        self.num_rows = 0

    @property
    def nbytes(self) -> int:
        """Of the values, as they came."""
        return sum(column.nbytes for column in self._gathered)

    def add(self, rows: Sequence[Sequence[bytes | None]]) -> None:
        """Some more of them, one at least."""
        self.num_rows += len(rows)
        for column, values in zip(self._gathered, zip(*rows, strict=True), strict=True):
            column.add(values)

    def batch(self) -> pa.RecordBatch:
        """All of them, one at least; raises as ``BinaryRows.decode`` does."""
        for fields in self._gathered:
            fields.end()
        try:
            arrays = [_array(*pair) for pair in zip(self._columns, self._gathered, strict=True)]
        except Malformed as exc:
            raise _broken() from exc
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def _array(column: CopiedColumn, fields: Fields) -> pa.Array:
    try:
        return column.array(fields)
    except NotExact as exc:
        raise text_rows.inexact(column.field) from exc
    except NotText as exc:
        raise DataError(
            f"The column {column.field.name} has text that is not in the database's encoding.",
            hint="Convert the column with convert_from(), or select its bytes as bytea.",
        ) from exc


def _broken() -> WarehouseError:
    return WarehouseError("The rows that the server sent are not those it has described.")
