"""The contract of fetch_tables(): columns and types, filters, pages, a constant number of calls."""

import pytest

from connectors import Connector
from connectors.types import Table
from tests import vendors
from tests.connectors.matrix import ROWS, SMALL_TABLES, Endpoints
from tests.connectors.proxy import Proxy
from tests.connectors.subject import Subject

MADE = 12
"""How many more tables are made to see that the calls do not grow with them."""


def all_of(connector: Connector, subject: Subject) -> list[Table]:
    return connector.fetch_tables(subject.schema)


def ours(connector: Connector, subject: Subject) -> Table:
    (found,) = connector.fetch_tables(subject.schema, search=subject.name)
    return found


def place(table: Table) -> tuple[str, str]:
    return table.schema, table.name


def test_tables_have_their_columns_in_order(shared: Connector, subject: Subject) -> None:
    table = ours(shared, subject)
    assert (table.schema, table.name, table.kind) == (subject.schema, subject.name, "table")
    assert [(column.name.lower(), column.position) for column in table.columns] == [
        ("id", 1),
        ("word", 2),
    ]
    assert tuple(column.native_type for column in table.columns) == subject.row.column_types
    assert table.row_count in (None, ROWS)
    assert table.size_bytes is None or table.size_bytes > 0


def test_arrow_types_are_those_of_a_querys_result(shared: Connector, subject: Subject) -> None:
    named = {table.name: table for table in all_of(shared, subject)}
    for name in subject.tables:
        told = named[name].columns
        with shared.query(f"SELECT * FROM {subject.schema}.{name}") as result:
            arrived = result.schema
        assert [column.name for column in told] == arrived.names
        assert [column.arrow_type for column in told] == arrived.types


def test_tables_come_by_schema_and_name_as_bytes_compare(
    shared: Connector, subject: Subject
) -> None:
    found = [place(table) for table in shared.fetch_tables()]
    assert found == sorted(found, key=lambda one: (one[0].encode(), one[1].encode()))
    assert {(subject.schema, name) for name in subject.tables} <= set(found)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_agree_with_the_whole(shared: Connector, subject: Subject, limit: int) -> None:
    whole, paged = all_of(shared, subject), list[Table]()
    while page := shared.fetch_tables(
        subject.schema, after=place(paged[-1]) if paged else None, limit=limit
    ):
        assert len(page) <= limit
        paged += page
    assert paged == whole


def test_pages_run_across_schemas(shared: Connector, subject: Subject) -> None:
    whole = shared.fetch_tables()
    at = len(whole) // 2
    assert shared.fetch_tables(after=place(whole[at]), limit=5) == whole[at + 1 : at + 6]


def test_search_is_a_part_of_the_name_in_any_case(shared: Connector, subject: Subject) -> None:
    part = subject.name[1:-1]
    whole = [table for table in all_of(shared, subject) if part.lower() in table.name.lower()]
    for wanted in (part.lower(), part.upper()):
        assert shared.fetch_tables(subject.schema, search=wanted) == whole
    assert subject.name in [table.name for table in whole]


@pytest.mark.parametrize("pattern", ["%", "n%s", "numb_rs", ".*", "'", '"', "\\"])
def test_search_knows_no_pattern(shared: Connector, subject: Subject, pattern: str) -> None:
    whole = [table.name for table in all_of(shared, subject)]
    found = [table.name for table in shared.fetch_tables(subject.schema, search=pattern)]
    assert found == [name for name in whole if pattern in name]


def test_search_and_pages_go_together(shared: Connector, subject: Subject) -> None:
    subject.needs_sandbox("there is one table of ours")
    fold = subject.row.fold
    found = shared.fetch_tables(
        subject.schema, search="PAGE_1", after=(subject.schema, fold(SMALL_TABLES[0])), limit=1
    )
    assert [table.name for table in found] == [fold("page_10")]


@pytest.mark.parametrize("name", ["no_such_schema", "x`; DROP", "x' OR '1'='1", 'x"', ""])
def test_schema_that_is_not_there_has_no_tables(shared: Connector, name: str) -> None:
    assert shared.fetch_tables(name) == []


def test_calls_do_not_grow_with_the_number_of_tables(
    subject: Subject, endpoints: Endpoints
) -> None:
    subject.needs_sandbox("a dozen views are made")
    before = rounds_of_each_verb(subject)
    owner = subject.row.owner(endpoints, subject.form)
    views = [f"{subject.schema}.{subject.row.fold(f'view_{i}')}" for i in range(MADE)]
    with vendors.EXECUTING[subject.row.provider](owner) as run:
        for view in views:
            run(f"CREATE VIEW {view} AS SELECT id FROM {subject.table}")
        after = rounds_of_each_verb(subject)
        for view in views:
            run(f"DROP VIEW {view}")
    # Where a client asks again whether it is done, how often is a matter of time.
    assert all(after[verb] - before[verb] < MADE / 2 for verb in before), (before, after)


def rounds_of_each_verb(subject: Subject) -> dict[str, int]:
    """How often a client speaks to its warehouse, on a session that is open."""
    counted = {}
    through = next(iter(subject.row.through.values()))
    with Proxy() as proxy, subject.connector(through(subject.form, proxy.via)) as connector:
        connector.query("SELECT 1 AS one").read_all()
        for name, verb in (
            ("check", connector.check),
            ("tables of all schemas", connector.fetch_tables),
            ("tables of one", lambda: connector.fetch_tables(subject.schema)),
        ):
            began = proxy.rounds
            verb()
            counted[name] = proxy.rounds - began
    return counted
