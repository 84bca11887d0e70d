"""What a table's mode promises: after a run the target is the source, deletes and all."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from connectors.abilities import FollowChanges
from connectors.errors import InvalidInput
from connectors.providers.snowflake import Snowflake
from connectors.types import LoadMode
from etl import changes, pipelines, runner
from etl.changes import name_of
from etl.models import Followed, Pipeline, PipelineRun, PipelineTable, ReadMode, RunStatus, TableRun
from etl.pipelines import TableSpec
from tests.etl import writers
from tests.etl.compare import Vault, source_rows, target_rows
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

INDEX = "CREATE INDEX ON records (updated_at)"
GROWS = "ALTER TABLE records DROP CONSTRAINT records_pkey"
Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
SLOTS = "SELECT count(*) FROM pg_replication_slots"
WHOLE = [ReadMode.FULL, ReadMode.CDC]


@pytest.fixture
def source(
    team: Team, credentials: dict[str, Any], endpoints: dict[str, Any]
) -> WarehouseConnection:
    """As the superuser: following a table takes its owner, with REPLICATION."""
    user = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    form = credentials["postgres"] | {"user": user["user"], "password": user["password"]}
    return connections.create(
        team, None, Draft.of(name="vault", provider="postgres", credentials=form)
    )


@pytest.fixture
def moved(pipeline: Pipeline, target_table: str) -> Iterator[Callable[..., PipelineTable]]:
    """Sets the mode of the pipeline's table; the source keeps nothing in the end."""

    def of(mode: str, **settings: Any) -> PipelineTable:
        if mode == ReadMode.CURSOR:
            settings = {"cursor_column": "updated_at", **settings}
        spec = TableSpec("public", "records", target_table, mode, **settings)
        pipelines.update(pipeline, {}, [spec])
        return pipeline.tables.get()

    of_pipeline = PipelineTable.objects.filter(pipeline_id=pipeline.pk)
    yield of
    of_pipeline.delete()
    changes.look()
    assert not Followed.objects.exists()


def succeed(run: PipelineRun) -> TableRun:
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    return ended.tables.get()


@pytest.mark.parametrize("mode", WHOLE)
def test_what_was_deleted_leaves_the_target(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str, mode: str
) -> None:
    records(3_000)
    moved(mode)
    assert succeed(start()).rows == 3_000
    assert target_rows(lake, target_table) == source_rows(vault)
    vault.execute("DELETE FROM records WHERE key::int % 3 = 0")
    vault.execute("UPDATE records SET amount = amount + 1 WHERE key::int % 10 = 1")
    vault.execute("UPDATE records SET key = '9' || key WHERE key::int % 10 = 2")
    vault.execute("INSERT INTO records SELECT 'new', key, payload FROM records LIMIT 50")
    assert succeed(start()).rows_in_target == 2_050
    assert target_rows(lake, target_table) == source_rows(vault)
    vault.execute("TRUNCATE records")
    records(7)
    assert succeed(start()).rows_in_target == 7
    assert target_rows(lake, target_table) == source_rows(vault)
    vault.execute("TRUNCATE records")
    assert succeed(start()).rows_in_target == 0


def test_log_is_read_for_what_is_new_only(
    moved: Any, records: Add, start: Start, vault: Vault
) -> None:
    records(500)
    moved(ReadMode.CDC)
    succeed(start())
    assert succeed(start()).rows == 0
    vault.execute("UPDATE records SET amount = 0 WHERE key = '1'")
    vault.execute("DELETE FROM records WHERE key = '2'")
    assert succeed(start()).rows == 2


def test_table_without_a_key_is_read_in_full(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(100)
    vault.execute("ALTER TABLE records DROP CONSTRAINT records_pkey")
    vault.execute("INSERT INTO records SELECT * FROM records WHERE key = '1'")
    moved(ReadMode.FULL)
    for _ in range(2):
        assert succeed(start()).rows_in_target == 101
        assert target_rows(lake, target_table) == source_rows(vault)


def test_slot_that_was_dropped_means_a_full_read_without_ghosts(
    moved: Any,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    source: WarehouseConnection,
) -> None:
    records(200)
    table = moved(ReadMode.CDC)
    succeed(start())
    with connections.opened(source) as connector:
        assert isinstance(connector, FollowChanges)
        connector.unfollow(name_of(table), "public", "records")
    vault.execute("DELETE FROM records WHERE key::int <= 50")
    assert succeed(start()).rows == 150
    assert target_rows(lake, target_table) == source_rows(vault)
    vault.execute("DELETE FROM records WHERE key::int <= 60")
    assert succeed(start()).rows == 10
    assert target_rows(lake, target_table) == source_rows(vault)


def test_table_made_anew_is_read_anew(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(200)
    moved(ReadMode.CDC)
    succeed(start())
    vault.execute("CREATE TABLE other (LIKE records INCLUDING ALL)")
    vault.execute("INSERT INTO other SELECT * FROM records LIMIT 20")
    vault.execute("DROP TABLE records")
    vault.execute("ALTER TABLE other RENAME TO records")
    for _ in range(2):
        assert succeed(start()).rows_in_target == 20
        assert target_rows(lake, target_table) == source_rows(vault)


def test_log_that_grows_too_large_is_let_go(
    moved: Any, records: Add, start: Start, vault: Vault, settings: Any
) -> None:
    records(10)
    table = moved(ReadMode.CDC)
    succeed(start())
    changes.look()
    assert Followed.objects.get().table == table
    assert (table.retained_bytes or 0) > 0
    settings.PIPELINE_LOG_LIMIT_MB = 1
    vault.execute("CREATE TABLE filler AS SELECT repeat('x', 500) FROM generate_series(1, 9000)")
    changes.look()
    assert not Followed.objects.exists()
    assert vault.execute(SLOTS).fetchone() == (0,)
    settings.PIPELINE_LOG_LIMIT_MB = 10_240
    assert succeed(start()).rows == 10
    assert vault.execute(SLOTS).fetchone() == (1,)


def test_leaving_the_mode_lets_the_log_go(
    moved: Any, records: Add, start: Start, vault: Vault
) -> None:
    records(10)
    moved(ReadMode.CDC)
    succeed(start())
    assert moved(ReadMode.XID).watermark is None
    changes.look()
    assert vault.execute(SLOTS).fetchone() == (0,)
    assert succeed(start()).rows == 10


def test_deleted_pipeline_lets_the_log_go(
    pipeline: Pipeline, moved: Any, records: Add, start: Start, vault: Vault
) -> None:
    records(10)
    moved(ReadMode.CDC)
    succeed(start())
    pipelines.delete(pipeline)
    assert Followed.objects.get().table is None
    changes.look()
    assert vault.execute(SLOTS).fetchone() == (0,)


def test_source_without_a_log_is_refused(
    pipeline: Pipeline, destination: WarehouseConnection, target_table: str
) -> None:
    table = TableSpec("public", "records", target_table, ReadMode.CDC)
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, {"source": destination}, [table])
    assert caught.value.fields["tables"] == "snowflake has no log to read changes from."


def test_mode_is_shown_and_set_over_the_api(
    pipeline: Pipeline, alice: APIClient, team: Team
) -> None:
    url = f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"
    (table,) = alice.get(url).json()["tables"]
    assert (table["mode"], table["retained_bytes"]) == ("xid", None)
    table = {"source_table": "records", "destination_table": table["destination_table"]}
    changed = alice.patch(url, {"tables": [table | {"mode": "cdc"}]}, format="json")
    assert changed.json()["tables"][0]["mode"] == "cdc"
    refused = alice.patch(url, {"tables": [table | {"mode": "odd"}]}, format="json")
    assert refused.status_code == 400


# A table that grows


@pytest.fixture
def growing(moved: Any, records: Add, vault: Vault) -> PipelineTable:
    """100 rows without a key, of which two are the same."""
    records(99)
    vault.execute(GROWS)
    vault.execute("INSERT INTO records SELECT * FROM records WHERE key = '1'")
    table: PipelineTable = moved(ReadMode.APPEND)
    return table


def test_table_without_a_key_that_grows_gets_its_new_rows_once(
    growing: PipelineTable, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    assert succeed(start()).rows == 100
    vault.execute("INSERT INTO records SELECT * FROM records WHERE key = '1'")
    added = succeed(start())
    assert (added.rows, added.rows_in_target, added.load_mode) == (2, 102, LoadMode.APPEND)
    assert target_rows(lake, target_table) == source_rows(vault)
    assert succeed(start()).rows == 0
    assert target_rows(lake, target_table) == source_rows(vault)


def test_change_of_a_table_that_only_grows_means_a_full_read_and_is_said(
    growing: PipelineTable, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    succeed(start())
    vault.execute("UPDATE records SET amount = -1 WHERE key = '1'")
    vault.execute("DELETE FROM records WHERE key = '2'")
    again = succeed(start())
    assert (again.rows, again.load_mode) == (99, LoadMode.SWAP)
    assert again.note.startswith("Rows were updated or deleted since the last run")
    assert target_rows(lake, target_table) == source_rows(vault)
    assert succeed(start()).note == ""


@pytest.mark.parametrize("lost", ["the watermark's rows", "the target"])
def test_what_was_appended_is_not_appended_again_when_the_watermark_is_of_another_load(
    growing: PipelineTable,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    lost: str,
) -> None:
    """As after a run that loaded, and could never write that down."""
    succeed(start())
    growing.refresh_from_db()
    kept = {"watermark": growing.watermark, "last_load": growing.last_load}
    vault.execute("INSERT INTO records SELECT * FROM records WHERE key = '7'")
    succeed(start())
    if lost == "the target":
        lake.cursor().execute(f'DROP TABLE "{target_table}"')
    else:
        PipelineTable.objects.filter(pk=growing.pk).update(**kept)
    assert succeed(start()).load_mode == LoadMode.SWAP
    assert target_rows(lake, target_table) == source_rows(vault)


def test_destination_that_does_not_tell_its_last_load_is_refused(
    pipeline: Pipeline, target_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Snowflake, "tells_last_load", False)
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(
            pipeline, {}, [TableSpec("public", "records", target_table, ReadMode.APPEND)]
        )
    assert "mode append cannot be used" in caught.value.fields["tables"]


# By a cursor


def test_new_rows_are_read_by_the_cursor_and_the_rest_by_a_sweep(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(300)
    vault.execute(INDEX)
    vault.execute("UPDATE records SET updated_at = now() - interval '1 day'")
    moved(ReadMode.CURSOR)
    assert succeed(start()).rows == 300
    records(3)
    vault.execute("UPDATE records SET amount = 1, updated_at = now() WHERE key = '5'")
    by_cursor = succeed(start())
    assert (by_cursor.rows, by_cursor.note) == (4, "")
    assert target_rows(lake, target_table) == source_rows(vault)
    vault.execute("UPDATE records SET amount = 2 WHERE key = '6'")
    assert succeed(start()).rows == 4
    assert target_rows(lake, target_table) != source_rows(vault)
    # A setting of the mode is no other mode: the watermark stays.
    kept = moved(ReadMode.CURSOR, sweep_hours=0).watermark
    assert kept["cursor"]
    assert succeed(start()).rows < 300
    assert target_rows(lake, target_table) == source_rows(vault)


def test_table_whose_cursor_cannot_be_trusted_is_read_by_transactions_which_is_said(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(300)
    moved(ReadMode.CURSOR)
    succeed(start())
    vault.execute("UPDATE records SET amount = 2, updated_at = '2001-02-03' WHERE key = '6'")
    again = succeed(start())
    assert "no index begins with updated_at" in again.note
    assert again.rows < 300
    assert target_rows(lake, target_table) == source_rows(vault)


def test_column_that_tells_no_time_stops_the_run_and_is_named(
    moved: Any, records: Add, start: Start
) -> None:
    records(3)
    moved(ReadMode.CURSOR, cursor_column="amount")
    ended = runner.execute(start().pk)
    assert ended is not None
    assert ended.error_code == "cursor_unfit"
    assert "cursor_column: amount does not tell a time." in ended.error


def test_another_cursor_column_means_a_full_read(
    moved: Any, records: Add, start: Start, vault: Vault
) -> None:
    records(3)
    vault.execute("ALTER TABLE records ADD COLUMN made_at timestamptz DEFAULT now()")
    moved(ReadMode.CURSOR)
    succeed(start())
    assert moved(ReadMode.CURSOR).watermark is not None
    assert moved(ReadMode.CURSOR, cursor_column="made_at").watermark is None


@pytest.mark.parametrize(("mode", "column"), [("cursor", ""), ("xid", "updated_at")])
def test_mode_and_cursor_column_belong_together(
    pipeline: Pipeline, target_table: str, mode: str, column: str
) -> None:
    table = TableSpec("public", "records", target_table, mode, cursor_column=column)
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, {}, [table])
    assert "cursor_column" in caught.value.fields["tables"]


# Deletes by comparison of keys


@pytest.mark.parametrize("mode", [ReadMode.XID, ReadMode.CURSOR])
def test_rows_that_are_gone_leave_by_comparison(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str, mode: str
) -> None:
    records(300)
    vault.execute(INDEX)
    moved(mode, deletes="compared", sweep_hours=0)
    assert succeed(start()).rows == 300
    vault.execute("DELETE FROM records WHERE key::int <= 20")
    vault.execute("UPDATE records SET key = '9' || key WHERE key::int BETWEEN 21 AND 25")
    ended = succeed(start())
    # Keys that were compared are no rows that were moved.
    assert ended.rows < 275
    assert ended.rows_in_target == 280
    assert target_rows(lake, target_table) == source_rows(vault)


def test_comparison_waits_for_the_sweep(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(300)
    vault.execute(INDEX)
    moved(ReadMode.CURSOR, deletes="compared")
    succeed(start())
    vault.execute("DELETE FROM records WHERE key = '1'")
    assert succeed(start()).rows_in_target == 300
    moved(ReadMode.CURSOR, deletes="compared", sweep_hours=0)
    assert succeed(start()).rows_in_target == 299


def test_too_many_deletes_stop_the_run_until_they_are_allowed(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(100)
    table = moved(ReadMode.XID, deletes="compared")
    succeed(start())
    table.refresh_from_db()
    before = table.watermark
    vault.execute("DELETE FROM records WHERE key::int <= 11")
    vault.execute("UPDATE records SET amount = 0")
    ended = runner.execute(start().pk)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.FAILED, "too_many_deletes")
    assert ended.error.startswith("11 of 100 rows in the target are not in the source any more")
    assert len(target_rows(lake, target_table)) == 100
    table.refresh_from_db()
    assert table.watermark == before
    vault.execute("TRUNCATE records")
    ended = runner.execute(start().pk)
    assert ended is not None
    assert ended.error.startswith("100 of 100 rows")
    records(11)
    moved(ReadMode.XID, deletes="compared", delete_limit_percent=100)
    succeed(start())
    assert target_rows(lake, target_table) == source_rows(vault)


def test_first_load_leaves_no_ghosts_of_an_earlier_one(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(100)
    moved(ReadMode.FULL)
    succeed(start())
    vault.execute("DELETE FROM records WHERE key::int <= 5")
    assert moved(ReadMode.XID, deletes="compared").watermark is None
    assert succeed(start()).rows == 95
    assert target_rows(lake, target_table) == source_rows(vault)


@pytest.mark.parametrize("mode", [ReadMode.FULL, ReadMode.CDC, ReadMode.APPEND])
def test_mode_that_does_not_merge_compares_nothing(
    pipeline: Pipeline, target_table: str, mode: str
) -> None:
    table = TableSpec("public", "records", target_table, mode, deletes="compared")
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, {}, [table])
    assert "Only modes xid and cursor compare deletes" in caught.value.fields["tables"]


def test_destination_that_cannot_compare_is_refused_also_when_it_comes_later(
    pipeline: Pipeline, target_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = TableSpec("public", "records", target_table, deletes="compared")
    pipelines.update(pipeline, {}, [table])
    monkeypatch.setattr(Snowflake, "compares_keys", False)
    for change, tables in (({}, [table]), ({"destination": pipeline.destination}, None)):
        with pytest.raises(InvalidInput) as caught:
            pipelines.update(pipeline, change, tables)
        assert "cannot compare keys" in caught.value.fields["tables"]


# Late commits

COMPARED = {"deletes": "compared", "delete_limit_percent": 100}
WAYS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "xid": (ReadMode.XID, {}, writers.UPSERT),
    "xid, compared": (ReadMode.XID, COMPARED, writers.CHANGE),
    "cursor": (ReadMode.CURSOR, {}, writers.UPSERT),
    "cursor, compared": (ReadMode.CURSOR, COMPARED, writers.CHANGE),
    "full": (ReadMode.FULL, {}, writers.CHANGE),
    "cdc": (ReadMode.CDC, {}, writers.CHANGE),
    "append": (ReadMode.APPEND, {}, writers.ADD),
}
"""Mode, settings, and what the writers do."""


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_commit_late_are_not_lost(
    moved: Any,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    way: str,
    endpoints: dict[str, Any],
) -> None:
    """Eight writers keep transactions open over several runs."""
    mode, settings, habits = WAYS[way]
    records(1_000)
    vault.execute(GROWS if mode == ReadMode.APPEND else INDEX)
    moved(mode, **settings)
    over = threading.Event()
    crew = [
        threading.Thread(
            target=writers.write,
            args=(endpoints["postgres"]["datavault_dsn"], number, over, habits),
        )
        for number in range(8)
    ]
    for thread in crew:
        thread.start()
    until = time.monotonic() + writers.seconds()
    runs = 0
    while time.monotonic() < until or runs < 3:
        ended = succeed(start())
        assert ended.note == ""
        if runs and mode == ReadMode.CURSOR:
            assert (ended.plan or {})["cursor"] == "updated_at"
        runs += 1
    over.set()
    for thread in crew:
        thread.join()
    if mode == ReadMode.CURSOR:
        # Until a sweep, what was dated back is late.
        moved(mode, **settings | {"sweep_hours": 0})
    succeed(start())
    found, expected = target_rows(lake, target_table), source_rows(vault)
    assert set(expected) - set(found) == set()
    assert found == expected
    assert len(expected) > 1_000
    print(f"{way}: {runs} runs beside eight writers, {len(expected):,} rows, none missing")
