"""`manage.py run_pipeline NAME`: run a pipeline here and now, with a bar."""

import logging
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from connectors.errors import ConnectorError
from etl import lease, pipelines, runner, steering, tasks
from etl.errors import PipelinePaused, RunInProgress
from etl.management import naming
from etl.management.figures import size, span
from etl.models import AT_WORK, Pipeline, PipelineRun, RunStatus, TableRun, Trigger
from etl.models.pipeline import MAX_SOURCE_LOAD

POLL_S = 0.5


class Command(BaseCommand):
    help = "Run a pipeline in this process; take over a run whose worker is gone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        naming.add_arguments(parser)
        parser.add_argument(
            "--workers",
            type=int,
            choices=range(1, MAX_SOURCE_LOAD + 1),
            metavar=f"1-{MAX_SOURCE_LOAD}",
            help="how many sessions read the source at once (default: as the pipeline says)",
        )

        other = parser.add_mutually_exclusive_group()
        other.add_argument(
            "--refresh",
            nargs="*",
            metavar="SCHEMA.TABLE",
            help="read these tables, or all of them, whole, in place of what the target has",
        )
        other.add_argument(
            "--retry", action="store_true", help="go on with the last run, which has failed"
        )

    def handle(
        self, *args: Any, pipeline: str, team: str | None, workers: int | None, **options: Any
    ) -> None:
        found = naming.named(pipeline, team)
        run = _wanted(found, options["refresh"], retry=options["retry"])
        # Events would tear the bar apart; what they say is shown by it.
        logging.getLogger("etl").setLevel(logging.WARNING)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
        ) as progress:
            run = _bring_to_end(run, _Bars(progress), workers)
        if run.status == RunStatus.PAUSED:
            raise CommandError(f"{PipelinePaused.code}: The run was paused. {PipelinePaused.hint}")
        if run.status == RunStatus.FAILED:
            raise CommandError(f"{run.error_code}: {run.error}")
        for table in run.tables.select_related("table"):
            self.stdout.write(
                f"{table.table}: {table.rows:,} rows moved, "
                f"{table.rows_in_target:,} in {table.table.destination_table}."
            )
            if table.note:
                self.stdout.write(f"  {table.note}")


class _Bars:
    """One bar for each table, filled from its progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[int, Any] = {}

    def show(self, table: TableRun) -> None:
        bar = self._bars.get(table.pk)
        if bar is None:
            bar = self._progress.add_task(str(table.table), total=None, pace="")
            self._bars[table.pk] = bar
        total = table.rows if table.step == "done" else table.rows_expected
        text = f"{table.table} {table.step}, chunk {table.chunks_staged}/{table.chunks}"
        self._progress.update(
            bar, completed=table.rows, total=total, description=text, pace=_pace(table)
        )


def _pace(table: TableRun) -> str:
    """Bytes, rows a second, and when all is read; what is unknown is left out."""
    parts = [size(table.bytes_staged)]
    if table.rows_per_s is not None:
        parts.append(f"{table.rows_per_s:,.0f} rows/s")
    if table.eta_s is not None:
        parts.append(f"{span(table.eta_s)} left")
    return ", ".join(parts)


def _wanted(pipeline: Pipeline, refresh: list[str] | None, *, retry: bool) -> PipelineRun:
    """A new run, the last one again, or the one that is under way already."""
    try:
        if retry:
            return steering.retry(naming.last_run(pipeline), tell_workers=False)
        if refresh is not None:
            return steering.refresh(pipeline, Trigger.COMMAND, refresh)
        return pipelines.request_run(pipeline, Trigger.COMMAND)
    except ConnectorError as exc:
        under_way = pipelines.open_run(pipeline)
        if refresh is None and isinstance(exc, RunInProgress) and under_way is not None:
            return under_way
        raise naming.refused(exc) from None


def _bring_to_end(run: PipelineRun, bars: _Bars, workers: int | None) -> PipelineRun:
    """Run it; while another worker has it, watch, and take over should that worker be gone."""
    while run.status in AT_WORK:
        mine = runner.execute(run.pk, bars.show, sessions=workers)
        if mine is None:
            lease.give_up_lost(run.pipeline_id)
            for table in run.tables.select_related("table"):
                bars.show(table)
            time.sleep(POLL_S)
        elif mine.status == RunStatus.QUEUED:
            time.sleep(tasks.retry_delay_s(mine.attempt))
        run.refresh_from_db()
    return run
