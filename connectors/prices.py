"""List prices, dated. What an estimate multiplies with; a team's own contract may differ.

Sources, read 2026-11: cloud.google.com/bigquery/pricing (on-demand analysis, US multi-region);
snowflake.com/legal-files/CreditConsumptionTable.pdf (credits by size) and
snowflake.com/pricing-options (dollars a credit, AWS US East).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

AS_OF = date(2026, 11, 1)
CURRENCY = "USD"
TIB = 2**40
MIB = 2**20

BIGQUERY_PER_TIB = Decimal("6.25")
BIGQUERY_MINIMUM_BYTES = 10 * MIB
"""Billed at least, for each table a query references."""

SNOWFLAKE_PER_CREDIT = (Decimal("2.00"), Decimal("4.00"))
"""Standard edition, Business Critical edition."""
SNOWFLAKE_MINIMUM_S = 60
"""A resumed warehouse is billed for a minute at least, then by the second."""
SNOWFLAKE_BYTES_PER_S = 200 * MIB
"""What an X-Small warehouse scans a second, roughly; an assumption until it is calibrated."""


@dataclass(frozen=True)
class PriceRange:
    """Lowest and highest price of one query, in dollars."""

    low: Decimal
    high: Decimal


def bigquery(bytes_scanned: int, tables: int) -> PriceRange:
    """On demand: bytes ÷ 2^40 × $6.25, each table counted with 10 MiB at least, by the MiB.

    The free first TiB of a month is not known here and therefore not deducted.
    """
    if bytes_scanned == 0:
        return PriceRange(Decimal(0), Decimal(0))
    billed = max(-(-bytes_scanned // MIB) * MIB, tables * BIGQUERY_MINIMUM_BYTES)
    price = _rounded(Decimal(billed) / TIB * BIGQUERY_PER_TIB)
    return PriceRange(price, price)


def snowflake(bytes_scanned: int) -> PriceRange:
    """Time on an X-Small warehouse (1 credit an hour), which other sizes trade for speed.

    Low: the warehouse runs already and scans at the assumed speed, cheapest edition.
    High: this query alone resumes it, dearest edition.
    """
    seconds = Decimal(bytes_scanned) / SNOWFLAKE_BYTES_PER_S
    cheap, dear = SNOWFLAKE_PER_CREDIT
    longest = max(seconds, Decimal(SNOWFLAKE_MINIMUM_S))
    return PriceRange(_rounded(seconds / 3600 * cheap), _rounded(longest / 3600 * dear))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"))
