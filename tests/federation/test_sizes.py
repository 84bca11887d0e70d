"""How many rows a leg is thought to have."""

from dataclasses import replace

import pytest

from tests.federation.test_split import CATALOG
from warehouse.federation.sizes import rows_of
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.resolve import resolve

COUNTED = Catalog(tuple(replace(table, rows=9_000) for table in CATALOG.tables))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT note FROM orders", 9_000),
        ("SELECT note FROM orders WHERE note = 'x'", 900),
        ("SELECT note FROM orders WHERE note = 'x' AND o_price > 1", 300),
        ("SELECT note FROM orders WHERE note = 'x' OR note = 'y'", 1_710),
        ("SELECT note FROM orders WHERE o_id = 7 AND o_price > 1", 1),
        ("SELECT note FROM orders WHERE o_id = customer_id", 900),
        ("SELECT note FROM (SELECT note FROM orders WHERE o_price > 1) AS o LIMIT 5", 5),
        ("SELECT customer_id FROM orders GROUP BY customer_id HAVING count() > 2", 300),
    ],
)
def test_rows_are_guessed_by_what_the_catalog_knows(text: str, rows: float) -> None:
    assert rows_of(resolve(text, COUNTED)) == pytest.approx(rows)


def test_nothing_is_guessed_of_what_nobody_has_counted() -> None:
    assert rows_of(resolve("SELECT note FROM orders", CATALOG)) is None
