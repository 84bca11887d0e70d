"""The arithmetic of list prices."""

from decimal import Decimal

import pytest

from connectors import prices

TIB, GIB, MIB = 2**40, 2**30, 2**20


def test_bigquery_charges_by_the_tib_of_2_to_the_40() -> None:
    assert prices.bigquery(TIB, 1).high == Decimal("6.25")
    assert prices.bigquery(4 * TIB, 1).high == Decimal(25)
    assert prices.bigquery(10**12, 1).high == Decimal("5.684346")  # not 6.25


def test_bigquery_has_one_price_not_a_range() -> None:
    price = prices.bigquery(123 * GIB, 2)
    assert price.low == price.high


def test_bigquery_charges_ten_mib_a_table_at_least() -> None:
    least = prices.bigquery(10 * MIB, 1)
    assert prices.bigquery(1, 1) == least
    assert prices.bigquery(1, 3) == prices.bigquery(30 * MIB, 1)
    assert prices.bigquery(40 * MIB, 3) == prices.bigquery(40 * MIB, 1)


def test_bigquery_charges_whole_mib() -> None:
    assert prices.bigquery(50 * GIB + 1, 1) == prices.bigquery(50 * GIB + MIB, 1)


def test_bigquery_that_scans_nothing_is_free() -> None:
    assert prices.bigquery(0, 3).high == 0


def test_snowflake_is_a_range_from_awake_and_cheap_to_resumed_and_dear() -> None:
    price = prices.snowflake(200 * MIB * 3600)  # an hour at the assumed speed
    assert (price.low, price.high) == (Decimal(2), Decimal(4))


def test_snowflake_charges_a_minute_of_a_resumed_warehouse() -> None:
    assert prices.snowflake(0).high == prices.snowflake(1).high == Decimal("0.066667")
    assert prices.snowflake(0).low == 0


@pytest.mark.parametrize("price", [prices.bigquery(12345, 1), prices.snowflake(12345)])
def test_money_is_decimal(price: prices.PriceRange) -> None:
    assert isinstance(price.low, Decimal)
    assert isinstance(price.high, Decimal)
    assert price.low <= price.high
