"""Reading more slowly than one could: a source has other work than ours."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pyarrow as pa

NAP_S = 0.2
"""The longest pause before it is seen whether the reading is to go on at all."""


def stand_back() -> None:
    """Have this thread, and those it starts, run only when nobody else wants the processor.

    There is no way back, so it must be a thread of its own. Not every system can do this.
    """
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))


def paced(
    batches: Iterable[pa.RecordBatch], bytes_per_s: float | None, watch: Callable[[], None]
) -> Iterator[pa.RecordBatch]:
    """The batches, at no more than so many bytes a second; ``None`` is no bound.

    A server whose rows are not fetched soon waits with the next ones, so it works no faster
    either. Time in which nothing was asked for is not made up for. ``watch`` is called while
    there is a pause; what it raises ends it.
    """
    due = time.monotonic()
    for batch in batches:
        yield batch
        if bytes_per_s is not None:
            due = max(due, time.monotonic() - NAP_S) + batch.nbytes / bytes_per_s
            _sleep_until(due, watch)


def _sleep_until(due: float, watch: Callable[[], None]) -> None:
    while (left := due - time.monotonic()) > 0:
        watch()
        time.sleep(min(left, NAP_S))
