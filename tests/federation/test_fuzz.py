"""Random queries over small tables: the store with all of them, and several systems, agree."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from django.db import connection as database_connection
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from connectors.errors import ConnectorError, DataError
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

# More of them, and others: FUZZ_FEDERATED=250 FUZZ_SEED=7, with -s to see how far it is.
COUNT = int(os.environ.get("FUZZ_FEDERATED", "12"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
DATA = [SEED * 10 + place for place in range(2 + COUNT // 500)]
PROVIDERS = ("postgres", "snowflake", "bigquery", "redshift", "databricks")
SEVERAL = {
    "apart": ("postgres", "snowflake", "postgres", STORE),
    "moved": ("snowflake", STORE, "snowflake", "postgres"),
    "spread": ("bigquery", "redshift", "bigquery", "postgres"),
}
LAYOUTS = SEVERAL | {one: (one,) * len(SIZES) for one in (STORE, *PROVIDERS)}
# Databricks' stand-in takes seconds for a query.
ALONE = [*PROVIDERS[:-1] * 2, *PROVIDERS]
AT_ONCE = 8
INNERMOST = re.compile(r"\([^()]*\)")
Found = list[Row] | ConnectorError
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


def _is_ordered(text: str) -> bool:
    """The whole of it, and not a query within."""
    while (outer := INNERMOST.sub("", text)) != text:
        text = outer
    return " ORDER BY " in text


def _agree(ours: Found, wanted: Found, *, ordered: bool) -> bool:
    """Both have the same rows, in the same order where there is one; an error is no answer."""
    if isinstance(ours, ConnectorError) or isinstance(wanted, ConnectorError):
        return False
    if not ordered:
        ours, wanted = sorted(ours, key=_sortable), sorted(wanted, key=_sortable)
    return len(ours) == len(wanted) and all(
        all(map(same, mine, theirs)) for mine, theirs in zip(ours, wanted, strict=True)
    )


def _found(answer: Answer, text: str, name: str, data: int) -> Found:
    """The answer in a layout, or its error; a stand-in that is busy is asked once more."""
    try:
        return answer(text, LAYOUTS[name], data)
    except ConnectorError as exc:
        if not exc.retryable:
            return exc
    try:
        return answer(text, LAYOUTS[name], data)
    except ConnectorError as exc:
        return exc


def _drawn() -> list[tuple[str, int]]:
    """Random queries, no two the same, each with the seed of the rows that it is asked of."""
    found: dict[str, int] = {}

    @seed(SEED)
    @settings(
        max_examples=COUNT,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(text=QUERIES, data=st.sampled_from(DATA))
    def keep(text: str, data: int) -> None:
        found.setdefault(text, data)

    keep()
    return list(found.items())


def _compared(answer: Answer, number: int, text: str, data: int) -> dict[str, bool]:
    """Whether two layouts, one over several systems and one in a warehouse, agree with the store;
    nothing where the store does not know the query, or its decimals have too few digits."""
    try:
        wanted = _found(answer, text, STORE, data)
        if isinstance(wanted, HogQLError | DataError):
            return {}
        agreed = {}
        for name in (list(SEVERAL)[number % len(SEVERAL)], ALONE[number % len(ALONE)]):
            ours = _found(answer, text, name, data)
            agreed[name] = _agree(ours, wanted, ordered=_is_ordered(text))
            if not agreed[name]:
                print(f"fuzz: wrong\n  {data} {name}\n  {text}\n  {ours!r}\n  {wanted!r}")
        return agreed
    finally:
        # Of this thread.
        database_connection.close()


@pytest.mark.timeout(300 + 20 * COUNT)
def test_answer_is_the_same_wherever_the_tables_are(answer: Answer) -> None:
    agreed: dict[str, Counter[bool]] = defaultdict(Counter)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [
            threads.submit(_compared, answer, number, *query)
            for number, query in enumerate(_drawn())
        ]
        for number, one in enumerate(asked, start=1):
            for name, is_same in one.result().items():
                agreed[name][is_same] += 1
            if number % 25 == 0 or number == len(asked):
                print("fuzz:", SEED, number, {name: dict(count) for name, count in agreed.items()})
    # Two answers are compared of each query that the store knows, and it knows most of them.
    assert sum(count.total() for count in agreed.values()) >= len(asked)
    assert all(not count[False] for count in agreed.values()), agreed


@pytest.mark.parametrize("name", PROVIDERS)
def test_set_of_decimals_and_integers_keeps_every_digit(answer: Answer, name: str) -> None:
    text = (
        "SELECT a.k AS c0 FROM {t0} AS a WHERE a.d IN (SELECT s.d FROM {t0} AS s WHERE s.d < 0 "
        "UNION ALL SELECT s.k - s.k AS k FROM {t0} AS s WHERE s.k < 0)"
    )
    for data in DATA:
        wanted = answer(text, LAYOUTS[STORE], data)
        assert sorted(answer(text, LAYOUTS[name], data)) == sorted(wanted)
