"""All of TPC-H in HogQL, on each stand-in: the answers of a bare Postgres to the standard's SQL.

Where the standard leaves the order of equals open, both texts say one more column to order by.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import vendors
from tests.hogql.compare import same
from tests.hogql.conftest import PROVIDERS, Filled, OpenOne
from tests.hogql.engines import of_connector
from warehouse.hogql.catalog import Catalog

HERE = Path(__file__).parent / "tpch"
QUERIES = [path.stem for path in sorted(HERE.glob("q*.sql"))]
VALUES: dict[str, dict[str, object]] = {
    "q06": {"first": "1994-01-01", "most": 24},
    "q12": {"modes": ["MAIL", "SHIP"]},
}


@pytest.fixture(scope="session")
def reference(filled: Filled, endpoints: dict[str, Any]) -> Any:
    """What a bare Postgres answers."""
    schema, answers = filled.schema("postgres"), dict[str, list[tuple[Any, ...]]]()

    def answer(name: str) -> list[tuple[Any, ...]]:
        if name not in answers:
            with vendors.postgres(endpoints["postgres"]["reader"]) as connection:
                connection.execute(f"SET search_path = {schema}")
                sql = (HERE / "reference" / f"{name}.sql").read_text()
                answers[name] = connection.execute(sql).fetchall()
        return answers[name]

    return answer


@pytest.fixture(scope="session")
def catalog(opened_bare: OpenOne, filled: Filled) -> Callable[[str], Catalog]:
    """By provider: the catalog of its eight tables."""

    @cache
    def of(provider: str) -> Catalog:
        return Catalog.of("t", opened_bare(provider).fetch_tables(filled.schema(provider)))

    return of


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_query_gives_the_answer_of_the_standards_own(
    opened_bare: OpenOne, catalog: Any, reference: Any, provider: str, name: str
) -> None:
    rows = of_connector(opened_bare(provider), catalog(provider))(
        (HERE / f"{name}.sql").read_text(), VALUES.get(name)
    )
    expected = reference(name)
    assert len(rows) == len(expected)
    differing = [
        (mine, theirs)
        for mine, theirs in zip(rows, expected, strict=True)
        if not all(map(same, mine, theirs))
    ]
    assert not differing, differing[:3]
