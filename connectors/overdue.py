"""What is done about something that takes too long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def when_overdue(timeout_s: float, then: Callable[[], object]) -> Iterator[None]:
    """Call ``then``, from another thread, if what is done inside is not over by that time."""
    timer = threading.Timer(timeout_s, then)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
