"""What an estimate multiplies with: a provider's dated list prices, or a team's own over them.

Sources of the list prices, read 2026-11: cloud.google.com/bigquery/pricing (on-demand analysis, US
multi-region); snowflake.com/legal-files/CreditConsumptionTable.pdf (credits by size) and
snowflake.com/pricing-options (dollars a credit, AWS US East); aws.amazon.com/redshift/pricing
(Serverless, US East) and Billing for Amazon Redshift Serverless in its Management Guide;
databricks.com/product/pricing/databricks-sql (dollars a DBU, AWS US East) and the pricing
calculator there (DBU an hour by size).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from connectors.credentials import faults_by_field
from connectors.errors import InvalidInput

LISTED = date(2026, 11, 1)
LIST_CURRENCY = "USD"
TIB = 2**40
MIB = 2**20

BIGQUERY_MINIMUM_BYTES = 10 * MIB
"""Billed at least, for each table a query references."""
SNOWFLAKE_MINIMUM_S = 60
"""A resumed warehouse is billed for a minute at least, then by the second."""
REDSHIFT_MINIMUM_S = 60
"""Serverless bills a minute at least when it wakes, then by the second."""

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=9)]
Speed = Annotated[int, Field(ge=1, le=2**50)]


@dataclass(frozen=True)
class PriceRange:
    """Lowest and highest price of one query, in the currency of the prices it was made from."""

    low: Decimal
    high: Decimal


class Prices(BaseModel):
    """Prices of a provider; these are of one that bills no single query.

    A field that a team gives is its own, the others are the list's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    currency: str = Field(
        LIST_CURRENCY,
        title="Currency",
        pattern=r"^[A-Z]{3}$",
        description="ISO 4217, of every amount here; with another than the list's, give them all.",
    )
    as_of: date = Field(LISTED, title="As of", description="The day the amounts are of.")

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """List prices with ``values`` in their places; raises InvalidInput naming each fault."""
        try:
            made = cls.model_validate(dict(values))
        except ValidationError as exc:
            raise _unusable(faults_by_field(exc, "prices")) from None
        if made.currency != LIST_CURRENCY and (missing := cls.amounts() - made.model_fields_set):
            fault = f"Give it too: the list price is in {LIST_CURRENCY}."
            raise _unusable(dict.fromkeys(sorted(missing), fault))
        return made

    @classmethod
    def amounts(cls) -> frozenset[str]:
        """Names of the fields that are money."""
        fields = cls.model_fields.items()
        return frozenset(name for name, field in fields if field.annotation is Decimal)

    def given(self) -> dict[str, Any]:
        """What is the team's own, as JSON has it."""
        return self.model_dump(mode="json", exclude_unset=True)

    def source(self) -> str:
        """Whose prices these are, and of which day."""
        own = self.amounts() & self.model_fields_set
        if not own:
            return f"list prices of {LISTED}"
        day = f" of {self.as_of}" if "as_of" in self.model_fields_set else ""
        rest = f", and list prices of {LISTED} for the rest" if self.amounts() - own else ""
        return f"the team's own prices{day}{rest}"


class BigQueryPrices(Prices):
    """On-demand analysis."""

    per_tib: Amount = Field(Decimal("6.25"), title="Price of a TiB (2^40 bytes) scanned")

    def of(self, bytes_scanned: int, tables: int) -> PriceRange:
        """Bytes ÷ 2^40 × the price of a TiB, each table counted with 10 MiB at least, by the MiB.

        The free first TiB of a month is not known here and therefore not deducted. Source:
        cloud.google.com/bigquery/pricing, On-demand compute pricing.
        """
        if bytes_scanned == 0:
            return PriceRange(Decimal(0), Decimal(0))
        billed = max(-(-bytes_scanned // MIB) * MIB, tables * BIGQUERY_MINIMUM_BYTES)
        price = self.of_billed(billed)
        return PriceRange(price, price)

    def of_billed(self, bytes_billed: int) -> Decimal:
        """Of bytes as a finished job has them: ÷ 2^40 × the price of a TiB."""
        return _rounded(Decimal(bytes_billed) / TIB * self.per_tib)

    def __str__(self) -> str:
        price = f"{self.per_tib} {self.currency}"
        return f"{price} a TiB, 10 MiB a table at least, by {self.source()}."


class SnowflakePrices(Prices):
    """Credits of a warehouse; without a team's word it is an X-Small one of any edition."""

    per_credit_low: Amount = Field(
        Decimal("2.00"), title="Lowest price of a credit", description="List: Standard edition."
    )
    per_credit_high: Amount = Field(
        Decimal("4.00"),
        title="Highest price of a credit",
        description="List: Business Critical edition.",
    )
    credits_per_hour: int = Field(1, title="Credits an hour of the warehouse", ge=1, le=1024)
    bytes_per_s: Speed = Field(
        200 * MIB,
        title="Bytes that the warehouse scans a second",
        description="An assumption until it is measured.",
    )

    @field_validator("per_credit_high")
    @classmethod
    def _not_below_low(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        return _not_below(value, info.data.get("per_credit_low"))

    def of(self, bytes_scanned: int) -> PriceRange:
        """Bytes ÷ bytes a second = seconds; seconds ÷ 3600 × credits an hour × price of a credit.

        Low: the warehouse runs already. High: this query alone resumes it, for a minute at least.
        Source: docs.snowflake.com, Understanding compute cost; the Credit Consumption Table.
        """
        return self.of_time(Decimal(bytes_scanned) / self.bytes_per_s)

    def of_time(self, seconds: Decimal) -> PriceRange:
        """Seconds that the warehouse worked ÷ 3600 × credits an hour × price of a credit."""
        hours = seconds / 3600, max(seconds, Decimal(SNOWFLAKE_MINIMUM_S)) / 3600
        prices = self.per_credit_low, self.per_credit_high
        return _by_the_hour(hours, self.credits_per_hour, prices)

    def __str__(self) -> str:
        return (
            "Low and high price are seconds at an assumed scan speed, and a minute of a warehouse "
            f"resumed for it, by {self.source()}."
        )


class RedshiftPrices(Prices):
    """Serverless; a provisioned cluster bills by the hour it runs."""

    per_rpu_hour: Amount = Field(Decimal("0.375"), title="Price of an RPU-hour")
    rpu: int = Field(
        128,
        title="Base capacity of the workgroup, in RPU",
        description="128 where its owner has not chosen another.",
        ge=4,
        le=4096,
    )
    bytes_per_rpu_s: Speed = Field(
        25 * MIB,
        title="Bytes that one RPU scans a second",
        description="An assumption until it is measured.",
    )

    def of(self, bytes_scanned: int) -> PriceRange:
        """Bytes ÷ bytes an RPU-second = RPU-seconds, the same for any number of RPU; × price.

        Low: the workgroup is awake already. High: this query alone wakes it, for a minute.
        Source: Billing for Amazon Redshift Serverless, in its Management Guide.
        """
        hours = _hours(bytes_scanned, self.bytes_per_rpu_s, REDSHIFT_MINIMUM_S * self.rpu)
        return _by_the_hour(hours, 1, (self.per_rpu_hour, self.per_rpu_hour))

    def __str__(self) -> str:
        return (
            f"Serverless: {self.per_rpu_hour} {self.currency} an RPU-hour, from an awake workgroup "
            f"at an assumed speed to one of {self.rpu} RPU that wakes for a minute, "
            f"by {self.source()}."
        )


class DatabricksPrices(Prices):
    """DBU of a SQL warehouse; without a team's word it is a 2X-Small one, classic to serverless."""

    per_dbu_low: Amount = Field(
        Decimal("0.22"),
        title="Lowest price of a DBU",
        description="List: SQL Classic, whose machines the cloud bills besides.",
    )
    per_dbu_high: Amount = Field(
        Decimal("0.70"), title="Highest price of a DBU", description="List: SQL Serverless."
    )
    dbu_per_hour: int = Field(4, title="DBU an hour of the warehouse", ge=1, le=10_000)
    bytes_per_s: Speed = Field(
        200 * MIB,
        title="Bytes that the warehouse scans a second",
        description="An assumption until it is measured.",
    )

    @field_validator("per_dbu_high")
    @classmethod
    def _not_below_low(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        return _not_below(value, info.data.get("per_dbu_low"))

    def of(self, bytes_scanned: int) -> PriceRange:
        """Bytes ÷ bytes a second = seconds; seconds ÷ 3600 × DBU an hour × price of a DBU.

        High counts a second at least. Neither has the time that a warehouse started for the
        query waits for the next one. Source: databricks.com/product/pricing/databricks-sql.
        """
        hours = _hours(bytes_scanned, self.bytes_per_s, 1)
        return _by_the_hour(hours, self.dbu_per_hour, (self.per_dbu_low, self.per_dbu_high))

    def __str__(self) -> str:
        return (
            f"Low and high price are the seconds that a warehouse of {self.dbu_per_hour} DBU an "
            f"hour scans them at an assumed speed, by {self.source()}."
        )


def _not_below(high: Decimal, low: Decimal | None) -> Decimal:
    if low is not None and high < low:
        raise ValueError("The highest price is below the lowest.")
    return high


def _unusable(fields: dict[str, str]) -> InvalidInput:
    return InvalidInput("The prices cannot be used.", fields=fields)


def _hours(bytes_scanned: int, bytes_per_s: int, least_s: int) -> tuple[Decimal, Decimal]:
    """What the bytes take, and the same with the seconds that are billed at least."""
    seconds = Decimal(bytes_scanned) / bytes_per_s
    return seconds / 3600, max(seconds, Decimal(least_s)) / 3600


def _by_the_hour(
    hours: tuple[Decimal, Decimal], units: int, per_unit: tuple[Decimal, Decimal]
) -> PriceRange:
    """Hours × units an hour × price of a unit, lowest and highest."""
    low, high = (
        _rounded(time * units * price) for time, price in zip(hours, per_unit, strict=True)
    )
    return PriceRange(low, high)


def _rounded(amount: Decimal) -> Decimal:
    with localcontext(prec=100):
        return amount.quantize(Decimal("0.000001"))
