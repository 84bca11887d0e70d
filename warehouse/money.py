"""Money as JSON has it."""

from decimal import Decimal


def money(amount: Decimal | None) -> str | None:
    """Without an exponent; ``None`` stays unknown."""
    return None if amount is None else format(amount, "f")
