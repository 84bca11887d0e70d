"""Random small expressions over random rows: one answer, whichever engine is asked."""

import datetime
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hogql.compare import same
from tests.hogql.conftest import OpenOne
from tests.hogql.engines import ClickHouse, Run, of_connector
from tests.hogql.expressions import ANY, WORDS, literal
from warehouse.hogql.catalog import Catalog
from warehouse.hogql.functions.table import DIALECTS
from warehouse.hogql.printing.dialects import DIALECTS as FACTS
from warehouse.hogql.translate import translate

NOTHING = Catalog(())
PER_QUERY = 8
ONE_ROW = "SELECT 1 AS n, 2 AS m, 1.5 AS d, 'x' AS w, toDate('2026-01-31') AS day"
ROW = st.tuples(
    st.integers(-1000, 1000), st.integers(-3, 3), st.decimals(-50, 50, places=2),
    st.sampled_from(WORDS), st.dates(min_value=datetime.date(1990, 1, 1),
                                     max_value=datetime.date(2040, 1, 1)),
    st.sets(st.sampled_from("nmdw"), max_size=2),
)  # fmt: skip


def _relation(rows: list[Any]) -> str:
    return "\nUNION ALL ".join(
        f"SELECT {place} AS k, {_or_null('n', n, nulls)} AS n, {_or_null('m', m, nulls)} AS m, "
        f"{_or_null('d', d, nulls)} AS d, {_or_null('w', literal(w), nulls)} AS w, "
        f"toDate('{day}') AS day"
        for place, (n, m, d, w, day, nulls) in enumerate(rows)
    )


def _or_null(name: str, value: object, nulls: set[str]) -> str:
    text = f"{value:f}" if name == "d" else str(value)
    return f"nullIf({text}, {text})" if name in nulls else text


@pytest.fixture(scope="module")
def runs(opened_bare: OpenOne) -> Iterator[dict[str, Run]]:
    """Engines that answer quickly and share no code."""
    found: dict[str, Run] = {
        name: of_connector(opened_bare(name), NOTHING) for name in ("postgres", "snowflake")
    }
    clickhouse = ClickHouse()
    found["clickhouse"] = partial(clickhouse.run, catalog=NOTHING)
    yield found
    clickhouse.close()


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(
    exprs=st.lists(ANY, min_size=PER_QUERY, max_size=PER_QUERY),
    rows=st.lists(ROW, min_size=3, max_size=3),
)
def test_engines_agree(runs: dict[str, Run], exprs: list[str], rows: list[Any]) -> None:
    items = ", ".join(f"{expr} AS c{place}" for place, expr in enumerate(exprs))
    text = f"SELECT {items} FROM ({_relation(rows)}) AS t ORDER BY k"
    wanted = runs["postgres"](text)
    for name, run in runs.items():
        found = run(text)
        wrong = [
            (exprs[place], ours, theirs)
            for mine, other in zip(found, wanted, strict=True)
            for place, (ours, theirs) in enumerate(zip(mine, other, strict=True))
            if not same(ours, theirs)
        ]
        assert not wrong, (name, wrong[:3])


SAME_INTERVAL = re.compile(r"INTERVAL '(\d+)'")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(expr=ANY)
def test_what_is_printed_is_read_as_it_was_meant(expr: str) -> None:
    text = f"SELECT {expr} AS c FROM ({ONE_ROW}) AS t"
    for dialect in DIALECTS:
        printed = translate(text, NOTHING, dialect).sql
        again = FACTS[dialect].text(sqlglot.parse_one(printed, read=dialect))
        assert SAME_INTERVAL.sub(r"INTERVAL \1", again) == SAME_INTERVAL.sub(
            r"INTERVAL \1", printed
        )
