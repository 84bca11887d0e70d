"""Random queries over small tables: the store with all of them, and several systems, agree."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st

from connectors.errors import ConnectorError
from tests.api.conftest import Save
from tests.federation.layout import STORE, STORE_OF, put_into_store
from tests.federation.random_queries import QUERIES
from tests.federation.random_tables import SIZES, filled, of_seed
from tests.hogql.compare import same
from tests.hogql.engines import Row, rows_of
from tests.store.running import Engine
from warehouse import query_executor
from warehouse.hogql.errors import HogQLError
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

# More of them, and others: FUZZ_FEDERATED=2000 FUZZ_SEED=7.
COUNT = int(os.environ.get("FUZZ_FEDERATED", "12"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
DATA = [*range(1, 3 + COUNT // 200)]
PROVIDERS = ("postgres", "snowflake")
LAYOUTS = {
    "apart": ("postgres", "snowflake", "postgres", STORE),
    "moved": ("snowflake", STORE, "snowflake", "postgres"),
    "postgres": ("postgres",) * 4,
    "snowflake": ("snowflake",) * 4,
}
Answer = Callable[[str, tuple[str, ...], int], list[Row]]


@pytest.fixture(scope="module")
def schemas(endpoints: dict[str, Any], credentials: dict[str, Any]) -> Iterator[dict[str, str]]:
    """By provider: the schema that has all tables."""
    with ExitStack() as stack:
        yield {
            one: stack.enter_context(filled(one, endpoints, credentials[one], DATA))
            for one in PROVIDERS
        }


@pytest.fixture
def answer(team: Team, save: Save, schemas: dict[str, str], store: Engine) -> Answer:
    """The rows of a query, with the tables of a seed where a layout has them."""
    saved = {provider: save(provider) for provider in PROVIDERS}
    kept = {f"kept_{t}_{n}": rows for n in DATA for t, rows in of_seed(n).items()}
    put_into_store(saved[STORE_OF], schemas[STORE_OF], kept)

    def of(text: str, layout: tuple[str, ...], data: int) -> list[Row]:
        names = {}
        for table, where in zip(SIZES, layout, strict=True):
            provider, prefix = (STORE_OF, "kept_") if where == STORE else (where, "")
            names[table] = f"{provider}.{schemas[provider]}.{prefix}{table}_{data}"
        with query_executor.run_hogql(team, text.format(**names)) as found:
            found.start()
            return rows_of(pa.Table.from_batches(list(found), schema=found.schema))

    return of


def _sortable(row: Row) -> str:
    return repr([Decimal(str(one)).normalize() + 0 if _is_number(one) else one for one in row])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def is_ordered(text: str) -> bool:
    """The whole of it, and not a query within."""
    return " ORDER BY " in text.rpartition(")")[2]


def agree(ours: list[Row], wanted: list[Row], *, ordered: bool) -> bool:
    """Both have the same rows, in the same order where there is one."""
    if not ordered:
        ours, wanted = sorted(ours, key=_sortable), sorted(wanted, key=_sortable)
    return len(ours) == len(wanted) and all(
        all(map(same, mine, theirs)) for mine, theirs in zip(ours, wanted, strict=True)
    )


@seed(SEED)
@settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(text=QUERIES, data=st.sampled_from(DATA))
def test_answer_is_the_same_wherever_the_tables_are(answer: Answer, text: str, data: int) -> None:
    try:
        wanted = answer(text, (STORE,) * 4, data)
    except (ConnectorError, HogQLError):
        # What the store does not know is no query to compare.
        reject()
    for name, layout in LAYOUTS.items():
        ours = answer(text, layout, data)
        assert agree(ours, wanted, ordered=is_ordered(text)), (
            SEED,
            data,
            name,
            text,
            ours,
            wanted,
        )
