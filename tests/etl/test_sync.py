"""Tables of a warehouse in the team's store: what a sync promises its readers."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone
from structlog.testing import capture_logs

from connectors.errors import InvalidInput
from etl import changes, incidents, pipelines, plan, runner, tasks
from etl.models import AlertEvent, Deletes, Pipeline, PipelineTable, ReadMode, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault
from tests.etl.conftest import GROWS, succeed
from tests.etl.swapper import Swapper
from warehouse import connections, synced
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection
from warehouse.store import client, names
from warehouse.store.load.loader import StoreLoad

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_store")]

Sync = Callable[..., Pipeline]
Add = Callable[[int], None]


@pytest.fixture
def sync(team: Team, source: WarehouseConnection) -> Iterator[Sync]:
    """public.records in the store, by a mode; the database is dropped in the end."""

    def made(mode: str = ReadMode.FULL, **given: Any) -> Pipeline:
        pipeline = Pipeline(team=team, name="records", source=source)
        return pipelines.create(pipeline, [TableSpec("public", "records", "", mode, **given)])

    yield made
    client.drop_database(team.pk)


@pytest.fixture
def follower(
    team: Team, credentials: dict[str, Any], endpoints: dict[str, Any]
) -> Iterator[WarehouseConnection]:
    """The source as somebody who may have it keep its log, which it does not in the end."""
    user = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    form = credentials["postgres"] | {name: user[name] for name in ("user", "password")}
    draft = Draft.of(name="log", provider="postgres", credentials=form)
    yield connections.create(team, None, draft)
    PipelineTable.objects.all().delete()
    changes.look()
    client.drop_database(team.pk)


def run(pipeline: Pipeline) -> Any:
    return succeed(pipelines.request_run(pipeline, Trigger.COMMAND))


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


def test_rows_are_merged_by_key_and_all_of_them_once(
    sync: Sync, records: Add, vault: Vault, team: Team
) -> None:
    records(300)
    pipeline = sync(ReadMode.XID)
    run(pipeline)
    vault.execute("UPDATE records SET amount = -1 WHERE key::int <= 10")
    records(50)
    assert run(pipeline).rows == 60
    (found,) = rows(team, "count() AS n, uniqExact(tenant, key) AS keys, countIf(amount = -1) AS u")
    assert (found["n"], found["keys"], found["u"]) == (350, 350, 10)


def test_rows_that_are_gone_leave_where_keys_are_compared(
    sync: Sync, records: Add, vault: Vault, team: Team
) -> None:
    records(100)
    pipeline = sync(ReadMode.XID, deletes=Deletes.COMPARED)
    run(pipeline)
    vault.execute("DELETE FROM records WHERE key::int > 90")
    records(5)
    run(pipeline)
    assert rows(team, "count() AS n") == [{"n": 95}]
    vault.execute("DELETE FROM records WHERE key::int > 30")
    ended = runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert ended is not None
    assert ended.error_code == "too_many_deletes"
    assert rows(team, "count() AS n") == [{"n": 95}]


def test_column_that_is_wider_now_is_followed_and_rows_stay(
    sync: Sync, vault: Vault, team: Team, records: Add
) -> None:
    records(20)
    vault.execute("ALTER TABLE records ADD COLUMN size int DEFAULT 7")
    pipeline = sync(ReadMode.XID)
    run(pipeline)
    vault.execute("ALTER TABLE records ALTER COLUMN size TYPE bigint, ADD COLUMN more text")
    vault.execute(f"UPDATE records SET size = {2**40}, more = 'x' WHERE key = '1'")
    run(pipeline)
    found = rows(team, "count() AS n, sum(size) AS size, count(more) AS more")
    assert found == [{"n": 20, "size": 2**40 + 19 * 7, "more": 1}]


def test_rows_of_a_table_that_grows_are_added_once(
    sync: Sync, records: Add, vault: Vault, team: Team
) -> None:
    records(100)
    vault.execute(GROWS)
    pipeline = sync(ReadMode.APPEND)
    run(pipeline)
    records(20)
    assert run(pipeline).rows == 20
    assert rows(team)[0]["n"] == 120


def test_changes_come_from_the_log_into_the_store(
    team: Team, records: Add, vault: Vault, follower: WarehouseConnection
) -> None:
    records(30)
    spec = TableSpec("public", "records", "", ReadMode.CDC)
    pipeline = pipelines.create(Pipeline(team=team, name="log", source=follower), [spec])
    run(pipeline)
    vault.execute("DELETE FROM records WHERE key::int <= 10")
    vault.execute("UPDATE records SET amount = -1 WHERE key::int > 25")
    run(pipeline)
    assert rows(team, "count() AS n, countIf(amount = -1) AS u") == [{"n": 20, "u": 5}]


def test_chosen_columns_are_all_there_is(
    sync: Sync, records: Add, team: Team, vault: Vault
) -> None:
    records(10)
    pipeline = sync(ReadMode.XID, columns=["amount"])
    run(pipeline)
    (listed,) = synced.store_tables(team)
    assert listed.columns.names == ["tenant", "key", "amount"]
    spec = TableSpec("public", "records", "", ReadMode.XID, columns=["amount", "payload"])
    pipelines.update(pipeline, {}, [spec])
    # What was read without the column is read again.
    assert run(pipeline).rows == 10
    assert rows(team, "count(payload) AS n") == [{"n": 10}]


def test_plan_says_what_a_run_would_do(sync: Sync, records: Add) -> None:
    records(10)
    pipeline = sync(ReadMode.XID)
    (before,) = plan.tables(pipeline)
    assert (before.full, (before.load.creates or "").split("(")[0][:12]) == (True, "CREATE TABLE")
    run(pipeline)
    (after,) = plan.tables(pipeline)
    assert (after.full, after.load.creates, after.load.changes) == (False, None, ())


def test_column_that_is_not_there_stops_the_run(sync: Sync, records: Add) -> None:
    records(1)
    pipeline = sync(ReadMode.XID, columns=["no_such_column"])
    ended = runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert ended is not None
    assert (ended.error_code, "no_such_column" in ended.error) == ("object_not_found", True)


def test_last_good_rows_stay_when_a_run_fails(
    sync: Sync, records: Add, vault: Vault, team: Team
) -> None:
    records(10)
    pipeline = sync()
    run(pipeline)
    before = synced.store_tables(team)
    vault.execute("ALTER TABLE records ADD COLUMN day date DEFAULT '2300-01-01'")
    ended = runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk)
    assert ended is not None
    assert ended.error_code == "quarantine_full"
    assert (rows(team), synced.store_tables(team)) == ([{"n": 10}], before)
    pipelines.update(pipeline, {"quarantine_limit": 10})
    run(pipeline)
    assert rows(team, "count() AS n, count(day) AS days") == [{"n": 10, "days": 0}]


def test_target_that_is_gone_is_read_whole(sync: Sync, records: Add, team: Team) -> None:
    records(10)
    pipeline = sync(ReadMode.XID)
    run(pipeline)
    client.drop_database(team.pk)
    assert run(pipeline).rows == 10
    assert rows(team) == [{"n": 10}]


def test_nothing_of_a_deleted_pipeline_stays(
    sync: Sync, records: Add, team: Team, source: WarehouseConnection
) -> None:
    records(10)
    pipeline = sync()
    run(pipeline)
    client.owner().command(
        f"CREATE TABLE {names.quote(names.database(team.pk))}.events (id Int64) "
        "ENGINE = MergeTree ORDER BY id"
    )
    pipelines.delete(pipeline)
    # Known to nobody from now on, be the store there or not.
    assert synced.store_tables(team) == []
    tasks.tidy_store(str(team.pk))
    assert stored(team) == {"events"}
    connections.delete(source)


def test_load_that_outlives_its_pipeline_leaves_nothing(
    sync: Sync, records: Add, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    records(10)
    pipeline = sync()
    real = StoreLoad.load

    def outlived(*given: Any) -> Any:
        outcome = real(*given)
        pipelines.delete(pipeline)
        tasks.tidy_store(str(team.pk))
        real(given[0], replace(given[1], load_id="as if it came after that"), *given[2:])
        return outcome

    monkeypatch.setattr(StoreLoad, "load", outlived)
    with capture_logs() as logs:
        assert runner.execute(pipelines.request_run(pipeline, Trigger.COMMAND).pk) is None
    assert "run.crashed" not in {entry["event"] for entry in logs}
    assert (stored(team), synced.store_tables(team)) == (set(), [])


def test_old_rows_are_stale_and_say_so(sync: Sync, records: Add) -> None:
    records(1)
    pipeline = sync()
    run(pipeline)
    pipelines.update(pipeline, {"stale_after_minutes": 1})
    assert not pipeline.is_stale
    table = pipeline.tables.get()
    table.as_of = timezone.now() - timedelta(minutes=2)
    table.save()
    incidents.look()
    assert pipeline.incidents.get().event == AlertEvent.STALE


def test_names_of_tables_are_the_stores_own(sync: Sync, team: Team) -> None:
    pipeline = sync()
    table = pipeline.tables.get()
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, {}, [TableSpec("public", "records", "events")])
    assert list(caught.value.fields) == ["tables"]
    assert table.destination_table == synced.name_of(pipeline.source_id, "public", "records")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"mode": ReadMode.XID}, "mode xid"),
        ({"mode": ReadMode.APPEND}, "mode append"),
        ({"mode": ReadMode.CDC}, "no log"),
        ({"mode": ReadMode.CURSOR, "cursor_column": "c", "deletes": "compared"}, "snapshot"),
    ],
)
def test_what_a_warehouse_cannot_tell_is_refused_by_name(
    team: Team, destination: WarehouseConnection, spec: dict[str, Any], said: str
) -> None:
    pipeline = Pipeline(team=team, name="of snowflake", source=destination)
    with pytest.raises(InvalidInput) as caught:
        pipelines.create(pipeline, [TableSpec("PUBLIC", "ORDERS", **spec)])
    assert said in caught.value.fields["tables"]


# Swaps


def test_readers_see_whole_versions_while_they_are_swapped(team: Team) -> None:
    """Eight readers; a version has 1,000 rows more than its number, and the number in each."""
    swaps = int(os.environ.get("SWAPS", "12"))
    place = f"{names.quote(names.database(team.pk))}.{Swapper.TABLE}"
    asked = f"SELECT count() AS n, min(v) AS low, max(v) AS high FROM {place}"
    over, seen = threading.Event(), list[tuple[int, int, int]]()
    load = Swapper(team.pk)
    load(0)

    def read() -> None:
        reader = client.reader(team.pk)
        while not over.is_set():
            (found,) = reader.query(asked).read_all().to_pylist()
            seen.append((found["n"], found["low"], found["high"]))

    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read) for _ in range(8)]
        try:
            for version in range(1, swaps + 1):
                load(version)
        finally:
            over.set()
        for one in reading:
            one.result()
    client.drop_database(team.pk)
    assert len(seen) > 8
    assert [one for one in seen if one != (1000 + one[1], one[1], one[1])] == []
