"""Reading more slowly than one could: a source has other work than ours."""

import time
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

NAP_S = 0.2
"""The longest pause before it is seen whether the reading is to go on at all."""


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
