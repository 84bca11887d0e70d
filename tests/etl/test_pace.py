"""A run reads no faster than its pipeline lets it."""

import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from rest_framework.test import APIClient

from etl import pipelines, runner
from etl.models import Pipeline, PipelineRun, RunStatus
from etl.pace import paced
from warehouse.models import Team

KB = 1024
SECONDS = 0.5


def batches(count: int, size: int) -> Iterator[pa.RecordBatch]:
    values = pa.array([0] * size, pa.uint8())
    for _ in range(count):
        yield pa.record_batch({"v": values})


def took(batches: Iterator[pa.RecordBatch], bytes_per_s: float | None) -> float:
    started = time.monotonic()
    assert sum(batch.num_rows for batch in paced(batches, bytes_per_s, lambda: None)) == 8 * KB
    return time.monotonic() - started


def test_batches_come_at_no_more_than_the_rate():
    assert took(batches(8, KB), 8 * KB / SECONDS) >= SECONDS


def test_time_in_which_nothing_was_asked_for_is_not_made_up_for():
    def late() -> Iterator[pa.RecordBatch]:
        time.sleep(SECONDS)
        yield from batches(8, KB)

    assert took(late(), 8 * KB / SECONDS) >= 1.5 * SECONDS


def test_without_a_rate_nothing_waits():
    assert took(batches(8, KB), None) < SECONDS


def test_a_pause_ends_when_the_reading_must():
    def over() -> None:
        raise InterruptedError

    slowly = paced(batches(2, KB), 1, over)
    next(slowly)
    with pytest.raises(InterruptedError):
        next(slowly)


@pytest.mark.django_db(transaction=True)
def test_run_takes_as_long_as_its_rows_at_that_rate(
    pipeline: Pipeline, records: Callable[[int], None], start: Callable[[], PipelineRun]
) -> None:
    records(4_000)
    began = time.monotonic()
    assert _succeeded(start()).rows == 4_000
    unbounded = time.monotonic() - began
    pipelines.update(pipeline, {"max_source_mb_s": "0.1"})
    pipeline.tables.update(watermark=None)
    began = time.monotonic()
    assert _succeeded(start()).rows == 4_000
    assert time.monotonic() - began > max(unbounded, 2)


@pytest.mark.django_db(transaction=True)
def test_rate_is_shown_and_set_over_the_api(
    pipeline: Pipeline, alice: APIClient, team: Team
) -> None:
    url = f"/api/environments/{team.pk}/pipelines/{pipeline.pk}/"
    assert alice.get(url).json()["max_source_mb_s"] is None
    changed = alice.patch(url, {"max_source_mb_s": 2.5}, format="json")
    assert changed.json()["max_source_mb_s"] == "2.5"
    assert alice.patch(url, {"max_source_mb_s": None}, format="json").status_code == 200
    for bad in (0, -1, "NaN", "inf", "fast", 0.05, 1e9):
        refused = alice.patch(url, {"max_source_mb_s": bad}, format="json")
        assert refused.status_code == 400
        assert "max_source_mb_s" in refused.json()["fields"]


def _succeeded(run: PipelineRun):
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    return ended.tables.get()
