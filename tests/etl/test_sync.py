"""Tables of a warehouse in the team's store: what a sync promises its readers."""

from collections.abc import Callable
from typing import Any

import pytest

from etl import pipelines
from etl.models import Pipeline, ReadMode
from etl.pipelines import TableSpec
from tests.etl.compare import Vault
from tests.etl.conftest import succeed
from warehouse import synced
from warehouse.models import Team, WarehouseConnection
from warehouse.store import client, names

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_store")]

Sync = Callable[..., Pipeline]
Add = Callable[[int], None]


@pytest.fixture
def sync(team: Team, source: WarehouseConnection) -> Any:
    """public.records in the store, by a mode; the database is dropped in the end."""

    def made(mode: str = ReadMode.FULL, **given: Any) -> Pipeline:
        pipeline = Pipeline(team=team, name="records", source=source)
        return pipelines.create(pipeline, [TableSpec("public", "records", "", mode, **given)])

    yield made
    client.drop_database(team.pk)


def run(pipeline: Pipeline) -> Any:
    return succeed(pipelines.request_run(pipeline, "command"))


def rows(team: Team, columns: str = "count() AS n") -> list[dict[str, Any]]:
    """Of the one synced table, as the team's reader."""
    (table,) = synced.store_tables(team)
    where = f"{names.quote(names.database(team.pk))}.{names.quote(table.store_table)}"
    found: list[dict[str, Any]] = (
        client.reader(team.pk).query(f"SELECT {columns} FROM {where}").read_all().to_pylist()
    )
    return found


def stored(team: Team) -> set[str]:
    """The names of all tables in the team's database."""
    params = {"database": names.database(team.pk)}
    asked = "SELECT name FROM system.tables WHERE database = {database:String}"
    return set(client.owner().query(asked, params).read_all()["name"].to_pylist())


def test_full_sync_is_the_source(sync: Sync, records: Add, vault: Vault, team: Team) -> None:
    records(500)
    pipeline = sync()
    table = run(pipeline)
    assert (table.rows, table.rows_in_target) == (500, 500)
    vault.execute("DELETE FROM records WHERE key::int <= 100")
    run(pipeline)
    expected = vault.execute("SELECT count(*), sum(amount) FROM records").fetchone()
    (found,) = rows(team, "count() AS n, sum(amount) AS amount")
    assert (found["n"], found["amount"]) == expected
    (listed,) = synced.store_tables(team)
    assert (listed.schema, listed.table, listed.rows) == ("public", "records", 400)
    assert listed.as_of == pipeline.tables.get().as_of
    assert listed.columns.names[:3] == ["tenant", "key", "payload"]
    assert stored(team) == {listed.store_table}
