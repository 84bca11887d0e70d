"""A binary copy by compiled loops (kernels.c): the same rows as by numpy, in a third of the time.

They take what is plain. Whatever is not is left to the numpy code that they stand in for, which
says what it is: so there is one judge of every value, and where there was no compiler, the rows
are the same.
"""

import ctypes
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import waiting

from connectors.postgres import fields
from connectors.postgres.fields import PADDING, Array, Fields
from connectors.postgres.receive import Messages, Receiver

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

SLACK_BYTES = 2**16
"""Room for the message that makes them enough."""
MESSAGE_BYTES = 16
"""A message is not expected to be smaller; where they are, a piece has fewer bytes."""
NARROW_DIGITS = 18
INT32_MAX = 2**31 - 1
ENOUGH, WAIT, LARGER, LOST = range(1, 5)
"""Outcomes of ``pump``, but for the end: enough messages, nothing there yet, no room for the one
message that is held, and an error of libpq's."""
HELD, LENGTH, USED, COUNT = range(4)
"""Its state: a message that is libpq's still, its length; bytes and messages so far."""
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64
ARGUMENTS = {
    "pump": [POINTER] * 2 + [ctypes.c_int] + [POINTER] * 2 + [NUMBER] * 2 + [POINTER, NUMBER],
    "split": [POINTER, NUMBER, POINTER, NUMBER, NUMBER, POINTER, POINTER],
    "numbers": [POINTER, NUMBER, POINTER, NUMBER, NUMBER, POINTER],
    "values": [POINTER, NUMBER, POINTER, POINTER, NUMBER, POINTER, POINTER, NUMBER],
    "decimals": [POINTER, NUMBER, POINTER, POINTER, NUMBER, NUMBER, NUMBER, POINTER],
}


def usable() -> bool:
    """The loops are compiled, for a machine like this one, and so is psycopg."""
    native = sys.byteorder == "little" and sys.maxsize > 2**32
    # Psycopg in Python has found its libpq in a way of its own.
    return native and _compiled() is not None and psycopg.pq.__impl__ != "python"


def _compiled() -> Path | None:
    return next(Path(__file__).parent.glob("_kernels*.so"), None)


@cache
def _kernels() -> Any:
    """The functions of kernels.c; Python's other threads run while one of them does."""
    kernels = ctypes.CDLL(str(_compiled()))
    for name, arguments in ARGUMENTS.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = arguments, NUMBER
    return kernels


@cache
def _libpq() -> Array:
    """Where those of its functions are that ``pump`` calls, in the libpq that psycopg has."""
    libpq = ctypes.CDLL(sys.modules[psycopg.pq.PGconn.__module__].__file__)
    functions = (libpq.PQgetCopyData, libpq.PQfreemem, libpq.PQconsumeInput)
    return np.array([ctypes.cast(function, POINTER).value for function in functions], np.int64)


class CompiledFields(Fields):
    """One column of some rows, read by the compiled loops."""

    def load(self, kind: str) -> Array:
        wire = np.dtype(kind)
        found: Array = np.empty(len(self), wire.newbyteorder("="))
        refused = _kernels().numbers(
            _at(self.data), len(self.data), _at(self.starts), len(self), wire.itemsize, _at(found)
        )
        return super().load(kind) if refused else found

    def binary(self) -> pa.Array:
        size = int(np.maximum(self.sizes, 0).sum())
        if size > INT32_MAX:
            return super().binary()
        offsets, values = np.zeros(len(self) + 1, np.int32), np.empty(size, np.uint8)
        refused = _kernels().values(
            *self._source(), _at(self.sizes), len(self), _at(offsets), _at(values), size
        )
        if refused:
            return super().binary()
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values)]
        return pa.Array.from_buffers(pa.binary(), len(self), buffers)

    def plain_decimals(self, precision: int, scale: int) -> Array | None:
        if precision > NARROW_DIGITS:
            return None
        found, largest = np.empty((len(self), 2), np.uint64), 10**precision - 1
        refused = _kernels().decimals(
            *self._source(), _at(self.sizes), len(self), scale, largest, _at(found)
        )
        return None if refused else found

    def _source(self) -> tuple[int, int, int]:
        return _at(self.data), len(self.data), _at(self.starts)


def columns(data: Array, row_sizes: Array, count: int) -> Iterator[Fields]:
    """As ``fields.columns``."""
    starts, sizes = np.empty((2, count, len(row_sizes)), np.int64)
    refused = _kernels().split(
        _at(data), len(data) - len(PADDING),
        _at(row_sizes), len(row_sizes), count, _at(starts), _at(sizes),
    )  # fmt: skip
    if refused:
        return fields.columns(data, row_sizes, count)
    return (CompiledFields(data, *place) for place in zip(starts, sizes, strict=True))


class Pump(Receiver):
    """Takes the messages of one copy from libpq, with nothing of Python between two of them."""

    def __init__(self, pgconn: "PGconn") -> None:
        super().__init__(pgconn)
        self._state = np.zeros(4, np.int64)
        self._data, self._sizes = np.empty(0, np.uint8), np.empty(0, np.int64)

    def received(self, enough: int) -> "PQGen[Messages]":
        self._make_room(enough + SLACK_BYTES)
        if len(self._sizes) < enough // MESSAGE_BYTES:
            self._sizes = np.empty(enough // MESSAGE_BYTES, np.int64)
        self._state[USED:] = 0
        while (outcome := self._pumped(enough)) == WAIT:
            if not (yield waiting.Wait.R) and self._state[COUNT]:
                break
            self._pgconn.consume_input()
        if outcome == LARGER:
            self._make_room(int(self._state[LENGTH]))
            outcome = self._pumped(1)
        if outcome == LOST:
            raise psycopg.OperationalError(self._pgconn.get_error_message())
        used, count = self._state[USED:].tolist()
        end = used + len(PADDING)
        self._data[used:end] = 0
        return self._data[:end], self._sizes[:count], outcome in (ENOUGH, WAIT)

    def _make_room(self, size: int) -> None:
        if len(self._data) < size + len(PADDING):
            self._data = np.empty(size + len(PADDING), np.uint8)

    def _pumped(self, enough: int) -> int:
        connection: int = self._pgconn.pgconn_ptr  # type: ignore[attr-defined]  # not in its ABC
        source = (_at(_libpq()), connection, self._pgconn.socket, _at(self._state))
        room = len(self._data) - len(PADDING)
        sizes = (_at(self._sizes), len(self._sizes))
        return int(_kernels().pump(*source, _at(self._data), room, enough, *sizes))

    def close(self) -> None:
        """Give libpq the message back that there was no room for."""
        if held := int(self._state[HELD]):
            ctypes.CFUNCTYPE(None, POINTER)(int(_libpq()[1]))(held)
            self._state[HELD] = 0


def _at(values: Array) -> int:
    return int(values.ctypes.data)
