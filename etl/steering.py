"""What people do about a pipeline and its runs: pause, resume, refresh, retry, cancel."""

from collections.abc import Sequence
from functools import partial

import structlog
from django.db import transaction

from connectors.errors import InvalidInput
from etl import lease, pipelines, tasks
from etl.errors import (
    PipelinePaused,
    RunCancelled,
    RunEnded,
    RunNotFailed,
    RunSuperseded,
)
from etl.models import AT_WORK, Pipeline, PipelineRun, RunStatus, Trigger

log = structlog.get_logger(__name__)


def pause(pipeline: Pipeline) -> Pipeline:
    """No run starts, and one that is under way stops within seconds and keeps what is staged.

    Harmless when repeated, as is ``resume``. Both raise Pipeline.DoesNotExist.
    """
    return pipelines.update(pipeline, {"is_active": False})


def resume(pipeline: Pipeline) -> Pipeline:
    """Runs start again; one that was paused goes on from what is staged."""
    return pipelines.update(pipeline, {"is_active": True})


def refresh(pipeline: Pipeline, trigger: Trigger, names: Sequence[str] = ()) -> PipelineRun:
    """Queue a run that reads tables whole, and puts their rows in place of those in the target.

    ``names`` are of the form schema.table; none means every table. Raises InvalidInput for one
    that the pipeline has not, PipelinePaused, and RunInProgress while a run is open.
    """
    tables = {str(table): table for table in pipeline.tables.all()}
    if unknown := [name for name in names if name not in tables]:
        said = f"The pipeline has no {', '.join(unknown)}."
        raise InvalidInput("Such a table cannot be refreshed.", fields={"tables": said})
    wanted = [table for name, table in tables.items() if name in names or not names]
    return pipelines.request_run(pipeline, trigger, refresh=wanted)


def retry(run: PipelineRun, *, tell_workers: bool = True) -> PipelineRun:
    """Queue a failed run again: attempts start anew, what is staged is used.

    One that waits or runs already is left as it is. Raises PipelinePaused, RunNotFailed, and
    RunSuperseded when a later run, or a change of the pipeline, has taken its place.
    """
    lease.give_up_lost(run.pipeline_id)
    with transaction.atomic():
        pipeline = pipelines.locked(run.pipeline)
        run = pipeline.runs.get(pk=run.pk)
        if not pipeline.is_active:
            raise PipelinePaused()
        if run.status in AT_WORK:
            return run
        if run.status != RunStatus.FAILED:
            raise RunNotFailed()
        if run.is_void or run != pipeline.runs.order_by("-created_at").first():
            raise RunSuperseded()
        lease.queue_anew(pipeline.runs.filter(pk=run.pk))
        run.refresh_from_db()
        if tell_workers:
            transaction.on_commit(partial(tasks.enqueue, run))
    log.info("run.retried", run_id=str(run.pk), pipeline=str(run.pipeline_id))
    return run


def cancel(run: PipelineRun) -> PipelineRun:
    """End a run that waits, runs or is paused; its workers stop within seconds.

    Harmless when repeated. A load under way comes to its end in the destination, committed or
    not. Raises RunEnded.
    """
    if lease.cancel(run):
        log.info("run.cancelled", run_id=str(run.pk), pipeline=str(run.pipeline_id))
    run.refresh_from_db()
    if run.error_code != RunCancelled.code:
        raise RunEnded()
    return run
