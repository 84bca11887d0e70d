"""What beat does about runs that nobody works on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from etl import lease, tasks
from etl.models import PipelineRun, RunStatus
from tests.etl.compare import broker_messages

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]


@pytest.fixture
def waiting(settings: Any) -> Callable[[], list[str]]:
    """Ids of the runs that wait in Redis, which are taken away."""
    broker_messages(settings.CELERY_BROKER_URL)
    return lambda: [m["kwargs"]["run_id"] for m in broker_messages(settings.CELERY_BROKER_URL)]


def age(run: PipelineRun, **fields: timedelta) -> None:
    PipelineRun.objects.filter(pk=run.pk).update(
        **{name: timezone.now() - by for name, by in fields.items()}
    )


def test_run_whose_worker_is_gone_is_handed_out_again(
    start: Start, waiting: Callable[[], list[str]]
) -> None:
    run = start()
    assert lease.claim(run.pk) is not None
    tasks.recover_runs()
    assert waiting() == []
    age(run, heartbeat_at=timedelta(minutes=1))
    tasks.recover_runs()
    assert waiting() == [str(run.pk)]


def test_run_whose_message_was_lost_is_handed_out_again(
    start: Start, waiting: Callable[[], list[str]]
) -> None:
    run = start()
    tasks.recover_runs()
    assert waiting() == []
    age(run, next_try_at=timedelta(minutes=6))
    tasks.recover_runs()
    assert waiting() == [str(run.pk)]


def test_run_that_used_its_tries_ends(start: Start, waiting: Callable[[], list[str]]) -> None:
    run = start()
    for _ in range(lease.MAX_ATTEMPTS):
        assert lease.claim(run.pk) is not None
        age(run, heartbeat_at=timedelta(minutes=1))
    tasks.recover_runs()
    assert waiting() == []
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED


def test_task_queues_a_run_again_when_what_failed_may_pass(
    start: Start, records: Any, settings: Any, waiting: Callable[[], list[str]]
) -> None:
    records(1)
    settings.STAGE_S3_BUCKET = "no-such-bucket"
    run = start()
    tasks.execute_run(str(run.pk))
    run.refresh_from_db()
    assert (run.status, run.error_code) == (RunStatus.QUEUED, "stage_failed")
    assert waiting() == [str(run.pk)]
