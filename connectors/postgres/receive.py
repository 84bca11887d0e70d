"""The messages of a copy, as libpq hands them over."""

from array import array
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from psycopg import waiting
from psycopg.generators import fetch
from psycopg.pq import ExecStatus

from connectors.postgres.fields import PADDING, Array

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

DRAINED_BYTES = 2**20
"""At a time, of what nobody wants."""
NOTHING_YET = (0, b"")
Messages: TypeAlias = tuple[Array, Array, bool]
"""The bytes of some, with PADDING behind them; their sizes; whether there may be more."""


class Receiver:
    """Takes the messages of one copy from libpq, one after the other."""

    def __init__(self, pgconn: "PGconn") -> None:
        self._pgconn = pgconn

    def received(self, enough: int) -> "PQGen[Messages]":
        """Messages of ``enough`` bytes, if there are as many; they stand until the next call.

        Fewer, but one at least, where the server is silent for as long as the wait is asked.
        """
        messages, sizes = bytearray(), array("q")
        more = yield from self._fill(messages, sizes, enough)
        messages += PADDING
        return np.frombuffer(messages, np.uint8), np.frombuffer(sizes, np.int64), more

    def _fill(self, messages: bytearray, sizes: "array[int]", enough: int) -> "PQGen[bool]":
        """False after the last one."""
        take = partial(self._pgconn.get_copy_data, 1)
        while True:
            for size, message in iter(take, NOTHING_YET):
                if size < 0:
                    return False
                messages += message
                sizes.append(size)
                if len(messages) >= enough:
                    return True
            if not (yield waiting.Wait.R) and sizes:
                return True
            self._pgconn.consume_input()

    def close(self) -> None:
        """Nothing of it is libpq's."""


def drained(pgconn: "PGconn") -> "PQGen[None]":
    """Throw away what is still to come, be it an error."""
    receiver = Receiver(pgconn)
    while (result := (yield from fetch(pgconn))) is not None:
        more = result.status == ExecStatus.COPY_OUT
        while more:
            _, _, more = yield from receiver.received(DRAINED_BYTES)
