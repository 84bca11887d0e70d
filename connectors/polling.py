"""How often a warehouse is asked whether a query has run."""

from collections.abc import Iterator
from itertools import chain, repeat

FIRST_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""A short query is not kept waiting for its answer."""
THEN_S = 0.5


def pauses() -> Iterator[float]:
    """Seconds from one question to the next, without end."""
    return chain(FIRST_S, repeat(THEN_S))
