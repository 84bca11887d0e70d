"""Warehouses as sources: whole tables, and rows that a column tells to be new."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector
from connectors.abilities import Increment
from connectors.errors import ConnectorError, CursorUnfit, ObjectNotFound, Unsupported
from connectors.extract_query import QueryExtract
from connectors.types import Watermark
from tests import vendors
from tests.connectors.matrix import ROWS
from tests.connectors.subject import Subject

INSTANT = {
    "bigquery": "TIMESTAMP",
    "databricks": "TIMESTAMP",
    "redshift": "TIMESTAMPTZ",
    "snowflake": "TIMESTAMP_TZ",
}
Insert = Callable[[int, datetime], None]
Moved = tuple[str, str, Insert]
"""A table, its column of instants, and what adds a row."""


@pytest.fixture
def source(shared: Connector, subject: Subject) -> QueryExtract:
    if not isinstance(shared, QueryExtract):
        pytest.skip(f"{subject.row.provider} tells rows by their transactions.")
    return shared


@pytest.fixture
def table(
    source: QueryExtract, subject: Subject, endpoints: dict[str, Any]
) -> Iterator[tuple[str, str, Insert]]:
    """An empty table of numbers and instants."""
    fold, provider = subject.row.fold, subject.row.provider
    name, kind = f"{subject.schema}.moved", INSTANT[provider]
    # The stand-in cannot read times that it has kept in its own format.
    stored = "USING PARQUET" if provider == "databricks" else ""
    number = "INT64" if provider == "bigquery" else "BIGINT"
    owner = subject.row.owner(endpoints, subject.form)
    with vendors.EXECUTING[provider](owner) as execute:
        execute(f"CREATE TABLE {name} (id {number}, seen {kind}) {stored}")

        def insert(number: int, at: datetime) -> None:
            text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00"
            execute(f"INSERT INTO {name} SELECT {number}, CAST('{text}' AS {kind})")

        yield fold("moved"), fold("seen"), insert
        execute(f"DROP TABLE {name}")


def ids(source: QueryExtract, plan: Any) -> list[int]:
    (chunk,) = plan.chunks
    with closing(source.read(plan, chunk, plan.since)) as batches:
        found = pa.Table.from_batches(list(batches), schema=plan.columns)
    return sorted(int(value) for value in found.column(0).to_pylist())


def test_whole_table_is_read_as_a_query_has_it(source: QueryExtract, subject: Subject) -> None:
    plan = source.plan(subject.schema, subject.row.fold("numbers"), None, 1)
    assert ids(source, plan) == list(range(1, ROWS + 1))
    with source.query(f"SELECT * FROM {subject.table}") as result:
        assert plan.columns.types == result.schema.types
    assert plan.since is None


def test_chosen_columns_are_read(source: QueryExtract, subject: Subject) -> None:
    plan = source.plan(subject.schema, subject.row.fold("numbers"), None, 1)
    only = replace(plan, columns=pa.schema([plan.columns.field(0)]))
    with closing(source.read(only, [], None)) as batches:
        assert next(batches).schema.names == plan.columns.names[:1]


@pytest.fixture
def told(subject: Subject, table: Moved) -> Callable[..., tuple[list[int], Any]]:
    """Reads the table by its column, since a watermark, in a session of its own: one of the
    Databricks stand-in does not see which files others add. The ids, and the plan."""

    def read(since: Watermark | None, sweep_after_s: float = 3600) -> tuple[list[int], Any]:
        increment = Increment(cursor=table[1], sweep_after_s=sweep_after_s)
        with subject.connector() as session:
            assert isinstance(session, QueryExtract)
            plan = session.plan(subject.schema, table[0], since, 1, increment)
            return ids(session, plan), plan

    return read


def test_rows_since_the_bound_are_read_and_an_overlap_before_it(table: Moved, told: Any) -> None:
    _, column, insert = table
    now = datetime.now(UTC)
    insert(1, now - timedelta(days=3))
    insert(2, now - timedelta(hours=2))
    found, first = told(None)
    assert (found, first.since) == ([1, 2], None)
    insert(3, now - timedelta(minutes=150))
    insert(4, now - timedelta(hours=5))
    insert(5, now)
    mark = Watermark(**first.watermark.as_json())
    # Of the two that came late, one bears a time within the hour before the bound.
    found, second = told(mark)
    assert (found, second.cursor) == ([2, 3, 5], column)
    found, sweep = told(mark, 0)
    assert (found, sweep.cursor) == ([1, 2, 3, 4, 5], "")


def test_row_of_the_far_future_hides_no_others(table: Moved, told: Any) -> None:
    _, _, insert = table
    insert(1, datetime.now(UTC) + timedelta(days=4_000))
    _, first = told(None)
    insert(2, datetime.now(UTC))
    assert told(first.watermark)[0] == [1, 2]


@pytest.mark.parametrize(
    ("name", "increment", "error"),
    [
        ("no_such_table", Increment(), ObjectNotFound),
        ("numbers", Increment(once=True), Unsupported),
        ("numbers", Increment(cursor="no_such_column"), CursorUnfit),
        ("numbers", Increment(cursor="id"), CursorUnfit),
    ],
)
def test_what_cannot_be_read_is_refused(
    source: QueryExtract,
    subject: Subject,
    name: str,
    increment: Increment,
    error: type[ConnectorError],
) -> None:
    fold = subject.row.fold
    with pytest.raises(error):
        source.plan(
            subject.schema, fold(name), None, 1, replace(increment, cursor=fold(increment.cursor))
        )
