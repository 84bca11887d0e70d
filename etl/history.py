"""Pipelines and their runs, each in one row of plain values."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Prefetch, QuerySet

from etl.models import Pipeline, PipelineRun, RunStatus, TableRun


def overview(found: QuerySet[Pipeline]) -> Iterator[dict[str, Any]]:
    """One row a pipeline: its state, how far its targets may be behind, its last run."""
    for pipeline in found.prefetch_related("tables"):
        last = _with_tables(pipeline.runs.order_by("-created_at")).first()
        lags = [table.lag_s for table in pipeline.tables.all()]
        known = [lag for lag in lags if lag is not None]
        yield {
            "id": str(pipeline.pk),
            "team": str(pipeline.team_id),
            "name": pipeline.name,
            "state": state(pipeline, last),
            # Of the table that is furthest behind; unknown while one has never been loaded.
            "lag_s": max(known) if known and len(known) == len(lags) else None,
            "last_run": None if last is None else of_run(last),
        }


def state(pipeline: Pipeline, last: PipelineRun | None) -> str:
    """The one word that most needs to be known: paused, queued, running, failed, stale, fine."""
    if not pipeline.is_active:
        return "paused"
    if last is not None and last.status != RunStatus.SUCCEEDED:
        return str(last.status)
    return "stale" if pipeline.is_stale else "new" if last is None else "fine"


def runs(pipeline: Pipeline, limit: int) -> Iterator[dict[str, Any]]:
    """One row a run, newest first, with its tables."""
    for run in _with_tables(pipeline.runs.order_by("-created_at"))[:limit]:
        yield of_run(run)


def of_run(run: PipelineRun) -> dict[str, Any]:
    totals = run.totals
    return {
        "id": str(run.pk),
        "status": run.status,
        "is_refresh": run.is_refresh,
        "trigger": run.trigger,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_s": run.duration_s,
        "attempts": run.attempts,
        "error_code": run.error_code,
        "rows": totals.rows,
        "bytes_staged": totals.bytes_staged,
        "cost": totals.cost,
        "tables": [
            {
                "table": str(table.table),
                "step": table.step,
                "rows": table.rows,
                "bytes_staged": table.bytes_staged,
                "extract_s": table.extract_s,
                "load_s": table.load_s,
                "cost": table.cost,
            }
            for table in run.tables.all()
        ],
    }


def _with_tables(runs: QuerySet[PipelineRun]) -> QuerySet[PipelineRun]:
    return runs.prefetch_related(Prefetch("tables", TableRun.objects.select_related("table")))
