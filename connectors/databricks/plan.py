"""Reading the text that Spark's EXPLAIN COST prints."""

import re
from collections.abc import Iterator

HEADING = "== Optimized Logical Plan =="
# The server tells an error as if it were a plan, after one of these.
ERROR = re.compile(r"^(?:Error occurred during query planning:\s*|(?:[\w$]+\.)+[\w$]+:\s)+")

# What Spark assumes of a table it knows nothing about is the greatest long, 8 EiB.
UNKNOWN_BYTES = 2**62
UNITS = {unit: 1024**power for power, unit in enumerate("B KiB MiB GiB TiB PiB EiB".split())}

NODE = re.compile(r"^(?P<indent>(?:[:| ]  )*(?:[:+]- )?)(?P<what>\S.*)$")
SIZE = re.compile(
    r"Statistics\(sizeInBytes=(?P<number>[\d.]+(?:E\+?\d+)?) (?P<unit>[KMGTPE]?i?B)\b"
)
NOT_READ = ("OneRowRelation", "LocalRelation", "Range ", "EmptyRelation", "CommandResult")
"""Leaves of a plan that are made up and read from nowhere."""


def error_in(text: str) -> str | None:
    """The message of the error that the server tells instead of a plan."""
    return None if text.startswith(HEADING) else ERROR.sub("", text)


def bytes_scanned(text: str) -> int | None:
    """The bytes of all relations that the optimized plan reads; ``None`` when one is unknown.

    A relation counts whole, with all its columns, and once for each time it is read. Where a
    value of the query imitates the plan, the outcome is unknown or too large, never too small.
    """
    # The last of its headings: an earlier one may stand in a text of the query.
    logical, _, _ = text.rpartition("== Physical Plan ==")
    total = 0
    for leaf in _leaves(logical):
        if leaf.startswith(NOT_READ):
            continue
        size = _size(leaf)
        if size is None or size >= UNKNOWN_BYTES:
            return None
        total += size
    return total if logical else None


def _leaves(plan: str) -> Iterator[str]:
    """The nodes that nothing is indented below."""
    nodes = [match for line in plan.splitlines()[1:] if (match := NODE.match(line))]
    depths = [len(node["indent"]) for node in nodes] + [0]
    for index, node in enumerate(nodes):
        if depths[index + 1] <= depths[index]:
            yield node["what"]


def _size(node: str) -> int | None:
    match = SIZE.search(node)
    return round(float(match["number"]) * UNITS[match["unit"]]) if match else None
