"""Celery tasks. Arguments are ids; what a task finds in the database decides what it does."""

from datetime import timedelta

from celery import shared_task
from django.db import models
from django.utils import timezone

from etl import lease, runner
from etl.errors import PipelinePaused, RunInProgress
from etl.models import Pipeline, PipelineRun, RunStatus, Trigger

RETRY_AFTER_S = 10
RECOVER_EVERY_S = 10


def enqueue(run: PipelineRun, countdown_s: float = 0) -> None:
    """Tell the workers of a queued run; telling them twice does no harm."""
    execute_run.apply_async(kwargs={"run_id": str(run.pk)}, countdown=countdown_s)


@shared_task(name="etl.execute_run")
def execute_run(run_id: str) -> None:
    """Bring a run to its end, unless another worker has it."""
    run = runner.execute(run_id)
    if run is not None and run.status == RunStatus.QUEUED:
        enqueue(run, countdown_s=RETRY_AFTER_S * 2**run.attempt)


@shared_task(name="etl.start_scheduled")
def start_scheduled(pipeline_id: str) -> None:
    """Queue a run of a pipeline whose time has come; one that still runs is left alone."""
    from etl import pipelines

    pipeline = Pipeline.all_teams.filter(pk=pipeline_id).first()
    if pipeline is None:
        return
    try:
        pipelines.request_run(pipeline, Trigger.SCHEDULE)
    except (PipelinePaused, RunInProgress):
        return


@shared_task(name="etl.recover_runs")
def recover_runs() -> None:
    """Hand runs without a worker, or whose message was lost, to the workers again."""
    lease.give_up_lost()
    lost = models.Q(status=RunStatus.RUNNING, heartbeat_at__lt=lease.stale_since())
    forgotten = models.Q(
        status=RunStatus.QUEUED,
        created_at__lt=timezone.now() - timedelta(minutes=5),
    )
    for run in PipelineRun.objects.filter(lost | forgotten, attempt__lt=lease.MAX_ATTEMPTS):
        enqueue(run)
