"""`{filters}` apart from the store: how they wait, and what never becomes a condition."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.hogql.shop import CATALOG
from warehouse.hogql.errors import HogQLError
from warehouse.hogql.filters import Filters, Operator, Owner, Property
from warehouse.hogql.resolve import resolve

BROWSER = Property(Owner.PERSON, "$browser", Operator.EXACT, ["a'b", 1.5, True])


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(datetime(2026, 1, 31, 12, tzinfo=UTC), date(2026, 2, 1), [BROWSER]),
        Filters(None, datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_filters_are_the_same_after_they_waited(filters: Filters) -> None:
    found = Filters.of_json(json.loads(json.dumps(filters.as_json())))
    assert (found.date_from, found.date_to) == (filters.date_from, filters.date_to)
    assert list(found.properties) == list(filters.properties)


@pytest.mark.parametrize("given", [1, "x", [], {}, {"properties": [1]}, {"properties": None}])
def test_anything_else_is_no_filters(given: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 its text is nobody's
        Filters.of_json(given)


def test_a_warehouses_table_of_that_name_has_no_events_of_ours() -> None:
    with pytest.raises(HogQLError, match="one events table"):
        resolve("SELECT id FROM events WHERE {filters}", CATALOG)
