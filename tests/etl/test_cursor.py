"""Mode cursor: new rows by a column of times, and a sweep for the rest."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import InvalidInput
from etl import pipelines, runner
from etl.models import Pipeline, PipelineRun, ReadMode
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import INDEX, succeed

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


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
