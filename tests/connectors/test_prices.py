"""What a query costs: by list prices, and by a team's own."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connectors import connect, prices
from connectors.errors import InvalidInput
from connectors.prices import (
    LISTED,
    BigQueryPrices,
    DatabricksPrices,
    Prices,
    RedshiftPrices,
    SnowflakePrices,
)

TIB, GIB, MIB = 2**40, 2**30, 2**20
BIGQUERY, SNOWFLAKE, REDSHIFT, DATABRICKS = (
    BigQueryPrices(),
    SnowflakePrices(),
    RedshiftPrices(),
    DatabricksPrices(),
)


def test_bigquery_charges_by_the_tib_of_2_to_the_40() -> None:
    assert BIGQUERY.of(TIB, 1).high == Decimal("6.25")
    assert BIGQUERY.of(4 * TIB, 1).high == Decimal(25)
    assert BIGQUERY.of(10**12, 1).high == Decimal("5.684346")  # not 6.25


def test_bigquery_has_one_price_not_a_range() -> None:
    price = BIGQUERY.of(123 * GIB, 2)
    assert price.low == price.high


def test_bigquery_charges_ten_mib_a_table_at_least() -> None:
    least = BIGQUERY.of(10 * MIB, 1)
    assert BIGQUERY.of(1, 1) == least
    assert BIGQUERY.of(1, 3) == BIGQUERY.of(30 * MIB, 1)
    assert BIGQUERY.of(40 * MIB, 3) == BIGQUERY.of(40 * MIB, 1)


def test_bigquery_charges_whole_mib() -> None:
    assert BIGQUERY.of(50 * GIB + 1, 1) == BIGQUERY.of(50 * GIB + MIB, 1)


def test_bigquery_that_scans_nothing_is_free() -> None:
    assert BIGQUERY.of(0, 3).high == 0


def test_snowflake_is_a_range_from_awake_and_cheap_to_resumed_and_dear() -> None:
    price = SNOWFLAKE.of(200 * MIB * 3600)  # an hour at the assumed speed
    assert (price.low, price.high) == (Decimal(2), Decimal(4))


def test_snowflake_charges_a_minute_of_a_resumed_warehouse() -> None:
    assert SNOWFLAKE.of(0).high == SNOWFLAKE.of(1).high == Decimal("0.066667")
    assert SNOWFLAKE.of(0).low == 0


@pytest.mark.parametrize(
    "price", [BIGQUERY.of(12345, 1), SNOWFLAKE.of(1), REDSHIFT.of(12345), DATABRICKS.of(12345)]
)
def test_money_is_decimal(price: prices.PriceRange) -> None:
    assert isinstance(price.low, Decimal)
    assert isinstance(price.high, Decimal)
    assert price.low <= price.high


def test_size_and_speed_of_a_teams_warehouse_count() -> None:
    large = SnowflakePrices.parse({"credits_per_hour": 8, "bytes_per_s": 1600 * MIB})
    hour_of_an_x_small = 200 * MIB * 3600
    assert large.of(hour_of_an_x_small) == SNOWFLAKE.of(hour_of_an_x_small)
    assert large.of(0).high == Decimal("0.533333")  # a minute of 8 credits an hour
    assert RedshiftPrices.parse({"rpu": 8}).of(0).high == Decimal("0.050000")
    assert DatabricksPrices.parse({"dbu_per_hour": 40}).of(0).high == Decimal("0.007778")


def test_own_price_is_multiplied_with_and_named() -> None:
    own = BigQueryPrices.parse({"per_tib": "4.10", "currency": "EUR", "as_of": "2026-09-30"})
    assert own.of(TIB, 1).high == Decimal("4.10")
    assert own.source() == "the team's own prices of 2026-09-30"
    assert "4.10 EUR a TiB" in str(own)
    assert own.as_of == date(2026, 9, 30)


def test_what_a_team_leaves_out_is_the_lists_and_said_to_be() -> None:
    assert BIGQUERY.source() == f"list prices of {LISTED}"
    # A speed is no price.
    assert SnowflakePrices.parse({"bytes_per_s": 1}).source() == f"list prices of {LISTED}"
    low = SnowflakePrices.parse({"per_credit_low": 1})
    assert low.source() == f"the team's own prices, and list prices of {LISTED} for the rest"
    assert (low.per_credit_low, low.per_credit_high) == (Decimal(1), Decimal("4.00"))


@pytest.mark.parametrize(
    ("model", "values", "faults"),
    [
        (BigQueryPrices, {"per_tib": -1}, {"per_tib"}),
        (BigQueryPrices, {"per_tib": None}, {"per_tib"}),
        (BigQueryPrices, {"per_tib": True}, {"per_tib"}),
        (BigQueryPrices, {"per_tib": float("nan")}, {"per_tib"}),
        (BigQueryPrices, {"per_tib": "1e999999"}, {"per_tib"}),
        (BigQueryPrices, {"per_tib": "0.0000000001"}, {"per_tib"}),
        (BigQueryPrices, {"per_credit": 1}, {"per_credit"}),
        (BigQueryPrices, {"per_tib": 1, "currency": "euro"}, {"currency"}),
        (BigQueryPrices, {"per_tib": 1, "as_of": "soon"}, {"as_of"}),
        (SnowflakePrices, {"per_credit_low": 5}, {"per_credit_high"}),
        (SnowflakePrices, {"bytes_per_s": 0}, {"bytes_per_s"}),
        (DatabricksPrices, {"per_dbu_high": "0.1"}, {"per_dbu_high"}),
        # Amounts in two currencies cannot be compared.
        (BigQueryPrices, {"currency": "EUR"}, {"per_tib"}),
        (SnowflakePrices, {"currency": "EUR", "per_credit_low": 1}, {"per_credit_high"}),
        (Prices, {"per_tib": 1}, {"per_tib"}),
    ],
)
def test_price_that_cannot_be_used_is_named(
    model: type[Prices], values: dict[str, Any], faults: set[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        model.parse(values)
    assert set(caught.value.fields) == faults
    assert all(caught.value.fields.values())


def test_prices_are_kept_as_json_and_read_again() -> None:
    own = BigQueryPrices.parse({"per_tib": 4.1, "as_of": "2026-09-30"})
    assert own.given() == {"per_tib": "4.1", "as_of": "2026-09-30"}
    assert BigQueryPrices.parse(own.given()) == own


def test_connector_takes_prices() -> None:
    form = {"host": "db.example.com", "database": "d", "user": "u", "password": "secret-word"}
    warehouse = connect("redshift", form, prices={"per_rpu_hour": "0.20"})
    assert isinstance(warehouse.prices, RedshiftPrices)
    assert warehouse.prices.per_rpu_hour == Decimal("0.20")
    with pytest.raises(InvalidInput, match="prices"):
        connect("postgres", form, prices={"per_tib": 1})
