"""`filters` of a query: how they are written."""

import datetime
from math import isfinite
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.access import StrictSerializer
from api.fields import ChoiceField
from warehouse.hogql.days import day_or_moment
from warehouse.hogql.filters import COMPARED, Filters, Operator, Owner, Property, Value

MAX_PROPERTIES, MAX_VALUES = 100, 1_000
YEARS = range(1901, 2299)
"""Whose days the store has, in every zone."""
DATE_HELP = "As 2026-01-31, or 2026-01-31T12:00:00Z; UTC, if it names no zone."
_SCALAR = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
VALUE = {
    "oneOf": [*_SCALAR, {"type": "array", "items": {"oneOf": _SCALAR}}],
    "description": "A list for exact and is_not only; a number for gt, gte, lt and lte; left out "
    "for is_set and is_not_set.",
}


@extend_schema_field(VALUE)
class ValueField(serializers.JSONField):
    """A text, a number, a truth value, or a list of them: always told as a list."""

    def to_internal_value(self, data: Any) -> Any:
        given = data if isinstance(data, list) else [data]
        if not 0 < len(given) <= MAX_VALUES:
            raise serializers.ValidationError(f"From 1 to {MAX_VALUES:,} values.")
        return [_value(one) for one in given]


class PropertySerializer(StrictSerializer):
    key = serializers.CharField(max_length=400, trim_whitespace=False)
    operator = ChoiceField([one.value for one in Operator], default="exact")
    value = ValueField(required=False)
    type = ChoiceField([one.value for one in Owner], default="event")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        operator, values = Operator(attrs["operator"]), attrs.get("value", [])
        if fault := _fault(operator, values):
            raise serializers.ValidationError({"value": fault})
        return attrs


class FiltersSerializer(StrictSerializer):
    date_from = serializers.CharField(max_length=40, required=False, help_text=DATE_HELP)
    date_to = serializers.CharField(
        max_length=40, required=False, help_text=f"{DATE_HELP} A day is meant whole."
    )
    properties = serializers.ListField(
        child=PropertySerializer(), max_length=MAX_PROPERTIES, default=list
    )

    def validate_date_from(self, text: str) -> datetime.datetime:
        found = _moment(text)
        if isinstance(found, datetime.datetime):
            return found
        return datetime.datetime.combine(found, datetime.time(), datetime.UTC)

    def validate_date_to(self, text: str) -> datetime.date:
        return _moment(text)


def filters_of(data: dict[str, Any]) -> Filters:
    """What was valid, as queries take it."""
    properties = [
        Property(Owner(one["type"]), one["key"], Operator(one["operator"]), one.get("value", []))
        for one in data["properties"]
    ]
    return Filters(data.get("date_from"), data.get("date_to"), properties)


def _fault(operator: Operator, values: list[Value]) -> str:
    if operator in (Operator.IS_SET, Operator.IS_NOT_SET):
        return "It is left out here." if values else ""
    if operator in (Operator.EXACT, Operator.IS_NOT):
        return "" if values else "Name a value, or a list of them."
    wanted, kind = ("number", float) if operator in COMPARED else ("text", str)
    return "" if len(values) == 1 and type(values[0]) is kind else f"{operator} takes one {wanted}."


def _value(one: Any) -> Value:
    if isinstance(one, str) and "\x00" not in one:
        return one
    if isinstance(one, bool):
        return one
    if isinstance(one, int | float) and abs(one) < 2**1023 and isfinite(one):
        return float(one)
    raise serializers.ValidationError("A value is a text, a number or a truth value.")


def _moment(text: str) -> datetime.date:
    """A day, or a moment with its zone."""
    try:
        found = day_or_moment(text)
    except ValueError:
        raise serializers.ValidationError("This is no date as 2026-01-31.") from None
    if isinstance(found, datetime.datetime) and found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    if found.year not in YEARS:
        raise serializers.ValidationError("The store has no such day.")
    return found
