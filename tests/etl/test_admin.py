"""The admin of pipelines: forms, actions, runs."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_celery_beat.models import PeriodicTask

from etl import lease, pipelines
from etl.models import Pipeline, PipelineRun, RunStatus, Trigger

pytestmark = pytest.mark.django_db

LIST = "/admin/etl/pipeline/"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="not-a-real-password"))
    return client


def act(admin: Client, action: str, pipeline: Pipeline) -> str:
    """Do an action to a pipeline; the page with what it said."""
    chosen = {"action": action, "_selected_action": [str(pipeline.pk)]}
    return admin.post(LIST, chosen, follow=True).content.decode()


def form_of(pipeline: Pipeline, **changes: Any) -> dict[str, Any]:
    """What the browser sends for the pipeline's page."""
    table = pipeline.tables.get()
    fields = {
        "team": pipeline.team_id,
        "name": pipeline.name,
        "source": pipeline.source_id,
        "destination": pipeline.destination_id,
        "destination_schema": pipeline.destination_schema,
        "stage": pipeline.stage,
        "contract": pipeline.contract,
        "schedule": pipeline.schedule,
        "quarantine_limit": 0,
        "is_active": "on",
        "max_source_load": 2,
        "tables-TOTAL_FORMS": 1,
        "tables-INITIAL_FORMS": 1,
        "tables-0-id": table.pk,
        "tables-0-pipeline": pipeline.pk,
        "tables-0-source_schema": table.source_schema,
        "tables-0-source_table": table.source_table,
        "tables-0-destination_table": table.destination_table,
    }
    return {**fields, **changes}


def test_stage_that_the_destination_cannot_use_is_said(admin: Client, pipeline: Pipeline) -> None:
    answer = admin.post(f"{LIST}{pipeline.pk}/change/", form_of(pipeline, stage=""))
    assert "Name the external stage" in answer.content.decode()


def test_change_of_the_schedule_reaches_beat(admin: Client, pipeline: Pipeline) -> None:
    page = f"{LIST}{pipeline.pk}/change/"
    assert admin.get(page).status_code == 200
    assert admin.post(page, form_of(pipeline, schedule="5 4 * * *")).status_code == 302
    assert PeriodicTask.objects.get(task="etl.start_scheduled").crontab.hour == "4"


def test_schedule_that_is_none_is_said_and_not_saved(admin: Client, pipeline: Pipeline) -> None:
    answer = admin.post(f"{LIST}{pipeline.pk}/change/", form_of(pipeline, schedule="nightly"))
    assert answer.status_code == 200
    assert "five fields" in answer.content.decode()
    assert Pipeline.all_teams.get(pk=pipeline.pk).schedule == ""


def test_age_that_no_date_can_be_is_said_and_not_saved(admin: Client, pipeline: Pipeline) -> None:
    changed = form_of(pipeline, stale_after_minutes=2_000_000_000)
    answer = admin.post(f"{LIST}{pipeline.pk}/change/", changed)
    assert "less than or equal to 527040" in answer.content.decode()
    assert Pipeline.all_teams.get(pk=pipeline.pk).stale_after_minutes is None


def test_connection_of_another_team_is_said_and_not_saved(
    admin: Client, pipeline: Pipeline, other_team: Any
) -> None:
    pipeline.source.team = other_team
    pipeline.source.save()
    answer = admin.post(f"{LIST}{pipeline.pk}/change/", form_of(pipeline, name="renamed"))
    assert answer.status_code == 200
    assert Pipeline.all_teams.get(pk=pipeline.pk).name == "nightly"


def test_pause_resume_and_run(admin: Client, pipeline: Pipeline) -> None:
    assert "nightly: paused." in act(admin, "pause", pipeline)
    assert "This pipeline is paused." in act(admin, "run", pipeline)
    assert "nightly: resumed." in act(admin, "resume", pipeline)
    assert "nightly: queued." in act(admin, "run", pipeline)
    assert PipelineRun.objects.get().status == RunStatus.QUEUED
    assert "under way" in act(admin, "run", pipeline)


def test_runs_are_steered(admin: Client, pipeline: Pipeline) -> None:
    assert "nightly: queued." in act(admin, "refresh", pipeline)
    run = PipelineRun.objects.get()
    assert run.is_refresh
    act(admin, "pause", pipeline)
    assert PipelineRun.objects.get().status == RunStatus.PAUSED
    chosen = {"action": "cancel", "_selected_action": [str(run.pk)]}
    runs = "/admin/etl/pipelinerun/"
    assert "cancelled." in admin.post(runs, chosen, follow=True).content.decode()
    again = admin.post(runs, chosen | {"action": "retry"}, follow=True).content.decode()
    assert "This pipeline is paused." in again
    act(admin, "resume", pipeline)
    assert "queued." in admin.post(runs, chosen | {"action": "retry"}, follow=True).content.decode()
    assert PipelineRun.objects.get().status == RunStatus.QUEUED


def test_deleted_pipeline_takes_its_schedule_along(admin: Client, pipeline: Pipeline) -> None:
    pipelines.update(pipeline, {"schedule": "5 4 * * *"})
    admin.post(f"{LIST}{pipeline.pk}/delete/", {"post": "yes"})
    assert not Pipeline.all_teams.exists()
    assert not PeriodicTask.objects.filter(task="etl.start_scheduled").exists()


def test_runs_can_be_read_and_not_made(admin: Client, pipeline: Pipeline) -> None:
    run = pipelines.request_run(pipeline, Trigger.COMMAND)
    assert lease.claim(run.pk) is not None
    page = admin.get(f"/admin/etl/pipelinerun/{run.pk}/change/").content.decode()
    assert "public.records" in page
    assert admin.get("/admin/etl/pipelinerun/").status_code == 200
    assert admin.get("/admin/etl/pipelinerun/add/").status_code == 403


def table_form(number: int, **changes: Any) -> dict[str, Any]:
    """What the browser sends for one more table."""
    fields = {
        "source_schema": "public",
        "source_table": "events",
        "destination_table": "EVENTS",
        "mode": "xid",
        "cursor_column": "",
        "sweep_hours": 24,
        "deletes": "kept",
        "delete_limit_percent": 10,
    }
    return {f"tables-{number}-{name}": value for name, value in {**fields, **changes}.items()}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mode": "append"}, ""),
        ({"mode": "cursor", "cursor_column": "at", "deletes": "compared"}, ""),
        ({"mode": "cursor"}, "Mode cursor needs a cursor_column"),
        ({"mode": "full", "deletes": "compared"}, "Only modes xid and cursor compare deletes"),
        ({"delete_limit_percent": 101}, "less than or equal to 100"),
        ({"destination_table": "", "mode": "append"}, "This field is required"),
    ],
)
def test_table_is_judged_as_the_api_judges_it(
    admin: Client, pipeline: Pipeline, changes: dict[str, Any], sentence: str
) -> None:
    form = form_of(pipeline, **{"tables-TOTAL_FORMS": 2}) | table_form(1, **changes)
    answer = admin.post(f"{LIST}{pipeline.pk}/change/", form)
    if sentence:
        assert sentence in answer.content.decode()
        assert pipeline.tables.count() == 1
    else:
        assert answer.status_code == 302
        added = pipeline.tables.get(source_table="events")
        assert {name: getattr(added, name) for name in changes} == changes
