"""A read that goes easy on its source: little at a time, nothing between, and every row once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import Connector
from connectors.postgres.chunks import STEP_PAGES, steps
from connectors.providers.postgres import Postgres
from tests.connectors.reading import CHUNK_BYTES
from tests.waiting import wait_for

Owner = psycopg.Connection[Any]

ROWS = 200_000
"""Of about 100 bytes each: many times what sockets hold."""


@pytest.fixture
def numbers(owner: Owner, source: str) -> str:
    owner.execute(
        f"CREATE TABLE {source}.numbers AS "
        f"SELECT g AS n, repeat('x', 80) AS word FROM generate_series(1, {ROWS}) g"
    )
    return f"{source}.numbers"


@pytest.fixture
def reader(opened: Callable[..., Connector]) -> Iterator[Postgres]:
    made = opened("postgres")
    assert isinstance(made, Postgres)
    yield made
    made.release()


@given(st.integers(0, 2000), st.one_of(st.none(), st.integers(1, 2000)), st.integers(0, 2000))
def test_steps_are_the_range_without_gaps(first: int, length: int | None, pages: int) -> None:
    end = None if length is None else first + length
    found = steps([7, first, end], pages)
    assert {oid for oid, _, _ in found} == {7}
    assert found[0][1] == first
    assert found[-1][2] == end
    for (_, start, stop), (_, after, _) in pairwise(found):
        assert start is not None
        assert stop == after == start + STEP_PAGES


@pytest.mark.parametrize(("gently", "state"), [(False, "active"), (True, "idle in transaction")])
def test_server_rests_between_two_batches_where_it_is_asked_gently(
    numbers: str,
    source: str,
    reader: Postgres,
    endpoints: dict[str, Any],
    gently: bool,
    state: str,
) -> None:
    plan = reader.plan(source, "numbers", None, CHUNK_BYTES)
    with (
        psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server,
        closing(reader.read(plan, plan.whole, None, gently=gently)) as batches,
    ):
        next(batches)
        next(batches)

        def rests() -> bool:
            seen = server.execute(
                "SELECT wait_event_type, state FROM pg_stat_activity WHERE pid = %s",
                [reader._connection.info.backend_pid],
            )
            return seen.fetchone() == ("Client", state)

        assert wait_for(rests, 5)


def test_every_row_comes_once_and_those_written_since_do_not(
    numbers: str, owner: Owner, source: str, reader: Postgres
) -> None:
    plan = reader.plan(source, "numbers", None, 4 * 2**20)
    assert len(plan.chunks) > 2
    found: list[int] = []
    for bounds in plan.chunks:
        owner.execute(f"INSERT INTO {numbers} SELECT -g, 'late' FROM generate_series(1, 5000) g")
        with closing(reader.read(plan, bounds, None, gently=True)) as batches:
            found += [n for batch in batches for n in batch["n"].to_pylist()]
    assert sorted(found) == list(range(1, ROWS + 1))


def test_what_has_no_pages_is_read_as_ever(
    numbers: str, owner: Owner, source: str, reader: Postgres
) -> None:
    owner.execute(f"CREATE VIEW {source}.few AS SELECT n FROM {numbers} WHERE n <= 10")
    plan = reader.plan(source, "few", None, CHUNK_BYTES)
    with closing(reader.read(plan, plan.whole, None, gently=True)) as batches:
        assert sum(batch.num_rows for batch in batches) == 10
