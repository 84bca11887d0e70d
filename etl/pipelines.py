"""What can be done to a team's pipelines: the rules, whoever asks (API, admin, command, beat)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from connectors import registry
from connectors.abilities import BulkLoad, Extract
from connectors.errors import InvalidInput
from connectors.snowflake_sql import folded
from etl import schedule, tasks
from etl.errors import PipelinePaused, RunInProgress
from etl.lease import give_up_lost
from etl.models import Pipeline, PipelineRun, PipelineTable, TableRun, Trigger
from warehouse.errors import NameTaken
from warehouse.models import WarehouseConnection


@dataclass(frozen=True)
class TableSpec:
    """A table to move; without a destination name it keeps its own."""

    source_schema: str
    source_table: str
    destination_table: str = ""

    @property
    def target(self) -> str:
        return self.destination_table or folded(self.source_table)


def create(pipeline: Pipeline, tables: Sequence[TableSpec]) -> Pipeline:
    """Save a new pipeline with its tables and its schedule. Opens no connection.

    Raises NameTaken, InvalidInput.
    """
    _check(pipeline, tables)
    try:
        with transaction.atomic():
            pipeline.save()
            PipelineTable.objects.bulk_create(_rows(pipeline, tables))
            schedule.apply(pipeline)
    except IntegrityError as exc:
        raise _taken(exc) from None
    return pipeline


def update(pipeline: Pipeline, tables: Sequence[TableSpec] | None = None) -> Pipeline:
    """Save a changed pipeline. A table that stays keeps its watermark.

    Raises NameTaken, InvalidInput.
    """
    _check(pipeline, tables)
    try:
        with transaction.atomic():
            pipeline.save()
            if tables is not None:
                _replace_tables(pipeline, tables)
            schedule.apply(pipeline)
    except IntegrityError as exc:
        raise _taken(exc) from None
    return pipeline


def delete(pipeline: Pipeline) -> None:
    """Remove the pipeline, its runs and its schedule; the destination's tables stay."""
    with transaction.atomic():
        schedule.remove(pipeline)
        pipeline.delete()


def request_run(pipeline: Pipeline, trigger: Trigger) -> PipelineRun:
    """Queue a run; a worker starts it, or the command that asks. Raises PipelinePaused,
    RunInProgress."""
    if not pipeline.is_active:
        raise PipelinePaused()
    give_up_lost(pipeline.pk)
    try:
        with transaction.atomic():
            run = PipelineRun.objects.create(pipeline=pipeline, trigger=trigger)
            TableRun.objects.bulk_create(
                TableRun(run=run, table=table) for table in pipeline.tables.all()
            )
            if trigger != Trigger.COMMAND:
                transaction.on_commit(lambda: tasks.enqueue(run))
    except IntegrityError as exc:
        if "one_open_run_per_pipeline" not in str(exc):
            raise
        raise RunInProgress() from None
    return run


def open_run(pipeline: Pipeline) -> PipelineRun | None:
    """The run that waits or runs, if there is one."""
    return next((run for run in pipeline.runs.order_by("-created_at")[:1] if run.is_open), None)


def faults(pipeline: Pipeline) -> dict[str, str]:
    """What keeps the pipeline from being saved, by field."""
    found: dict[str, str] = {}
    if not _can(pipeline.source, Extract):
        found["source"] = f"{pipeline.source.provider} cannot be the source of a pipeline."
    if not _can(pipeline.destination, BulkLoad):
        found["destination"] = f"{pipeline.destination.provider} cannot be loaded into."
    try:
        schedule.parse(pipeline.schedule)
    except ValueError as exc:
        found["schedule"] = str(exc)
    return found


def _check(pipeline: Pipeline, tables: Sequence[TableSpec] | None) -> None:
    found = faults(pipeline) | ({} if tables is None else _table_faults(tables))
    if found:
        raise InvalidInput("The pipeline cannot be saved.", fields=found)


def _table_faults(tables: Sequence[TableSpec]) -> dict[str, str]:
    if not tables:
        return {"tables": "Name at least one table."}
    targets = [table.target for table in tables]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    return {"tables": f"Two tables would go into {', '.join(twice)}."} if twice else {}


def _can(connection: WarehouseConnection, ability: type[Any]) -> bool:
    return issubclass(registry.provider(connection.provider), ability)


def _rows(pipeline: Pipeline, tables: Sequence[TableSpec]) -> list[PipelineTable]:
    return [
        PipelineTable(
            pipeline=pipeline,
            source_schema=table.source_schema,
            source_table=table.source_table,
            destination_table=table.target,
        )
        for table in tables
    ]


def _replace_tables(pipeline: Pipeline, tables: Sequence[TableSpec]) -> None:
    wanted = {(t.source_schema, t.source_table, t.target): t for t in tables}
    for row in pipeline.tables.all():
        key = (row.source_schema, row.source_table, row.destination_table)
        if wanted.pop(key, None) is None:
            row.delete()
    PipelineTable.objects.bulk_create(_rows(pipeline, list(wanted.values())))


def _taken(exc: IntegrityError) -> Exception:
    if "pipeline_name_in_team" in str(exc):
        return NameTaken(fields={"name": "Taken."})
    return exc
