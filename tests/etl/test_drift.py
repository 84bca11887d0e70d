"""Columns that change at the source: what a run does under each contract, and what it tells."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from etl import runner
from etl.models import Pipeline, PipelineRun, RunStatus
from tests.etl.compare import Vault, source_rows, target_rows

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


@pytest.fixture
def ran(start: Start) -> Callable[[], PipelineRun]:
    """A run that has come to its end."""

    def run() -> PipelineRun:
        ended = runner.execute(start().pk)
        assert ended is not None
        return ended

    return run


@pytest.fixture
def under(pipeline: Pipeline) -> Callable[[str], None]:
    def change(contract: str) -> None:
        pipeline.contract = contract
        pipeline.save()

    return change


def column(lake: Any, table: str, name: str) -> list[Any]:
    rows = lake.cursor().execute(f'SELECT {name} FROM "{table}" ORDER BY TENANT, KEY')
    return [value for (value,) in rows]


def test_added_column_arrives_with_the_rows_that_change(
    records: Add, ran: Any, vault: Vault, lake: Any, target_table: str
) -> None:
    records(3)
    assert ran().status == RunStatus.SUCCEEDED
    vault.execute("ALTER TABLE records ADD COLUMN extra numeric(9, 2)")
    vault.execute("UPDATE records SET extra = 7.5 WHERE key = '2'")
    run = ran()
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    table = run.tables.get()
    assert list(table.drift) == ["EXTRA"]
    assert "It is added." in table.drift["EXTRA"]
    assert column(lake, target_table, "EXTRA") == [None, Decimal("7.50"), None]
    assert target_rows(lake, target_table) == source_rows(vault)


@pytest.mark.parametrize(
    ("change", "amount"),
    [
        ("ALTER amount TYPE numeric(14, 2)", "999999999999.99"),
        ("ALTER key TYPE varchar(40)", "1"),
        ("ALTER payload DROP NOT NULL", "1"),
    ],
    ids=["widened", "same-in-the-target", "nullable"],
)
def test_changed_column_is_followed(
    records: Add, ran: Any, vault: Vault, lake: Any, target_table: str, change: str, amount: str
) -> None:
    records(3)
    ran()
    vault.execute(f"ALTER TABLE records {change}")  # type: ignore[call-overload]
    vault.execute("UPDATE records SET amount = %s WHERE key = '1'", [amount])
    run = ran()
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert target_rows(lake, target_table) == source_rows(vault)


@pytest.mark.parametrize(
    ("contract", "change", "at_fault"),
    [
        ("evolve", "ALTER amount TYPE numeric(14, 4)", "AMOUNT"),
        ("evolve", "ALTER amount TYPE text", "AMOUNT"),
        (
            "evolve",
            "DROP CONSTRAINT records_pkey, ADD PRIMARY KEY (key)",
            "primary key: The target's key has TENANT, KEY, the source's KEY.",
        ),
        ("freeze", "ADD COLUMN extra int", "EXTRA"),
        ("freeze", "DROP COLUMN metadata", "METADATA"),
        ("freeze", "ALTER amount TYPE numeric(14, 2)", "AMOUNT"),
    ],
)
def test_contract_stops_the_run_by_name_before_anything_is_loaded(
    records: Add,
    ran: Any,
    under: Any,
    vault: Vault,
    pipeline: Pipeline,
    contract: str,
    change: str,
    at_fault: str,
) -> None:
    under(contract)
    records(10)
    ran()
    before = pipeline.tables.get().watermark
    vault.execute(f"ALTER TABLE records {change}")  # type: ignore[call-overload]
    run = ran()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "schema_changed")
    assert at_fault in run.error
    assert pipeline.tables.get().watermark == before


def test_quarantine_moves_the_columns_that_both_have_and_tells_of_the_rest(
    records: Add, ran: Any, under: Any, vault: Vault, lake: Any, target_table: str
) -> None:
    under("quarantine")
    records(3)
    ran()
    vault.execute("ALTER TABLE records ADD COLUMN extra int, ALTER amount TYPE text")
    vault.execute("UPDATE records SET payload = 'new', amount = 'none', extra = 1")
    run = ran()
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert set(run.tables.get().drift) == {"EXTRA", "AMOUNT"}
    moved = target_rows(lake, target_table)
    assert [row[:5] for row in moved] == [row[:5] for row in source_rows(vault)]
    assert [row[5] for row in moved] == ["0.01", "0.02", "0.03"]


def test_drift_is_told_by_the_attempt_that_ends_the_run_too(
    records: Add, ran: Any, start: Start, vault: Vault, lake: Any
) -> None:
    """The attempt before has altered the target, and so nothing differs any more."""
    records(3)
    ran()
    vault.execute("ALTER TABLE records ADD COLUMN extra int")
    run = start()
    first = PipelineRun.objects.get(pk=run.pk)

    def lost_while_loading(table: Any) -> None:
        if table.step == "loading":
            PipelineRun.objects.filter(pk=run.pk).update(status=RunStatus.QUEUED, attempt=0)

    assert runner.execute(first.pk, lost_while_loading) is None
    ended = runner.execute(run.pk)
    assert ended is not None
    assert ended.status == RunStatus.SUCCEEDED
    assert list(ended.tables.get().drift) == ["EXTRA"]
