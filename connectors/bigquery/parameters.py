"""Values bound to a query of BigQuery, each with its type."""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.errors import InvalidParameters
from connectors.types import Params

KINDS = {
    bool: "BOOL",
    bytes: "BYTES",
    datetime.date: "DATE",
    datetime.time: "TIME",
    float: "FLOAT64",
    str: "STRING",
}
INT64 = range(-(2**63), 2**63)
NUMERIC_DIGITS = (29, 9)
BIGNUMERIC_DIGITS = (38, 38)


def query_parameters(params: Params) -> list[Any]:
    """The client's own parameters, by position or by name; raises InvalidParameters."""
    if isinstance(params, Mapping):
        return [_query_parameter(name, value) for name, value in params.items()]
    return [_query_parameter(None, value) for value in params]


def _query_parameter(name: str | None, value: Any) -> Any:
    from google.cloud import bigquery

    if isinstance(value, list):
        kinds = {_kind(item) for item in value} or {"STRING"}
        if len(kinds) > 1:
            raise InvalidParameters("The values of an array parameter must be of one type.")
        return bigquery.ArrayQueryParameter(name, kinds.pop(), value)
    return bigquery.ScalarQueryParameter(name, _kind(value), value)


def _kind(value: object) -> str:
    if value is None:
        return "STRING"
    if type(value) is int and value in INT64:
        return "INT64"
    if type(value) is datetime.datetime:
        return "DATETIME" if value.tzinfo is None else "TIMESTAMP"
    if type(value) is Decimal and value.is_finite():
        return _decimal_kind(value)
    if type(value) not in KINDS or getattr(value, "tzinfo", None) is not None:
        raise InvalidParameters(
            "A parameter must be text, bytes, a truth value, a number within the warehouse's "
            "range, a date, a time or a list of one of these."
        )
    return KINDS[type(value)]


def _decimal_kind(value: Decimal) -> str:
    whole = max(0, value.adjusted() + 1) if value else 0
    fraction = max(0, -int(value.as_tuple().exponent))
    for kind, digits in (("NUMERIC", NUMERIC_DIGITS), ("BIGNUMERIC", BIGNUMERIC_DIGITS)):
        if whole <= digits[0] and fraction <= digits[1]:
            return kind
    raise InvalidParameters("A number has too many digits for the warehouse.")
