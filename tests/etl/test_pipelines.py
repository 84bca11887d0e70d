"""The rules of pipelines: what can be saved, when a run starts."""

import json
import threading
from typing import Any

import pytest
from django.db import connection as database
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from connectors.errors import InvalidInput
from connectors.network import NetworkPolicy
from connectors.providers.redshift import Redshift
from connectors.providers.snowflake import Snowflake
from etl import pipelines, schedule, tasks
from etl.errors import PipelinePaused, RunInProgress
from etl.models import Pipeline, PipelineRun, RunStatus, Trigger
from etl.pipelines import TableSpec
from tests.destinations.ends import S3
from tests.etl.compare import broker_messages
from warehouse import connections
from warehouse.connections import Draft
from warehouse.errors import ConnectionInUse, NameTaken
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db

RECORDS = TableSpec("public", "records")


@pytest.fixture
def bucket(team: Team, endpoints: dict[str, Any], network: NetworkPolicy) -> WarehouseConnection:
    """A connection that cannot be read."""
    form = S3(endpoints, network, str(team.pk)).form()
    return connections.create(team, None, Draft.of(name="b", provider="s3", credentials=form))


def draft(pipeline: Pipeline, **changes: Any) -> Pipeline:
    """An unsaved pipeline like the given one."""
    fields = {
        name: getattr(pipeline, name)
        for name in ("team", "source", "destination", "destination_schema", "stage", "schedule")
    }
    return Pipeline(**{**fields, "name": "another", **changes})


def test_destination_table_is_named_as_the_destination_folds_names(pipeline: Pipeline) -> None:
    made = pipelines.create(draft(pipeline), [RECORDS, TableSpec("public", "Mixed Case")])
    assert [t.destination_table for t in made.tables.all()] == ["RECORDS", "Mixed Case"]


def test_name_is_taken_once_in_a_team(pipeline: Pipeline) -> None:
    with pytest.raises(NameTaken):
        pipelines.create(draft(pipeline, name=pipeline.name), [RECORDS])
    assert Pipeline.all_teams.count() == 1


@pytest.mark.parametrize(
    ("changes", "tables", "field"),
    [
        ({}, [], "tables"),
        ({}, [RECORDS, TableSpec("other", "records")], "tables"),
        ({"schedule": "every night"}, [RECORDS], "schedule"),
        ({"schedule": "61 2 * * *"}, [RECORDS], "schedule"),
        ({"source": "bucket"}, [RECORDS], "source"),
        ({"destination": "source"}, [RECORDS], "destination"),
    ],
    ids=[
        "no-table",
        "one-target-twice",
        "not-cron",
        "minute-61",
        "source-cannot",
        "target-cannot",
    ],
)
def test_unusable_pipeline_is_refused_and_not_half_saved(
    pipeline: Pipeline,
    bucket: WarehouseConnection,
    changes: dict[str, Any],
    tables: list[TableSpec],
    field: str,
) -> None:
    ends = {"source": pipeline.source, "bucket": bucket}
    changes = {name: ends.get(value, value) for name, value in changes.items()}
    with pytest.raises(InvalidInput) as refused:
        pipelines.create(draft(pipeline, **changes), tables)
    assert list(refused.value.fields) == [field]
    assert Pipeline.all_teams.count() == 1
    assert not PeriodicTask.objects.filter(task="etl.start_scheduled").exists()


def test_table_that_another_pipeline_loads_is_refused(
    pipeline: Pipeline, target_table: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        pipelines.create(draft(pipeline), [TableSpec("public", "orders", target_table)])
    assert refused.value.fields == {"tables": f"Another pipeline loads {target_table}."}


def test_table_that_stays_keeps_its_watermark(pipeline: Pipeline) -> None:
    kept = pipeline.tables.get()
    kept.watermark = {"snapshot": "1:1:", "origin": "1"}
    kept.save()
    spec = TableSpec(kept.source_schema, kept.source_table, kept.destination_table)
    pipelines.update(pipeline, {}, [spec, TableSpec("public", "more")])
    assert [t.watermark for t in pipeline.tables.all()] == [kept.watermark, None]
    pipelines.update(pipeline, {}, [TableSpec("public", "more")])
    assert [t.source_table for t in pipeline.tables.all()] == ["more"]


def test_schedule_becomes_a_row_that_beat_reads_and_goes_with_the_pipeline(
    pipeline: Pipeline,
) -> None:
    pipelines.update(pipeline, {"schedule": "30 2 * * 1-5"})
    row = PeriodicTask.objects.get(task="etl.start_scheduled")
    assert json.loads(row.kwargs) == {"pipeline_id": str(pipeline.pk)}
    assert (row.enabled, row.crontab.minute, row.crontab.day_of_week) == (True, "30", "1-5")

    pipelines.update(pipeline, {"is_active": False})
    assert not PeriodicTask.objects.get(pk=row.pk).enabled

    pipelines.delete(pipeline)
    assert not PeriodicTask.objects.filter(pk=row.pk).exists()


def test_schedule_without_fields_is_none() -> None:
    assert schedule.parse("  ") == {}


def test_pipeline_has_one_open_run(pipeline: Pipeline) -> None:
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    with pytest.raises(RunInProgress):
        pipelines.request_run(pipeline, Trigger.COMMAND)
    assert pipelines.open_run(pipeline) == run
    PipelineRun.objects.update(status=RunStatus.SUCCEEDED)
    assert pipelines.open_run(pipeline) is None
    pipelines.request_run(pipeline, Trigger.COMMAND)


def test_paused_pipeline_does_not_run(pipeline: Pipeline) -> None:
    pipelines.update(pipeline, {"is_active": False})
    with pytest.raises(PipelinePaused):
        pipelines.request_run(pipeline, Trigger.COMMAND)


def test_connection_of_a_pipeline_cannot_be_deleted(pipeline: Pipeline) -> None:
    from warehouse import connections

    with pytest.raises(ConnectionInUse):
        connections.delete(pipeline.source)
    assert WarehouseConnection.all_teams.filter(pk=pipeline.source_id).exists()


@pytest.mark.django_db(transaction=True)
def test_scheduled_run_is_queued_once_with_nothing_but_its_id(
    pipeline: Pipeline, settings: Any
) -> None:
    broker_messages(settings.CELERY_BROKER_URL)
    tasks.start_scheduled(str(pipeline.pk))
    tasks.start_scheduled(str(pipeline.pk))
    run = pipeline.runs.get()
    assert run.trigger == Trigger.SCHEDULE
    assert broker_messages(settings.CELERY_BROKER_URL) == [
        {"task": "etl.execute_run", "kwargs": {"run_id": str(run.pk)}}
    ]


def test_schedule_of_a_deleted_pipeline_does_nothing(db: None) -> None:
    tasks.start_scheduled("00000000-0000-0000-0000-000000000000")
    assert not PipelineRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_do_not_undo_each_other(pipeline: Pipeline) -> None:
    one, other = (Pipeline.all_teams.get(pk=pipeline.pk) for _ in range(2))
    pipelines.update(one, {"schedule": "1 2 3 4 5"})
    pipelines.update(other, {"stage": "ANOTHER"})
    now = Pipeline.all_teams.get(pk=pipeline.pk)
    assert (now.schedule, now.stage) == ("1 2 3 4 5", "ANOTHER")


def test_change_does_not_bring_a_deleted_pipeline_back(pipeline: Pipeline) -> None:
    stale = Pipeline.all_teams.get(pk=pipeline.pk)
    pipelines.delete(pipeline)
    with pytest.raises(Pipeline.DoesNotExist):
        pipelines.update(stale, {"name": "back"})
    assert not Pipeline.all_teams.exists()


def test_schedule_is_usable_though_beat_has_it_twice(pipeline: Pipeline) -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(minute="7", hour="7", timezone="UTC")
    pipelines.update(pipeline, {"schedule": "7 7 * * *"})
    assert PeriodicTask.objects.get(task="etl.start_scheduled").crontab.minute == "7"


def test_run_keeps_where_it_writes_to(pipeline: Pipeline) -> None:
    pipelines.request_run(pipeline, Trigger.COMMAND)
    with pytest.raises(RunInProgress):
        pipelines.update(pipeline, {"destination_schema": "OTHER"})
    assert pipelines.update(pipeline, {"name": "renamed"}).name == "renamed"


def test_ledger_of_loads_is_no_target(pipeline: Pipeline) -> None:
    with pytest.raises(InvalidInput) as caught:
        pipelines.update(pipeline, {}, [TableSpec("public", "records", "WAREHOUSE_LOADS")])
    assert "name another destination_table" in caught.value.fields["tables"]


def test_target_in_another_case_is_the_same_one_where_names_are_folded(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = TableSpec("public", "records", "Other")
    pipelines.create(draft(pipeline), [mixed])
    monkeypatch.setattr(Snowflake, "folds_targets", Redshift.folds_targets)
    schema = pipeline.destination_schema.swapcase()
    for tables, said in (
        ([TableSpec("public", "a", "OTHER")], "Another pipeline loads Other."),
        ([TableSpec("public", "a", "x"), TableSpec("public", "b", "X")], "would go into X, x."),
    ):
        with pytest.raises(InvalidInput) as caught:
            pipelines.create(draft(pipeline, name="third", destination_schema=schema), tables)
        assert said in caught.value.fields["tables"]


@pytest.mark.django_db(transaction=True)
def test_of_two_pipelines_saved_at_once_one_gets_the_target(pipeline: Pipeline) -> None:
    refused: list[str] = []
    other = draft(pipeline, name="third")

    def save() -> None:
        try:
            pipelines.create(other, [RECORDS])
        except InvalidInput as exc:
            refused.append(exc.fields["tables"])
        finally:
            database.close()

    saving = threading.Thread(target=save)
    with transaction.atomic():
        pipelines.create(draft(pipeline), [RECORDS])
        saving.start()
        saving.join(1)
    saving.join()
    assert refused == ["Another pipeline loads RECORDS."]
