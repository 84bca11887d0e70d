"""A run moves rows once, whatever happens to it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from etl import lease, runner
from etl.models import Pipeline, PipelineRun, RunStatus, Step, TableRun
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.cut_off import Command

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


def succeed(run: PipelineRun) -> TableRun:
    """Execute a run that must succeed; its only table."""
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    return ended.tables.get()


def test_first_run_moves_every_row_unchanged(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(5_000)
    table = succeed(start())
    assert (table.rows, table.rows_in_target, table.step) == (5_000, 5_000, Step.DONE)
    assert table.bytes_staged > 0
    assert target_rows(lake, target_table) == source_rows(vault)


def test_next_run_moves_only_what_is_new_or_changed(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(2_000)
    succeed(start())
    records(100)
    vault.execute("UPDATE records SET payload = 'changed' WHERE key::int <= 50")
    table = succeed(start())
    assert (table.rows, table.rows_in_target) == (150, 2_100)
    assert target_rows(lake, target_table) == source_rows(vault)


def test_run_without_changes_moves_nothing_and_succeeds(records: Add, start: Start) -> None:
    records(10)
    succeed(start())
    table = succeed(start())
    assert (table.rows, table.rows_in_target) == (0, 10)


def test_empty_table_arrives_empty(records: Add, start: Start) -> None:
    table = succeed(start())
    assert (table.rows, table.rows_in_target) == (0, 0)


def test_row_that_commits_late_is_moved_by_the_next_run(
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    endpoints: dict[str, Any],
) -> None:
    import psycopg

    records(10)
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as late:
        late.execute("INSERT INTO records VALUES ('late', '1', 'x', '{\"n\": 0, \"big\": 1}', 1)")
        records(5)
        assert succeed(start()).rows == 15
        late.commit()
    succeed(start())
    assert target_rows(lake, target_table) == source_rows(vault)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DROP TABLE records", "object_not_found"),
        ("REVOKE SELECT ON records FROM etl_reader", "permission_denied"),
        ("ALTER TABLE records DROP CONSTRAINT records_pkey", "no_primary_key"),
        ("UPDATE records SET amount = 'NaN'", "quarantine_full"),
    ],
    ids=["no-table", "no-privilege", "no-key", "nan"],
)
def test_failing_run_says_why_and_keeps_the_watermark(
    records: Add, start: Start, vault: Vault, pipeline: Pipeline, statement: str, code: str
) -> None:
    records(10)
    succeed(start())
    before = pipeline.tables.get().watermark
    vault.execute(statement)  # type: ignore[call-overload]
    run = runner.execute(start().pk)
    assert run is not None
    assert (run.status, run.error_code) == (RunStatus.FAILED, code)
    assert run.finished_at is not None
    assert pipeline.tables.get().watermark == before


def test_wrong_destination_credentials_leave_nothing_moved(
    records: Add, start: Start, pipeline: Pipeline
) -> None:
    records(10)
    wrong = {**pipeline.destination.read_credentials(), "password": "wrong"}
    pipeline.destination.set_credentials(wrong)
    pipeline.destination.save()
    run = runner.execute(start().pk)
    assert run is not None
    assert (run.status, run.error_code) == (RunStatus.FAILED, "credentials_rejected")
    assert pipeline.tables.get().watermark is None


def test_unusable_bucket_queues_the_run_again_until_its_tries_are_used(
    records: Add, start: Start, settings: Any
) -> None:
    records(10)
    settings.STAGE_S3_BUCKET = "no-such-bucket"
    run = start()
    states = [ended.status for _ in range(3) if (ended := runner.execute(run.pk))]
    assert states == [RunStatus.QUEUED, RunStatus.QUEUED, RunStatus.FAILED]
    assert runner.execute(run.pk) is None
    run.refresh_from_db()
    assert run.error_code == "stage_failed"


def test_of_two_workers_with_the_same_message_one_runs(records: Add, start: Start) -> None:
    records(10)
    run = start()
    assert lease.claim(run.pk) is not None
    assert lease.claim(run.pk) is None


def test_worker_that_lost_its_lease_writes_nothing(
    records: Add, start: Start, vault: Vault, lake: Any, pipeline: Pipeline, target_table: str
) -> None:
    """A paused worker wakes with old rows after another one has moved newer ones."""
    records(10)
    run = start()

    def taken_over(table: TableRun) -> None:
        if table.step == Step.STAGED:
            PipelineRun.objects.filter(pk=run.pk).update(
                heartbeat_at=timezone.now() - timedelta(hours=1)
            )
            vault.execute("UPDATE records SET payload = 'newer'")
            other = runner.execute(run.pk)
            assert other is not None
            assert other.status == RunStatus.SUCCEEDED

    assert runner.execute(run.pk, taken_over) is None
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.SUCCEEDED, 2)
    succeed(lease_next(pipeline))
    assert target_rows(lake, target_table) == source_rows(vault)


def lease_next(pipeline: Pipeline) -> PipelineRun:
    from etl import pipelines
    from etl.models import Trigger

    return pipelines.request_run(pipeline, Trigger.COMMAND)


def test_run_whose_workers_all_vanish_is_given_up_with_its_reason(
    records: Add, start: Start, pipeline: Pipeline
) -> None:
    records(1)
    run = start()
    for _ in range(lease.MAX_ATTEMPTS):
        assert lease.claim(run.pk) is not None
        PipelineRun.objects.filter(pk=run.pk).update(
            heartbeat_at=timezone.now() - timedelta(hours=1)
        )
    assert lease.claim(run.pk) is None
    assert lease.give_up_lost() == 1
    run.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.FAILED, "run_abandoned")
    succeed(lease_next(pipeline))


@pytest.mark.parametrize("step", [Step.EXTRACTING, Step.STAGED, Step.LOADING])
def test_kill_9_in_the_middle_and_a_rerun_give_the_same_rows_none_twice(
    step: Step,
    records: Add,
    pipeline: Pipeline,
    vault: Vault,
    lake: Any,
    target_table: str,
    service_environment: dict[str, str],
) -> None:
    records(60_000)
    command, order = Command(pipeline, service_environment), list(Step)

    def is_there() -> bool:
        table = TableRun.objects.filter(run__pipeline=pipeline).first()
        return table is not None and order.index(Step(table.step)) >= order.index(step)

    command.kill(is_there)
    assert "60,000 in" in command.succeed()
    assert target_rows(lake, target_table) == source_rows(vault)


def test_table_made_anew_at_the_source_is_read_in_full(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    """Rows older than the watermark come into the table by a swap of names."""
    records(10)
    vault.execute("CREATE TABLE other (LIKE records INCLUDING ALL)")
    vault.execute("INSERT INTO other SELECT 'x', key, payload, metadata, amount FROM records")
    succeed(start())
    vault.execute("ALTER TABLE records RENAME TO old")
    vault.execute("ALTER TABLE other RENAME TO records")
    assert succeed(start()).rows == 10
    assert {row[0] for row in target_rows(lake, target_table)} >= {"x"}


def test_dropped_target_is_filled_anew(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(10)
    succeed(start())
    lake.cursor().execute(f'DROP TABLE "{target_table}"')
    assert succeed(start()).rows == 10
    assert target_rows(lake, target_table) == source_rows(vault)


def test_key_with_included_columns_is_the_key_alone(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    records(3)
    vault.execute("ALTER TABLE records DROP CONSTRAINT records_pkey")
    vault.execute("ALTER TABLE records ADD PRIMARY KEY (tenant, key) INCLUDE (amount)")
    succeed(start())
    vault.execute("UPDATE records SET amount = amount + 1")
    assert succeed(start()).rows_in_target == 3
    assert target_rows(lake, target_table) == source_rows(vault)


def test_pipeline_made_anew_loads_the_table_of_the_one_before(
    records: Add, start: Start, pipeline: Pipeline, target_table: str
) -> None:
    from etl import pipelines
    from etl.pipelines import TableSpec

    records(5)
    for _ in range(3):
        succeed(start())
    fields = {
        name: getattr(pipeline, name)
        for name in ("team", "source", "destination", "destination_schema", "stage")
    }
    pipelines.delete(pipeline)
    again = Pipeline(name="again", **fields)
    pipelines.create(again, [TableSpec("public", "records", target_table)])
    assert succeed(lease_next(again)).rows_in_target == 5


def test_parts_of_earlier_runs_go_when_a_later_one_has_succeeded(
    records: Add, start: Start, pipeline: Pipeline
) -> None:
    from etl.stage import Stage

    records(5)
    first, second = start(), None
    succeed(first)
    second = lease_next(pipeline)
    succeed(second)
    folders = Stage(str(pipeline.team_id)).folders(str(pipeline.pk))
    assert folders == {f"{pipeline.pk}/run-{second.pk}"}
