"""Days and moments as texts have them, in ISO 8601."""

import datetime


def is_day(text: str) -> bool:
    """By its length: as 2026-01-31, and no moment of a day."""
    return len(text) == len("2026-01-31")


def day_or_moment(text: str) -> datetime.date | datetime.datetime:
    """Raises ValueError for a text that is neither."""
    return (datetime.date if is_day(text) else datetime.datetime).fromisoformat(text)
