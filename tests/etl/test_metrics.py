"""What Prometheus is told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from etl import lease, pipelines, runner
from etl.models import Followed, Pipeline, PipelineRun, PipelineTable, RunStatus
from tests.etl.compare import Vault
from warehouse.models import Team

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "t" * 20

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
def scrape(client: Client, settings: Any) -> Callable[[], Samples]:
    """Values by name and labels, but for those every sample has."""
    settings.METRICS_TOKEN = TOKEN

    def ask() -> Samples:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        found: Samples = {}
        for family in text_string_to_metric_families(answer.content.decode()):
            assert family.documentation
            for sample in family.samples:
                labels = dict(sample.labels)
                who = (labels.pop("team"), labels.pop("pipeline"), *labels.values())
                found.setdefault(sample.name, {})[who] = sample.value
        return found

    return ask


def test_numbers_are_those_of_the_database(
    scrape: Callable[[], Samples],
    records: Add,
    vault: Vault,
    start: Start,
    pipeline: Pipeline,
    team: Team,
) -> None:
    who = (str(team.pk), str(pipeline.pk))
    before = scrape()
    assert all(not samples for samples in before.values())
    pipelines.update(pipeline, {"quarantine_limit": 5})
    records(100)
    vault.execute("UPDATE records SET amount = 'NaN' WHERE key::int < 3")
    runner.execute(start().pk)
    run = pipeline.runs.get()
    table = run.tables.get()
    assert run.status == RunStatus.SUCCEEDED
    found = scrape()
    assert found["pipeline_runs"] == {(*who, "succeeded"): 1}
    assert found["pipeline_rows_moved_total"] == {who: 100}
    assert found["pipeline_moved_bytes_total"] == {who: table.bytes_staged}
    assert found["pipeline_quarantined_values_total"] == {who: 2}
    assert found["pipeline_attempts_total"] == {who: 1}
    assert found["pipeline_open_leases"] == {who: 0}
    assert found["pipeline_last_run_duration_seconds"] == {who: pytest.approx(run.duration_s)}
    assert run.finished_at is not None
    at = found["pipeline_last_success_timestamp_seconds"][who]
    assert at == pytest.approx(run.finished_at.timestamp(), abs=0.01)
    assert 0 < found["pipeline_lag_seconds"][who] < 60
    assert "pipeline_retained_log_bytes" not in found


def test_lease_counts_while_its_worker_is_heard_of(
    scrape: Callable[[], Samples], start: Start, pipeline: Pipeline, team: Team
) -> None:
    who = (str(team.pk), str(pipeline.pk))
    assert lease.claim(start().pk) is not None
    found = scrape()
    assert found["pipeline_open_leases"] == {who: 1}
    assert found["pipeline_runs"] == {(*who, "running"): 1}
    assert "pipeline_last_success_timestamp_seconds" not in found
    PipelineRun.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert scrape()["pipeline_open_leases"] == {who: 0}


def test_unknown_is_left_out_and_never_zero(
    scrape: Callable[[], Samples], pipeline: Pipeline, team: Team
) -> None:
    who = (str(team.pk), str(pipeline.pk))
    table = pipeline.tables.get()
    follow = Followed(name="slot", connection=pipeline.source, table=table)
    follow.save()
    found = scrape()
    assert "pipeline_lag_seconds" not in found
    assert "pipeline_retained_log_bytes" not in found
    Followed.objects.update(retained_bytes=7)
    PipelineTable.objects.update(as_of=timezone.now() - timedelta(seconds=100))
    found = scrape()
    assert found["pipeline_retained_log_bytes"] == {who: 7}
    assert 100 <= found["pipeline_lag_seconds"][who] < 130
    PipelineTable.objects.create(
        pipeline=pipeline, source_schema="s", source_table="new", destination_table="NEW"
    )
    assert "pipeline_lag_seconds" not in scrape()


def test_names_are_not_told(client: Client, settings: Any, start: Start) -> None:
    settings.METRICS_TOKEN = TOKEN
    start()
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    assert "queued" in text
    for name in ("nightly", "Acme", "records"):
        assert name not in text


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"],
)
def test_wrong_token_is_refused(client: Client, settings: Any, header: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"Authorization": header})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_there_are_none_without_a_token(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    for header in ("", "Bearer ", f"Bearer {TOKEN}"):
        assert client.get("/metrics", headers={"Authorization": header}).status_code == 404


def test_metrics_are_read_only(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post("/metrics", headers=headers).status_code == 405
