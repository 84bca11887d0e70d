"""What a table's mode promises: after a run the target is the source, deletes and all."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rest_framework.test import APIClient

from connectors.abilities import FollowChanges
from connectors.errors import InvalidInput
from etl import changes, pipelines, steering
from etl.changes import name_of
from etl.models import Followed, Pipeline, PipelineRun, ReadMode, Trigger
from etl.pipelines import TableSpec
from tests.etl import writers
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import GROWS, INDEX, succeed
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

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


def test_refresh_reads_the_table_itself_and_its_log_from_then_on(
    moved: Any, records: Add, start: Start, vault: Vault, lake: Any, pipeline: Pipeline
) -> None:
    records(200)
    target = moved(ReadMode.CDC).destination_table
    succeed(start())
    lake.cursor().execute(f"""INSERT INTO "{target}" (TENANT, KEY) VALUES ('ghost', '1')""")
    assert succeed(steering.refresh(pipeline, Trigger.COMMAND)).rows == 200
    assert target_rows(lake, target) == source_rows(vault)
    vault.execute("DELETE FROM records WHERE key = '1'")
    assert succeed(start()).rows == 1
    assert target_rows(lake, target) == source_rows(vault)


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
