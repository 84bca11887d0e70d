"""All of TPC-H in HogQL, on each stand-in: the answers of a bare Postgres to the standard's SQL.

Where the standard leaves the order of equals open, both texts say one more column to order by.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.types import Column, Table
from tests import vendors
from tests.api.conftest import Save
from tests.hogql.compare import same
from tests.hogql.conftest import PROVIDERS, Filled, OpenOne
from tests.hogql.engines import ClickHouse, of_connector, rows_of
from tests.hogql.tpch_queries import HERE, QUERIES, VALUES
from tests.hogql.tpch_tables import TABLES
from warehouse import query_executor
from warehouse.hogql.catalog import Catalog
from warehouse.statements import Language, Statement


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", VALUES)
def test_a_connection_runs_it_and_says_what_it_would_read(
    save: Save, filled: Filled, reference: Any, provider: str, name: str
) -> None:
    schema = filled.schema(provider)
    text = (HERE / f"{name}.sql").read_text()
    for table in TABLES:
        # Other tests leave tables of these names in other schemas.
        text = re.sub(rf"(?<=FROM |JOIN ){table}\b", f"{schema}.{table}", text)
    statement = Statement(text, (), Language.HOGQL, VALUES[name])
    with query_executor.run(save(provider), statement) as run:
        run.start()
        rows = rows_of(pa.Table.from_batches(list(run), schema=run.schema))
    assert all(
        same(mine, theirs)
        for row, wanted in zip(rows, reference(name), strict=True)
        for mine, theirs in zip(row, wanted, strict=True)
    )
    plan = query_executor.plan(save(provider, "again"), statement)
    assert schema in plan.sql
    assert plan.estimate.bytes_scanned is None or plan.estimate.bytes_scanned > 0


@pytest.fixture(scope="module")
def clickhouse(tpch: dict[str, pa.Table], tpch_folder: Path) -> Iterator[ClickHouse]:
    """An embedded ClickHouse with the tables."""
    engine = ClickHouse()
    engine.ask("CREATE DATABASE tpch")
    for name, table in tpch.items():
        path = tpch_folder / f"clickhouse_{name}.parquet"
        pq.write_table(table, path)
        engine.ask(
            f"CREATE TABLE tpch.{name} ENGINE = Memory AS SELECT * FROM file('{path}', Parquet)"
        )
    yield engine
    engine.close()


@pytest.mark.parametrize("name", [name for name in QUERIES if name not in VALUES])
def test_each_query_gives_the_same_answer_in_clickhouse(
    clickhouse: ClickHouse, tpch: dict[str, pa.Table], reference: Any, name: str
) -> None:
    catalog = Catalog.of("t", [as_listed("tpch", name, table) for name, table in tpch.items()])
    rows = clickhouse.run((HERE / f"{name}.sql").read_text(), catalog)
    expected = reference(name)
    assert len(rows) == len(expected)
    differing = [
        (mine, theirs)
        for mine, theirs in zip(rows, expected, strict=True)
        if not all(map(same, mine, theirs))
    ]
    assert not differing, differing[:3]


def as_listed(schema: str, name: str, table: pa.Table) -> Table:
    """A table as metadata show it."""
    columns = tuple(
        Column(
            field.name,
            "text" if field.type == pa.string() else str(field.type),
            True,
            n,
            field.type,
        )
        for n, field in enumerate(table.schema, start=1)
    )
    return Table(None, schema, name, "table", columns)
