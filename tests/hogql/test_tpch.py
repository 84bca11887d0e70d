"""All of TPC-H in HogQL, on each stand-in: the answers of a bare Postgres to the standard's SQL.

How values compare, in one place, ``same``: a column that is a float in HogQL (what ``/`` and
``avg`` give) to twelve digits, since engines add in different orders; all others exactly, decimals
as numbers, so that 1.50 is 1.5.
"""

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors import NetworkPolicy, connect
from connectors.types import Limits
from tests import vendors
from tests.hogql.conftest import PROVIDERS, Filled
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.translate import translate

HERE = Path(__file__).parent / "tpch"
QUERIES = [path.stem for path in sorted(HERE.glob("q*.sql"))]
VALUES: dict[str, dict[str, object]] = {
    "q06": {"first": "1994-01-01", "most": 24},
    "q12": {"modes": ["MAIL", "SHIP"]},
}
DIGITS = 1e-12


def same(ours: object, theirs: object) -> bool:
    """Whether two values are the same; see above."""
    if isinstance(ours, float) and theirs is not None:
        return math.isclose(ours, float(str(theirs)), rel_tol=DIGITS)
    if isinstance(theirs, Decimal | int) and ours is not None:
        return Decimal(str(ours)) == theirs
    return ours == theirs


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
def opened(credentials: dict[str, Any], filled: Filled, network: NetworkPolicy) -> Any:
    """By provider: a connector, and the catalog of its tables."""
    found: dict[str, Any] = {}

    def make(provider: str) -> Any:
        if provider not in found:
            schema = filled.schema(provider)
            connector = connect(provider, credentials[provider], network=network)
            catalog = Catalog.of("t", connector.fetch_tables(schema))
            found[provider] = connector, catalog
        return found[provider]

    yield make
    for connector, _ in found.values():
        connector.close()


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_query_gives_the_answer_of_the_standards_own(
    opened: Any, reference: Any, provider: str, name: str
) -> None:
    connector, catalog = opened(provider)
    text = (HERE / f"{name}.sql").read_text()
    printed = translate(text, catalog, connector.capabilities.dialect, VALUES.get(name))
    with connector.query(printed.sql, printed.params, Limits(60)) as result:
        rows = [tuple(row.values()) for row in result.read_all().to_pylist()]
    expected = reference(name)
    assert len(rows) == len(expected), printed.sql
    differing = [
        (mine, theirs)
        for mine, theirs in zip(rows, expected, strict=True)
        if not all(map(same, mine, theirs))
    ]
    assert not differing, (differing[:3], printed.sql)
