"""What a planner expects a query to read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

READ_AS = (
    "Rows × width of what scans pass on; rows that their conditions leave out are not counted."
)
UNTOLD = "The plan does not tell bytes, as where a scan passes no column on, for count(*)."


def scans(plan: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Rows and width of each scan of a table, out of EXPLAIN's JSON."""
    if "Relation Name" in plan:
        yield plan["Plan Rows"], plan["Plan Width"]
    for child in plan.get("Plans", ()):
        yield from scans(child)


def bytes_of(scans: Sequence[tuple[int, int]]) -> int | None:
    """Rows × width of scans; ``None`` where one passes no column on, as for ``count(*)``: it reads
    the table, and the plan does not say how much that is."""
    if any(width == 0 for _, width in scans):
        return None
    return sum(rows * width for rows, width in scans)
