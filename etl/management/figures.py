"""Figures as people read them."""

from datetime import datetime

UNKNOWN = "?"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def span(seconds: float | None) -> str:
    """A time span: 42 s, 3:07 min, 5:12 h, 3 d."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    if whole < 48 * 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02} h"
    return f"{whole // 86_400} d"


def moment(when: datetime | None) -> str:
    """A time to the second, with its zone."""
    return "" if when is None else when.isoformat(sep=" ", timespec="seconds")
