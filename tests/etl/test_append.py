"""Mode append: a table without a key that only grows, each row once."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import InvalidInput
from connectors.providers.snowflake import Snowflake
from connectors.types import LoadMode
from etl import pipelines, steering
from etl.models import Pipeline, PipelineRun, PipelineTable, ReadMode, Trigger
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import GROWS, succeed

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


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


def test_refresh_swaps_and_what_is_new_is_appended_after_it(
    growing: PipelineTable,
    pipeline: Pipeline,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
) -> None:
    succeed(start())
    assert succeed(steering.refresh(pipeline, Trigger.COMMAND)).load_mode == LoadMode.SWAP
    vault.execute("INSERT INTO records SELECT * FROM records WHERE key = '7'")
    added = succeed(start())
    assert (added.rows, added.load_mode) == (1, LoadMode.APPEND)
    assert target_rows(lake, target_table) == source_rows(vault)
