"""Deletes by comparison of keys: what is gone at the source leaves, within a limit."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import InvalidInput
from connectors.providers.snowflake import Snowflake
from etl import pipelines, runner, steering
from etl.models import Pipeline, PipelineRun, ReadMode, RunStatus, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import INDEX, succeed

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


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


def test_refresh_takes_the_place_of_all_and_compares_nothing(
    moved: Any,
    pipeline: Pipeline,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
) -> None:
    records(100)
    moved(ReadMode.XID, deletes="compared", delete_limit_percent=0)
    succeed(start())
    vault.execute("DELETE FROM records WHERE key::int <= 50")
    succeed(steering.refresh(pipeline, Trigger.COMMAND))
    assert target_rows(lake, target_table) == source_rows(vault)
    assert succeed(start()).rows_in_target == 50
