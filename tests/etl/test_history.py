"""How far a run is, what it took and cost, and how far a target is behind its source."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient

from etl import mover, pipelines, runner
from etl.management.figures import size, span
from etl.models import Pipeline, PipelineRun, PipelineTable, RunStatus, Step, TableRun
from etl.models.run import Totals
from tests.etl.compare import Vault
from tests.etl.failing import failing
from warehouse import connections
from warehouse.models import Team

ROWS = 10_000

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


@pytest.fixture
def url(team: Team, pipeline: Pipeline) -> str:
    return f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"


def execute(run: PipelineRun) -> PipelineRun:
    ended = runner.execute(run.pk)
    assert ended is not None
    return ended


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("pipelines", *arguments, stdout=out)
    return out.getvalue()


# Progress


def test_run_under_way_shows_how_far_and_how_fast_it_is(
    alice: APIClient,
    url: str,
    records: Add,
    vault: Vault,
    start: Start,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.PIPELINE_CHUNK_MB = 0.15
    monkeypatch.setattr(mover, "SHOW_EVERY_S", 0)
    records(ROWS)
    vault.execute("ANALYZE records")
    run, seen = start(), []
    assert alice.get(f"{url}runs/{run.pk}/").json()["totals"] == {
        "rows": 0,
        "bytes_staged": 0,
        "chunks": 0,
        "chunks_staged": 0,
        "rows_per_s": None,
        "eta_s": None,
        "cost": None,
    }
    ended = runner.execute(run.pk, lambda _: seen.append(alice.get(f"{url}runs/{run.pk}/").json()))
    assert ended is not None
    going = [one["totals"] for one in seen if one["tables"][0]["step"] == "extracting"]
    begun = [totals for totals in going if 0 < totals["chunks_staged"] < totals["chunks"]]
    assert len(begun) >= 3
    assert all(totals["rows_per_s"] > 0 and totals["eta_s"] >= 0 for totals in begun)
    assert [t["rows"] for t in begun] == sorted(t["rows"] for t in begun)
    last = alice.get(f"{url}runs/{run.pk}/").json()
    assert (last["totals"]["rows"], last["totals"]["eta_s"]) == (ROWS, None)
    assert last["tables"][0]["chunks_staged"] == last["tables"][0]["chunks"]


@pytest.mark.parametrize(
    ("table", "eta"),
    [
        ({"step": Step.WAITING}, None),
        ({}, None),
        ({"extract_s": 2.0}, None),
        ({"extract_s": 2.0, "rows": 50, "chunks": 1}, None),
        ({"extract_s": 2.0, "rows": 50, "rows_expected": 100, "chunks": 1}, 2.0),
        ({"extract_s": 2.0, "rows": 100, "rows_expected": 100, "chunks": 1}, 0.0),
        ({"extract_s": 2.0, "rows": 101, "rows_expected": 100, "chunks": 1}, None),
        ({"extract_s": 2.0, "rows": 5, "chunks": 10, "chunks_staged": 4}, 3.0),
        ({"extract_s": 2.0, "rows": 50, "rows_expected": 100, "step": Step.LOADING}, None),
    ],
)
def test_end_is_unknown_rather_than_wrong(table: dict[str, Any], eta: float | None) -> None:
    one = TableRun(**{"step": Step.EXTRACTING, **table})
    assert one.eta_s == eta
    assert Totals.of([one, TableRun(step=Step.WAITING)]).eta_s is None
    assert Totals.of([one, TableRun(step=Step.DONE)]).eta_s == eta


# History


def test_run_says_what_each_step_took_and_cost(
    alice: APIClient, url: str, records: Add, start: Start, pipeline: Pipeline
) -> None:
    records(1_000)
    execute(start())
    shown = alice.get(f"{url}runs/").json()["results"][0]
    table = shown["tables"][0]
    assert 0 < table["extract_s"] < shown["duration_s"]
    assert 0 < table["load_s"] < shown["duration_s"]
    assert (shown["attempts"], table["bytes_staged"] > 0) == (1, True)
    cost = table["cost"]
    hour = Decimal("2.00") / 3600
    assert abs(Decimal(cost["low"]) - Decimal(table["load_s"]) * hour) < Decimal("0.000002")
    # A minute at least, at the highest list price.
    assert Decimal(cost["high"]) >= Decimal("4.00") / 60 - Decimal("0.000001")
    assert (cost["currency"], cost["basis"]) == ("USD", "rough")
    assert shown["totals"]["cost"] == cost


def test_cost_is_by_the_teams_own_prices(records: Add, start: Start, pipeline: Pipeline) -> None:
    own = {
        "per_credit_low": "360",
        "per_credit_high": "360",
        "currency": "EUR",
        "credits_per_hour": 10,
    }
    connections.update(pipeline.destination, {"config": {"prices": own}})
    records(10)
    table = execute(start()).tables.get()
    assert table.cost is not None
    assert table.cost["currency"] == "EUR"
    assert abs(Decimal(table.cost["low"]) - Decimal(table.load_s or 0)) < Decimal("0.000002")


def test_attempts_add_up(records: Add, start: Start) -> None:
    records(1_000)
    run = start()
    with failing("before MERGE", "error"):
        first = execute(run).tables.get()
    assert first.load_s is not None
    assert first.cost is not None
    last = execute(run)
    table = last.tables.get()
    assert (last.status, last.attempts) == (RunStatus.SUCCEEDED, 2)
    assert (table.load_s or 0) > first.load_s
    assert Decimal((table.cost or {})["low"]) > Decimal(first.cost["low"])
    assert table.extract_s == first.extract_s


def test_cost_that_is_unknown_in_part_is_unknown() -> None:
    known = {"low": "1.5", "high": "2.5", "currency": "USD", "basis": "rough"}
    loaded = TableRun(load_s=1.0, cost=known)
    assert Totals.of([]).cost is None
    assert Totals.of([TableRun()]).cost is None
    assert Totals.of([loaded, loaded, TableRun()]).cost == known | {"low": "3.0", "high": "5.0"}
    assert Totals.of([loaded, TableRun(load_s=1.0)]).cost is None
    assert Totals.of([loaded, TableRun(load_s=1.0, cost=known | {"currency": "EUR"})]).cost is None


# Lag


def test_table_is_as_of_a_moment_before_its_snapshot(
    alice: APIClient, url: str, records: Add, start: Start, pipeline: Pipeline
) -> None:
    records(10)
    shown = alice.get(url).json()["tables"][0]
    assert (shown["as_of"], shown["lag_s"]) == (None, None)
    before = timezone.now()
    run = start()
    with failing("before the state", "error"):
        execute(run)
    assert pipeline.tables.get().as_of is None
    records(5)
    middle = timezone.now()
    execute(run)
    as_of = pipeline.tables.get().as_of
    assert as_of is not None
    assert before - timedelta(seconds=1) < as_of < middle, "of the snapshot, not of the load"
    shown = alice.get(url).json()["tables"][0]
    assert shown["as_of"].endswith("Z")
    assert 0 < shown["lag_s"] < 60
    execute(start())
    assert (pipeline.tables.get().as_of or before) > middle
    pipelines.update(pipeline, {"destination_schema": "OTHER"})
    assert pipeline.tables.get().as_of is None


def test_pipeline_is_stale_when_a_table_is_older_than_it_may_be(
    alice: APIClient, url: str, pipeline: Pipeline
) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Pipeline.all_teams.update(updated_at=long_ago)
    assert alice.get(url).json()["is_stale"] is False
    answer = alice.patch(url, {"stale_after_minutes": 30}).json()
    assert (answer["stale_after_minutes"], answer["is_stale"]) == (30, False)
    Pipeline.all_teams.update(updated_at=long_ago)
    assert alice.get(url).json()["is_stale"] is True
    PipelineTable.objects.update(as_of=timezone.now())
    assert alice.get(url).json()["is_stale"] is False
    PipelineTable.objects.update(as_of=long_ago)
    assert alice.get(url).json()["is_stale"] is True
    assert alice.patch(url, {"stale_after_minutes": None}).json()["is_stale"] is False
    for bad in (0, -1, "soon", 10**9):
        answer = alice.patch(url, {"stale_after_minutes": bad})
        assert list(answer.json()["fields"]) == ["stale_after_minutes"]


# The log


def test_log_tells_each_step_with_fields_and_nothing_of_the_rows(
    records: Add, vault: Vault, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    records(20)
    vault.execute("UPDATE records SET tenant = 'a-value-of-a-row' WHERE key = '1'")
    caplog.set_level("DEBUG", logger="etl")
    run = execute(start())
    events = [record.msg for record in caplog.records if record.name.startswith("etl.")]
    names = ["run.started", "chunk.staged", "table.staged", "table.loaded", "run.finished"]
    assert [event["event"] for event in events] == names
    assert {event["run_id"] for event in events} == {str(run.pk)}
    assert [event["rows"] for event in events[1:4]] == [20, 20, 20]
    assert all(event["table"] == "public.records" for event in events[1:4])
    assert events[0]["pipeline"] == events[-1]["pipeline"] == str(run.pipeline_id)
    text = str(events)
    assert "a-value-of-a-row" not in text
    assert "SELECT" not in text.upper()


# By command


def test_command_lists_pipelines_and_the_runs_of_one(
    pipeline: Pipeline, records: Add, start: Start
) -> None:
    head, line = printed().splitlines()
    assert head.split()[:3] == ["pipeline", "state", "lag"]
    assert line.split() == ["nightly", "new", "?"]
    records(1_234)
    execute(start())
    pipelines.update(pipeline, {"is_active": False})
    head, line = printed().splitlines()
    assert "paused" in line
    assert "1,234" in line
    assert line.index("paused") == head.index("state")
    head, line = printed("nightly").splitlines()
    assert "public.records" in line
    assert "USD (rough)" in line
    assert line.index("1,234") + len("1,234") > head.index("rows")


def test_command_prints_json(pipeline: Pipeline, records: Add, start: Start, team: Team) -> None:
    (found,) = json.loads(printed("--json"))
    assert (found["state"], found["lag_s"], found["last_run"]) == ("new", None, None)
    records(7)
    execute(start())
    (found,) = json.loads(printed("--json", "--team", str(team.pk)))
    assert (found["state"], found["last_run"]["rows"]) == ("fine", 7)
    assert 0 < found["lag_s"] < 60
    (run,) = json.loads(printed("nightly", "--json"))
    assert run["tables"][0]["cost"]["basis"] == "rough"
    assert run["duration_s"] > run["tables"][0]["load_s"] > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0, "0 s"), (59.4, "59 s"), (187, "3:07 min"), (18_725, "5:12 h"), (3e5, "3 d")],
)
def test_spans_are_short(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2 * 10**12, "2.0 TB")]
)
def test_sizes_have_a_unit(count: int, text: str) -> None:
    assert size(count) == text
