"""All of TPC-H with its tables in several systems: what one Postgres that has them all answers."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pytest

from tests import vendors
from tests.api.conftest import Save
from tests.federation.layout import LAYOUTS, STORE, STORE_OF, put_into_store, text_of
from tests.hogql.compare import same
from tests.hogql.conftest import Filled
from tests.hogql.engines import rows_of
from tests.hogql.tpch_queries import HERE, QUERIES, VALUES
from tests.store.running import Engine
from warehouse import query_executor
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def answer(filled: Filled, endpoints: dict[str, Any]) -> Callable[[str], list[Row]]:
    """What a bare Postgres answers."""

    @cache
    def of(name: str) -> list[Row]:
        with vendors.postgres(endpoints["postgres"]["reader"]) as connection:
            connection.execute(f"SET search_path = {filled.schema('postgres')}")
            return connection.execute((HERE / "reference" / f"{name}.sql").read_text()).fetchall()

    return of


@pytest.fixture
def run(
    team: Team, save: Save, filled: Filled, tpch: dict[str, pa.Table], store: Engine
) -> Callable[[str, str], list[Row]]:
    """Runs a query of the suite in a layout."""

    def of(layout: str, name: str) -> list[Row]:
        where = LAYOUTS[layout]
        saved = {provider: save(provider) for provider in {*where.values(), STORE_OF} - {STORE}}
        kept = {table: tpch[table] for table, provider in where.items() if provider == STORE}
        put_into_store(saved[STORE_OF], filled.schema(STORE_OF), kept)
        text = text_of(name, where, filled.schema)
        with query_executor.run_hogql(team, text, VALUES.get(name)) as found:
            found.start()
            return rows_of(pa.Table.from_batches(list(found), schema=found.schema))

    return of


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", QUERIES)
def test_answer_is_the_same_wherever_the_tables_are(
    run: Callable[[str, str], list[Row]],
    answer: Callable[[str], list[Row]],
    layout: str,
    name: str,
) -> None:
    rows, expected = run(layout, name), answer(name)
    assert len(rows) == len(expected)
    differing = [
        (mine, theirs)
        for mine, theirs in zip(rows, expected, strict=True)
        if not all(map(same, mine, theirs))
    ]
    assert not differing, differing[:3]
