"""What is wrong with pipelines, and who is told: once for each incident, until it is over.

Runs are judged after their end by whoever looks, not by their workers: so it does not matter who
ended a run or how, and a judgement and its deliveries are saved together or not at all.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from connectors.errors import ConnectorError, QuarantineFull, SchemaChanged
from etl import pipelines, quarantine
from etl.errors import RunCancelled
from etl.models import (
    AlertChannel,
    AlertDelivery,
    AlertEvent,
    Incident,
    Pipeline,
    PipelineRun,
    RunStatus,
    Step,
)

log = structlog.get_logger(__name__)

ENDED = (RunStatus.SUCCEEDED, RunStatus.FAILED)


def look() -> None:
    """Judge the runs that have ended since the last look, and the age of every target."""
    ended = Pipeline.all_teams.filter(runs__status__in=ENDED, runs__is_judged=False)
    for pipeline in ended.distinct():
        _under_lock(pipeline, _judge_runs)
    watched = Q(stale_after_minutes__isnull=False) | _has_open(AlertEvent.STALE)
    for pipeline in Pipeline.all_teams.filter(watched).distinct().prefetch_related("tables"):
        if (
            pipeline.is_stale
            != pipeline.incidents.filter(event=AlertEvent.STALE, ended_at=None).exists()
        ):
            _under_lock(pipeline, _judge_age)


def _has_open(event: AlertEvent) -> Q:
    return Q(incidents__event=event, incidents__ended_at=None)


def _under_lock(pipeline: Pipeline, judge: Callable[[Pipeline], None]) -> None:
    """One looks at a pipeline at a time, and a run cannot be retried meanwhile."""
    try:
        with transaction.atomic():
            judge(pipelines.locked(pipeline))
    except Pipeline.DoesNotExist:
        return
    except Exception as exc:
        # One that cannot be judged must not keep the others from being.
        log.exception("alert.crashed", pipeline=str(pipeline.pk), error=type(exc).__name__)


def _judge_runs(pipeline: Pipeline) -> None:
    for run in pipeline.runs.filter(status__in=ENDED, is_judged=False).order_by("finished_at"):
        _judge(pipeline, run)
        PipelineRun.objects.filter(pk=run.pk).update(is_judged=True)


def _judge(pipeline: Pipeline, run: PipelineRun) -> None:
    if run.error_code == RunCancelled.code:
        # Whoever did it knows.
        return
    succeeded = run.status == RunStatus.SUCCEEDED
    if succeeded:
        _close(pipeline, AlertEvent.FAILED, {"run_id": str(run.pk)})
    else:
        _open(pipeline, AlertEvent.FAILED, (), *_failure(run))
    columns = _drift(run)
    if columns:
        about = [f"{one['table']}.{one['column']}" for one in columns]
        _open(pipeline, AlertEvent.DRIFT, about, *_drifted(run, columns))
    values = _quarantine(run)
    if values:
        about = [f"{one['table']}.{one['column']} {one['reason']}" for one in values]
        _open(pipeline, AlertEvent.QUARANTINE, about, *_quarantined(run, values))
    if succeeded and not columns:
        _close(pipeline, AlertEvent.DRIFT)
    if succeeded and not values:
        _close(pipeline, AlertEvent.QUARANTINE)


def _judge_age(pipeline: Pipeline) -> None:
    if not pipeline.is_stale:
        _close(pipeline, AlertEvent.STALE, {})
        return
    tables = [
        {"table": str(table), "as_of": _iso(table.as_of), "lag_s": table.lag_s}
        for table in pipeline.tables.all()
    ]
    minutes = pipeline.stale_after_minutes
    said = f"is stale: it has a table that is older than {minutes} minutes."
    data = {"stale_after_minutes": minutes, "is_active": pipeline.is_active, "tables": tables}
    _open(pipeline, AlertEvent.STALE, (), said, data)


# What is said: never a value of the source, nor a text that may hold one.


def _failure(run: PipelineRun) -> tuple[str, dict[str, Any]]:
    left = run.tables.exclude(step=Step.DONE).select_related("table")
    data = {
        "run_id": str(run.pk),
        "code": run.error_code,
        "attempts": run.attempts,
        "tables": [{"table": str(one.table), "step": one.step} for one in left],
    }
    return f"has failed ({run.error_code}): {_sentence(run.error_code)}", data


def _drift(run: PipelineRun) -> list[dict[str, str]]:
    return [
        {"table": str(one.table), "column": column, "sentence": sentence}
        for one in run.tables.select_related("table")
        for column, sentence in one.drift.items()
    ]


def _drifted(run: PipelineRun, columns: list[dict[str, str]]) -> tuple[str, dict[str, Any]]:
    stopped = run.error_code == SchemaChanged.code
    said = "stopped, because its columns differ:" if stopped else "has columns that differ:"
    lines = [f"{one['table']}.{one['column']}: {one['sentence']}" for one in columns]
    data = {"run_id": str(run.pk), "stopped": stopped, "columns": columns}
    return "\n".join([said, *lines]), data


def _quarantine(run: PipelineRun) -> list[dict[str, Any]]:
    found = quarantine.shown(run).order_by().values("table_run__table_id", "column", "reason")
    names = {one.table_id: str(one.table) for one in run.tables.select_related("table")}
    return [
        {
            "table": names[row["table_run__table_id"]],
            "column": row["column"],
            "reason": row["reason"],
            "count": row["count"],
        }
        for row in found.annotate(count=Count("pk")).order_by("column", "reason")
    ]


def _quarantined(run: PipelineRun, values: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    stopped = run.error_code == QuarantineFull.code
    said = "stopped at" if stopped else "has set to NULL"
    lines = [f"{v['table']}.{v['column']}: {v['reason']}, {v['count']:,}" for v in values]
    data = {"run_id": str(run.pk), "stopped": stopped, "values": values}
    return "\n".join([f"{said} values that cannot be carried exactly:", *lines]), data


def _sentence(code: str) -> str:
    """What an error of that code always says; what one run's says of its data stays here."""
    kinds = [ConnectorError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next((kind.message for kind in kinds if kind.code == code), ConnectorError.message)


# Incidents


def _open(
    pipeline: Pipeline, event: AlertEvent, about: Sequence[str], said: str, data: dict[str, Any]
) -> None:
    """Tell of it, unless it was told of and lasts."""
    incident = pipeline.incidents.filter(event=event, ended_at=None).first()
    if incident is not None and set(about) <= set(incident.about):
        return
    incident = incident or Incident(pipeline=pipeline, event=event)
    incident.about = sorted({*incident.about, *about})
    incident.save()
    _tell(pipeline, event, said, data)


def _close(pipeline: Pipeline, event: AlertEvent, data: dict[str, Any] | None = None) -> None:
    """It is over; with ``data``, that is told of too."""
    for incident in pipeline.incidents.filter(event=event, ended_at=None):
        incident.ended_at = timezone.now()
        incident.save()
        if data is not None:
            since = {"recovered_from": event, "since": _iso(incident.opened_at)}
            _tell(pipeline, AlertEvent.RECOVERED, f"is not {event} any more.", since | data)


def _tell(pipeline: Pipeline, event: AlertEvent, said: str, data: dict[str, Any]) -> None:
    about = {"team_id": str(pipeline.team_id), "pipeline_id": str(pipeline.pk)}
    content = {
        "subject": f"{pipeline.name}: {event}",
        "text": f"{pipeline.name} {said}",
        "data": {**about, "pipeline": pipeline.name, **data},
    }
    listening = AlertChannel.objects.for_team(pipeline.team_id).filter(
        Q(every_pipeline=True) | Q(pipelines=pipeline), is_active=True, events__contains=[event]
    )
    made = AlertDelivery.objects.bulk_create(
        AlertDelivery(channel=channel, pipeline=pipeline, event=event, content=content)
        for channel in listening.distinct()
    )
    log.info("alert.raised", pipeline=str(pipeline.pk), alert=event, channels=len(made))


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
