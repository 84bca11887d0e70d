"""Where a Postgres table is cut: ranges of pages, by the bytes that lie in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from connectors.abilities import Bounds

STEP_PAGES = 32
"""So few that a server has read them within a few milliseconds, and enough to be worth asking."""


@dataclass(frozen=True)
class Leaf:
    """A table, or a partition that holds rows itself; ``size_bytes`` counts values stored aside.

    One that ``has_pages`` can be read by ranges of them.
    """

    oid: int
    pages: int
    size_bytes: int
    has_pages: bool


def chunked(leaves: Iterable[Leaf], chunk_bytes: int) -> Iterator[Bounds]:
    """Every page of every leaf once; small leaves share a chunk, large ones have many.

    A chunk is between about 2/3 and 3/2 of ``chunk_bytes``, or all there is. The last range of a
    leaf has no end: pages may be added while it is read.
    """
    held: Bounds = []
    size = 0.0
    for leaf in leaves:
        ranges = _ranges(leaf, chunk_bytes)
        for piece in ranges:
            added = leaf.size_bytes / len(ranges)
            if held and size + added > chunk_bytes:
                yield held
                held, size = [], 0.0
            held.append(piece)
            size += added
    if held:
        yield held


def _ranges(leaf: Leaf, chunk_bytes: int) -> Bounds:
    """The oid, the first page, and the page that comes after the last one."""
    count = max(1, round(leaf.size_bytes / chunk_bytes)) if leaf.has_pages else 1
    starts = list(range(0, leaf.pages, max(1, ceil(leaf.pages / count)))) or [0]
    if not leaf.has_pages:
        starts = [0]
    return [[leaf.oid, start, end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def steps(part: list[int | None], pages: int) -> Bounds:
    """The range as small ones, of a leaf that has so many pages; the last ends where it does."""
    oid, first, end = part
    first = first or 0
    starts = list(range(first, pages if end is None else end, STEP_PAGES)) or [first]
    return [[oid, start, stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
