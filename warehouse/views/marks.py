"""What buckets are made of, by how many rows and the sum of 64 bits of each: in a view's table, and
in the table that it reads. A row that has come, gone, changed or moved shows in one of the two."""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_CHANGED = 500
MAX_CHARS = 50_000
"""A view of which more buckets have changed, or longer ones together, is computed whole."""

Made = tuple[int, int]


@dataclass(frozen=True)
class Stored:
    """A bucket in the view's table: ``text`` is what the store calls it."""

    bucket: object
    text: str | None
    made: Made


@dataclass(frozen=True)
class Renewal:
    """The buckets to compute anew, and the texts of those whose rows are not to be kept."""

    changed: list[object]
    gone: list[str | None]

    @property
    def is_needed(self) -> bool:
        return bool(self.changed or self.gone)

    @property
    def is_too_much(self) -> bool:
        return any(
            len(listed) > MAX_CHANGED or sum(len(str(one)) for one in listed) > MAX_CHARS
            for listed in (self.changed, self.gone)
        )


def renewal(now: dict[object, Made], stored: Iterable[Stored]) -> Renewal:
    """What makes the one of the other."""
    there = {one.bucket: one for one in stored}
    same = {bucket for bucket, one in there.items() if now.get(bucket) == one.made}
    changed = [bucket for bucket in now if bucket not in same]
    gone = [one.text for one in there.values() if one.bucket not in same]
    if None in same and (changed or gone):
        # Rows without a bucket are never taken over.
        changed.append(None)
    return Renewal(changed, gone)
