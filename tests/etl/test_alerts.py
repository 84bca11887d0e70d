"""Who is told of what: once an incident, at least once a channel, and nothing of the data."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from etl import incidents, lease, pipelines, steering, tasks
from etl.models import (
    AlertChannel,
    AlertDelivery,
    Incident,
    Pipeline,
    PipelineRun,
    PipelineTable,
    RunStatus,
    Trigger,
)
from tests.etl.alerting import execute, fail, make, newest, raised
from tests.etl.compare import Vault
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


def test_failure_is_told_once_until_the_pipeline_has_recovered(
    channel: AlertChannel, start: Start
) -> None:
    for _ in range(3):
        run = execute(start())
        assert (run.status, run.error_code) == (RunStatus.FAILED, "object_not_found")
    assert raised() == ["failed"]
    told = newest()
    assert told["subject"] == "nightly: failed"
    assert told["data"]["code"] == "object_not_found"
    assert told["data"]["tables"] == [{"table": "public.records", "step": "waiting"}]
    steering.retry(run)
    assert raised() == ["failed"]
    steering.cancel(run)
    assert raised() == ["failed"]


def test_recovery_is_told_once_and_the_next_failure_again(
    channel: AlertChannel, records: Add, start: Start
) -> None:
    fail(start())
    assert raised() == ["failed"]
    records(5)
    execute(start())
    assert raised() == ["failed", "recovered"]
    assert newest()["data"]["recovered_from"] == "failed"
    execute(start())
    fail(start())
    assert raised() == ["failed", "recovered", "failed"]


def test_run_that_is_queued_again_is_no_failure_yet(
    channel: AlertChannel, records: Add, start: Start, settings: Any
) -> None:
    records(1)
    settings.STAGE_S3_BUCKET = "no-such-bucket"
    run = start()
    for attempt in range(1, lease.MAX_ATTEMPTS + 1):
        assert execute(run).attempt == attempt
        assert raised() == (["failed"] if attempt == lease.MAX_ATTEMPTS else [])


def test_lost_and_parked_run_is_told(channel: AlertChannel, start: Start) -> None:
    run = start()
    for _ in range(lease.MAX_ATTEMPTS):
        assert lease.claim(run.pk) is not None
        PipelineRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    tasks.recover_runs()
    assert raised() == ["failed"]
    assert newest()["data"]["code"] == "run_abandoned"


def test_pause_and_cancel_are_told_to_nobody(
    channel: AlertChannel, start: Start, pipeline: Pipeline
) -> None:
    run = start()
    steering.pause(pipeline)
    assert raised() == []
    steering.cancel(run)
    assert raised() == []


def test_staleness_is_told_once_until_it_is_over(
    channel: AlertChannel, records: Add, start: Start, pipeline: Pipeline
) -> None:
    pipelines.update(pipeline, {"stale_after_minutes": 30})
    assert raised() == []
    long_ago = timezone.now() - timedelta(hours=1)
    Pipeline.all_teams.update(updated_at=long_ago)
    assert raised() == ["stale"]
    assert newest()["data"]["tables"] == [{"table": "public.records", "as_of": None, "lag_s": None}]
    records(1)
    execute(start())
    assert raised() == ["stale", "recovered"]
    assert newest()["data"]["recovered_from"] == "stale"
    PipelineTable.objects.update(as_of=long_ago)
    assert raised() == ["stale", "recovered", "stale"]
    pipelines.update(pipeline, {"stale_after_minutes": None})
    assert raised()[-1] == "recovered"


def test_drift_is_told_by_column_and_not_again_while_it_lasts(
    channel: AlertChannel, records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    pipelines.update(pipeline, {"contract": "quarantine"})
    records(5)
    execute(start())
    vault.execute("ALTER TABLE records ADD extra int")
    for _ in range(2):
        assert execute(start()).status == RunStatus.SUCCEEDED
    assert raised() == ["drift"]
    assert [one["column"].lower() for one in newest()["data"]["columns"]] == ["extra"]
    vault.execute("ALTER TABLE records ADD more int")
    execute(start())
    assert raised() == ["drift", "drift"]
    pipelines.update(pipeline, {"contract": "freeze"})
    execute(start())
    assert raised() == ["drift", "drift", "failed"]


def test_quarantine_is_told_by_count_column_and_reason_and_never_by_value(
    channel: AlertChannel, records: Add, start: Start, vault: Vault, pipeline: Pipeline
) -> None:
    records(5)
    vault.execute("UPDATE records SET amount = 'NaN' WHERE key::int < 3")
    assert execute(start()).error_code == "quarantine_full"
    assert raised() == ["failed", "quarantine"]
    pipelines.update(pipeline, {"quarantine_limit": 10})
    execute(start())
    assert raised() == ["failed", "quarantine", "recovered"]
    Incident.objects.all().delete()
    AlertDelivery.objects.all().delete()
    vault.execute("UPDATE records SET metadata = '{}' WHERE key::int < 3")
    execute(start())
    assert raised() == ["quarantine"]
    (value,) = newest()["data"]["values"]
    assert value == {
        "table": "public.records",
        "column": "amount",
        "reason": "not_a_number",
        "count": 2,
    }
    said = json.dumps([one.content for one in AlertDelivery.objects.all()])
    assert "NaN" not in said
    assert "tenant" not in said


def test_text_of_an_error_stays_here(channel: AlertChannel, start: Start) -> None:
    fail(start())
    assert raised() == ["failed"]
    assert "secret-value" not in json.dumps(newest())
    assert "connection to the warehouse was lost" in newest()["text"]


def test_channel_hears_of_its_events_and_pipelines_only(
    team: Team, other_team: Team, start: Start, pipeline: Pipeline
) -> None:
    other = Pipeline.all_teams.get(pk=pipeline.pk)
    other.pk, other.name = None, "other"
    other._state.adding = True
    other.save()
    heard = {
        "all": make(team, "a@example.com", name="all"),
        "this": make(team, "b@example.com", name="this", pipelines=[pipeline.pk]),
        "that": make(team, "c@example.com", name="that", pipelines=[other.pk]),
        "stale": make(team, "d@example.com", name="stale", events=["stale"]),
        "off": make(team, "e@example.com", name="off", is_active=False),
        "theirs": make(other_team, "f@example.com", name="theirs"),
    }
    fail(start())
    incidents.look()
    assert {name for name, one in heard.items() if one.deliveries.exists()} == {"all", "this"}
    pipelines.delete(other)
    heard["that"].refresh_from_db()
    assert not heard["that"].every_pipeline


def test_trigger_of_a_run_does_not_matter(channel: AlertChannel, pipeline: Pipeline) -> None:
    fail(pipelines.request_run(pipeline, Trigger.SCHEDULE))
    assert raised() == ["failed"]
