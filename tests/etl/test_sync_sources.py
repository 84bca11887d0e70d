"""Every warehouse into the store, by whole runs, with the types that its queries give."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from etl import pipelines, runner
from etl.models import Pipeline, ReadMode, RunStatus, Trigger
from etl.pipelines import TableSpec
from tests import vendors
from tests.connectors.matrix import MATRIX, Row
from warehouse import connections, synced
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection
from warehouse.store import client, names

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_store")]

SOURCES = [row for row in MATRIX if row.provider != "postgres"]


@pytest.fixture(params=SOURCES, ids=lambda row: row.provider)
def warehouse(
    request: pytest.FixtureRequest,
    team: Team,
    endpoints: dict[str, Any],
    credentials: dict[str, Any],
) -> Iterator[tuple[WarehouseConnection, Row, str]]:
    """A connection, and a schema with a table of 500 rows in ten columns: ``ten``."""
    row: Row = request.param
    schema, form = f"t_{uuid.uuid4().hex[:12]}", credentials[row.provider]
    draft = Draft.of(name=row.provider, provider=row.provider, credentials=form)
    with vendors.EXECUTING[row.provider](row.owner(endpoints, form)) as execute:
        execute(f"CREATE SCHEMA {schema}")
        execute(f"CREATE TABLE {schema}.ten AS {row.ten.format(rows=500)}")
        yield connections.create(team, None, draft), row, schema
        execute(f"DROP SCHEMA {schema} CASCADE")
    client.drop_database(team.pk)


def test_table_in_the_store_is_the_one_in_the_warehouse(
    warehouse: tuple[WarehouseConnection, Row, str], team: Team
) -> None:
    connection, row, schema = warehouse
    spec = TableSpec(row.fold(schema), row.fold("ten"), "", ReadMode.FULL)
    pipeline = pipelines.create(Pipeline(team=team, name="ten", source=connection), [spec])
    ended = runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    (listed,) = synced.store_tables(team)
    place = f"{names.quote(names.database(team.pk))}.{names.quote(listed.store_table)}"
    found = client.owner().query(f"SELECT * FROM {place}").read_all()
    with (
        connections.opened(connection) as source,
        source.query(f"SELECT * FROM {schema}.ten") as result,
    ):
        there = result.read_all()
    assert listed.columns.types == there.schema.types
    first = there.column_names[0]
    assert found.cast(there.schema).sort_by(first).equals(there.sort_by(first))
