"""Celery tasks. Arguments are ids; what a task finds in the database decides what it does."""

from datetime import timedelta
from uuid import UUID

import structlog
from celery import shared_task
from django.db.models import Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from connectors.errors import ConnectorError
from connectors.filling import FillTarget
from etl import changes, lease, reader, runner, stored
from etl.errors import PipelinePaused, RunInProgress, StageFailed
from etl.models import Pipeline, PipelineRun, RunStatus, Trigger
from etl.stage import Stage
from warehouse.models import RefreshTrigger, View, ViewRefresh, WarehouseConnection
from warehouse.views import target

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 10
FORGOTTEN_AFTER_S = 300
TIDY_AGAIN_S = 60


def retry_delay_s(attempt: int) -> int:
    """How long to wait before the next attempt: 20 s, then 40 s."""
    return int(RETRY_AFTER_S * 2**attempt)


def forgotten_since() -> CombinedExpression:
    """Whatever was due before that has lost its message."""
    since: CombinedExpression = Now() - timedelta(seconds=FORGOTTEN_AFTER_S)
    return since


def enqueue(run: PipelineRun, countdown_s: int = 0) -> None:
    """Tell the workers of a queued run; telling them twice does no harm."""
    PipelineRun.objects.filter(pk=run.pk).update(next_try_at=Now() + timedelta(seconds=countdown_s))
    execute_run.apply_async(kwargs={"run_id": str(run.pk)}, countdown=countdown_s)


@shared_task(name="etl.execute_run")
def execute_run(run_id: str) -> None:
    """Bring a run to its end, unless another worker has it."""
    run = runner.execute(run_id, call=call_readers)
    if run is not None and run.status == RunStatus.QUEUED:
        enqueue(run, countdown_s=retry_delay_s(run.attempt))


def call_readers(run: PipelineRun) -> None:
    """Ask other workers to read beside the runner, who can do without them."""
    try:
        for _ in range(run.pipeline.max_source_load - 1):
            read_chunks.delay(run_id=str(run.pk))
    except OperationalError:
        log.warning("readers.not_called", run_id=str(run.pk))


@shared_task(name="etl.read_chunks")
def read_chunks(run_id: str) -> None:
    """Read chunks of a run that another worker leads, while there are any."""
    reader.help_out(run_id)


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
    forgotten = Q(status=RunStatus.QUEUED, next_try_at__lt=forgotten_since())
    lost = PipelineRun.objects.filter(lease.stale() | forgotten, attempt__lt=lease.MAX_ATTEMPTS)
    for run in lost:
        enqueue(run)


def enqueue_refresh(refresh: ViewRefresh, countdown_s: int = 0) -> None:
    """Tell the workers of a view's refresh; telling them twice does no harm."""
    due = Now() + timedelta(seconds=countdown_s)
    ViewRefresh.all_teams.filter(pk=refresh.pk).update(next_try_at=due)
    refresh_view.apply_async(kwargs={"refresh_id": str(refresh.pk)}, countdown=countdown_s)


@shared_task(name="etl.refresh_view")
def refresh_view(refresh_id: str) -> None:
    """Bring a view's refresh to its end, unless another worker has it."""
    from etl import views

    views.execute(refresh_id)


@shared_task(name="etl.start_scheduled_view")
def start_scheduled_view(view_id: str) -> None:
    """Queue a refresh of a view whose time has come."""
    from etl import views

    view = View.all_teams.filter(pk=view_id, is_materialized=True).first()
    if view is not None:
        views.request(view, RefreshTrigger.SCHEDULE)


@shared_task(name="etl.recover_views")
def recover_views() -> None:
    """Hand refreshes without a worker, or whose message was lost, to the workers again."""
    from etl import views

    views.recover()


@shared_task(name="etl.look_at_logs")
def look_at_logs() -> None:
    """See to it that no source keeps its log for us without end."""
    changes.look()


@shared_task(name="etl.watch_pipelines")
def watch_pipelines() -> None:
    """See which pipelines need somebody, and have those told who want to know."""
    from etl import delivery, incidents

    incidents.look()
    for pk, attempt in delivery.hand_out():
        deliver_alert.delay(delivery_id=str(pk), attempt=attempt)


@shared_task(name="etl.deliver_alert")
def deliver_alert(delivery_id: str, attempt: int) -> None:
    """Send one alert to one channel."""
    from etl import delivery

    delivery.send(delivery_id, attempt)


@shared_task(name="etl.tidy_store")
def tidy_store(team_id: str) -> None:
    """Drop tables of a team's store that no pipeline and no view fills, once the store is there."""
    try:
        stored.tidy(team_id)
    except ConnectorError as exc:
        log.warning("store.not_tidied", team=team_id, code=exc.code)
        if exc.retryable:
            tidy_store.apply_async(kwargs={"team_id": team_id}, countdown=TIDY_AGAIN_S)


@shared_task(name="etl.clear_target")
def clear_target(connection_id: str, view_id: str, schema: str, table: str, fence: int) -> None:
    """Drop what refreshes of a view, up to the fence, have left aside in a warehouse that keeps it
    no longer, once that is there."""
    connection = WarehouseConnection.all_teams.filter(pk=connection_id).first()
    if connection is None:
        return
    try:
        target.clear(connection, FillTarget(schema, table, UUID(view_id), fence))
    except ConnectorError as exc:
        log.warning("target.not_cleared", connection=connection_id, view=view_id, code=exc.code)
        if exc.retryable:
            given = {"schema": schema, "table": table, "fence": fence}
            ids = {"connection_id": connection_id, "view_id": view_id}
            clear_target.apply_async(kwargs=ids | given, countdown=TIDY_AGAIN_S)


@shared_task(name="etl.remove_staged")
def remove_staged(team_id: str, pipeline_id: str) -> None:
    """Remove what a deleted pipeline has left in the bucket."""
    try:
        Stage(team_id).remove(pipeline_id)
    except StageFailed:
        log.warning("stage.not_cleaned", pipeline=pipeline_id)
