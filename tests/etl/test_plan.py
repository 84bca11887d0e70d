"""`manage.py plan_pipeline`."""

import io
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from etl import pipelines
from etl.models import Pipeline, PipelineRun
from etl.pipelines import TableSpec
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Add = Callable[[int], None]
Vault = psycopg.Connection[Any]


def plan(*arguments: str) -> str:
    out = io.StringIO()
    call_command("plan_pipeline", *arguments, stdout=out)
    return out.getvalue()


def tables(lake: Any, name: str) -> list[Any]:
    return list(lake.cursor().execute(f"SHOW TABLES LIKE '{name}'"))


def test_first_run_is_planned_with_its_rows_and_the_table_that_it_makes(
    pipeline: Pipeline, records: Add, vault: Vault, lake: Any, target_table: str
) -> None:
    records(1200)
    vault.execute("ANALYZE records")
    said = plan("nightly", "--dry-run").splitlines()
    assert said[0] == f"public.records → {target_table}: all rows (about 1,200), merge"
    assert said[1].startswith('  CREATE TABLE IF NOT EXISTS "')
    assert said[1].endswith(', PRIMARY KEY ("TENANT", "KEY"));')
    assert not PipelineRun.objects.exists()
    assert tables(lake, target_table) == []


def test_difference_is_a_sentence_with_the_statement_that_a_run_would_send(
    pipeline: Pipeline, records: Add, vault: Vault, target_table: str
) -> None:
    records(2)
    assert "2 rows moved" in plan("nightly", "--yes")
    assert plan("nightly", "--dry-run").splitlines() == [
        f"public.records → {target_table}: rows that are new or changed, merge",
        "  The columns are the same.",
    ]
    vault.execute("ALTER TABLE records ADD COLUMN extra int")
    added = plan("nightly", "--dry-run")
    assert "  EXTRA: The target has no such column; the source has one of type" in added
    assert f'"{target_table}" ADD COLUMN IF NOT EXISTS "EXTRA" NUMBER(38,0);' in added
    assert "EXTRA" in plan("nightly", "--dry-run")


@pytest.mark.parametrize(("answer", "runs"), [("y\n", 1), ("Yes\n", 1), ("\n", 0), ("", 0)])
def test_nothing_is_run_unless_somebody_says_so(
    pipeline: Pipeline, records: Add, monkeypatch: pytest.MonkeyPatch, answer: str, runs: int
) -> None:
    records(2)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = plan("nightly")
    assert "Run it? [y/N]" in said
    assert ("2 rows moved" in said, "Nothing was run." in said) == (bool(runs), not runs)
    assert PipelineRun.objects.count() == runs


def test_run_that_would_stop_is_not_begun(pipeline: Pipeline, records: Add, vault: Vault) -> None:
    records(2)
    plan("nightly", "--yes")
    vault.execute("ALTER TABLE records ADD COLUMN extra int, ALTER amount TYPE text")
    shown = plan("nightly", "--dry-run")
    assert (
        "  STOP AMOUNT: The target has NUMBER(12,2), the source needs VARCHAR(134217728)." in shown
    )
    assert "ALTER TABLE" not in shown
    with pytest.raises(CommandError, match="schema_changed"):
        plan("nightly", "--yes")
    assert PipelineRun.objects.count() == 1


def test_each_mode_says_what_it_would_read_and_how_it_would_load(
    pipeline: Pipeline, records: Add, vault: Vault, target_table: str
) -> None:
    records(20)
    vault.execute("CREATE INDEX ON records (updated_at); ANALYZE records")

    def said(mode: str, **settings: Any) -> str:
        spec = TableSpec("public", "records", target_table, mode, **settings)
        pipelines.update(pipeline, {}, [spec])
        return plan("nightly", "--dry-run").splitlines()[0].partition(": ")[2]

    compared = {"deletes": "compared"}
    cursor = {"cursor_column": "updated_at", **compared}
    assert said("full") == "all rows (about 20), swap"
    assert said("xid", **compared) == "all rows (about 20); all keys, for deletes, merge"
    assert said("cursor", **cursor) == "all rows (about 20); all keys, for deletes, merge"
    plan("nightly", "--yes")
    assert said("cursor", **cursor) == "rows that are new or changed by updated_at, merge"
    assert said("cursor", **cursor, sweep_hours=0) == (
        "rows that are new or changed, by a sweep; all keys, for deletes, merge"
    )
    vault.execute("ALTER TABLE records DROP CONSTRAINT records_pkey")
    assert said("full") == "all rows (about 20), swap"
    assert said("append") == "all rows (about 20), swap"
    plan("nightly", "--yes")
    vault.execute("INSERT INTO records SELECT * FROM records LIMIT 3")
    assert said("append") == "new rows (about 3), append"
    vault.execute("DELETE FROM records WHERE key = '1'")
    assert "  Rows were updated or deleted since the last run" in plan("nightly", "--dry-run")


def test_what_keeps_a_table_from_being_read_is_said(pipeline: Pipeline, vault: Vault) -> None:
    with pytest.raises(CommandError, match="object_not_found: There is no table"):
        plan("nightly", "--dry-run")
    vault.execute("CREATE TABLE records (a int)")
    with pytest.raises(CommandError, match="no_primary_key"):
        plan("nightly", "--dry-run")


def test_only_the_team_named_is_looked_at(pipeline: Pipeline, other_team: Team) -> None:
    with pytest.raises(CommandError, match="no pipeline"):
        plan("nightly", "--team", str(other_team.pk))
