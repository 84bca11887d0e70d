"""List prices, dated. What an estimate multiplies with; a team's own contract may differ.

Sources, read 2026-11: cloud.google.com/bigquery/pricing (on-demand analysis, US multi-region);
snowflake.com/legal-files/CreditConsumptionTable.pdf (credits by size) and
snowflake.com/pricing-options (dollars a credit, AWS US East); aws.amazon.com/redshift/pricing
(Serverless, US East) and Billing for Amazon Redshift Serverless in its Management Guide;
databricks.com/product/pricing/databricks-sql (dollars a DBU, AWS US East) and the pricing
calculator there (DBU an hour by size).
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

REDSHIFT_PER_RPU_HOUR = Decimal("0.375")
REDSHIFT_MINIMUM_S = 60
"""Serverless bills a minute at least when it wakes, then by the second."""
REDSHIFT_DEFAULT_RPU = 128
"""Base capacity of a workgroup whose owner has not chosen one."""
REDSHIFT_BYTES_PER_RPU_S = 25 * MIB
"""What one RPU scans a second, roughly; an assumption until it is calibrated."""

DATABRICKS_PER_DBU = (Decimal("0.22"), Decimal("0.55"), Decimal("0.70"))
"""SQL Classic, SQL Pro, SQL Serverless. Only the last has the machines in it."""
DATABRICKS_DBU_PER_HOUR = 4
"""Of a 2X-Small warehouse, billed by the second while it runs."""
DATABRICKS_BYTES_PER_S = 200 * MIB
"""What a 2X-Small warehouse scans a second, roughly; an assumption until it is calibrated."""


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


def redshift_serverless(bytes_scanned: int) -> PriceRange:
    """RPU-seconds at the assumed speed, which is the same for any number of RPU.

    Low: the workgroup is awake already. High: this query alone wakes one of the default size.
    """
    rpu_s = Decimal(bytes_scanned) / REDSHIFT_BYTES_PER_RPU_S
    most = max(rpu_s, Decimal(REDSHIFT_MINIMUM_S * REDSHIFT_DEFAULT_RPU))
    price = REDSHIFT_PER_RPU_HOUR / 3600
    return PriceRange(_rounded(rpu_s * price), _rounded(most * price))


def databricks(bytes_scanned: int) -> PriceRange:
    """Seconds of a 2X-Small warehouse (4 DBU an hour), which other sizes trade for speed.

    Low: SQL Classic, whose machines the cloud bills besides. High: SQL Serverless, for a second
    at least. Neither has the time that a warehouse started for the query waits for the next one.
    """
    seconds = Decimal(bytes_scanned) / DATABRICKS_BYTES_PER_S
    dbu_per_s = Decimal(DATABRICKS_DBU_PER_HOUR) / 3600
    cheap, dear = min(DATABRICKS_PER_DBU), max(DATABRICKS_PER_DBU)
    longest = max(seconds, Decimal(1))
    return PriceRange(_rounded(seconds * dbu_per_s * cheap), _rounded(longest * dbu_per_s * dear))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.000001"))
