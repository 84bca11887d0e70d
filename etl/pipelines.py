"""What can be done to a team's pipelines: the rules, whoever asks (API, admin, command, beat)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from connectors import registry
from connectors.abilities import BulkLoad, Extract
from connectors.errors import InvalidInput
from connectors.loading import LEDGER
from etl import ends, lease, modes, schedule, stored, tasks
from etl.errors import PipelinePaused, RunInProgress
from etl.models import (
    AT_WORK,
    Deletes,
    Pipeline,
    PipelineRun,
    PipelineTable,
    ReadMode,
    RunStatus,
    TableRun,
    Trigger,
)
from warehouse import synced
from warehouse.errors import NameTaken
from warehouse.models import WarehouseConnection

log = structlog.get_logger(__name__)

MOVING = frozenset({"source", "destination", "destination_schema", "stage"})
"""Fields that say what a run moves where."""
TARGET = frozenset({"destination", "destination_schema"})
"""Those of them that say where to."""
READ = ("mode", "cursor_column", "columns", "key_columns")
"""Fields of a table that say what is read: what was read before they changed is not enough."""
SETTINGS = (*READ, "sweep_hours", "deletes", "delete_limit_percent")
"""Fields of a table that can be changed while it stays."""


@dataclass(frozen=True)
class TableSpec:
    """A table to move; without a destination name it keeps its own."""

    source_schema: str
    source_table: str
    destination_table: str = ""
    mode: str = ReadMode.XID
    cursor_column: str = ""
    sweep_hours: int = 24
    deletes: str = Deletes.KEPT
    delete_limit_percent: int = 10
    columns: list[str] = field(default_factory=list)
    key_columns: list[str] = field(default_factory=list)


def create(pipeline: Pipeline, tables: Sequence[TableSpec]) -> Pipeline:
    """Save a new pipeline with its tables and its schedule. Opens no connection.

    Raises NameTaken, InvalidInput.
    """
    try:
        with transaction.atomic():
            _check(pipeline, tables)
            pipeline.save()
            PipelineTable.objects.bulk_create(_rows(pipeline, tables))
            schedule.apply(pipeline)
    except IntegrityError as exc:
        raise _taken(exc) from None
    return pipeline


def update(
    pipeline: Pipeline, changes: Mapping[str, Any], tables: Sequence[TableSpec] | None = None
) -> Pipeline:
    """Apply ``changes`` to the fields named. A table that stays keeps its watermark. While the
    pipeline is not active its open run is paused, and goes on once it is.

    Raises NameTaken, InvalidInput; RunInProgress when what is moved, or where to, would change
    under a run; Pipeline.DoesNotExist when it was deleted meanwhile.
    """
    try:
        with transaction.atomic():
            # Read again under a lock: two changes at once must not undo each other.
            pipeline = locked(pipeline)
            ends_move = bool(changes.keys() & MOVING)
            is_moved = ends_move or tables is not None
            if is_moved and open_run(pipeline):
                raise RunInProgress()
            goes_elsewhere = any(
                name in changes and getattr(pipeline, name) != changes[name] for name in TARGET
            )
            for name, value in changes.items():
                setattr(pipeline, name, value)
            _check(pipeline, specs(pipeline) if tables is None and ends_move else tables)
            pipeline.save()
            if tables is not None:
                _replace_tables(pipeline, tables)
            if ends_move:
                pipeline.runs.update(is_void=True)
            if changes.keys() & MOVING - {"stage"}:
                # Nothing is known of what is there.
                pipeline.tables.update(as_of=None)
            if goes_elsewhere:
                # Nor, should it ever come back, of what was moved elsewhere meanwhile.
                pipeline.tables.update(watermark=None)
            _tidy_store(pipeline)
            _switch(pipeline)
            schedule.apply(pipeline)
    except IntegrityError as exc:
        raise _taken(exc) from None
    return pipeline


def delete(pipeline: Pipeline) -> None:
    """Remove the pipeline, its runs, schedule and staged files.

    The destination's tables stay, but those in the store go.
    """
    team_id, pipeline_id = str(pipeline.team_id), str(pipeline.pk)
    with transaction.atomic():
        schedule.remove(pipeline)
        pipeline.delete()
        # Whether or not it was loaded, as far as anybody knows.
        _tidy_store(pipeline, anyway=pipeline.destination is None)
        transaction.on_commit(lambda: tasks.remove_staged.delay(team_id, pipeline_id))


def request_run(
    pipeline: Pipeline, trigger: Trigger, refresh: Sequence[PipelineTable] = ()
) -> PipelineRun:
    """Queue a run; a worker starts it, or the command that asks. Tables to ``refresh`` are read
    whole, and no others. Raises PipelinePaused, RunInProgress; Pipeline.DoesNotExist."""
    lease.give_up_lost(pipeline.pk)
    try:
        with transaction.atomic():
            pipeline = locked(pipeline)
            if not pipeline.is_active:
                raise PipelinePaused()
            run = PipelineRun.objects.create(
                pipeline=pipeline, trigger=trigger, is_refresh=bool(refresh)
            )
            TableRun.objects.bulk_create(
                TableRun(run=run, table=table) for table in refresh or pipeline.tables.all()
            )
            if trigger != Trigger.COMMAND:
                transaction.on_commit(lambda: tasks.enqueue(run))
    except IntegrityError as exc:
        if "one_open_run_per_pipeline" not in str(exc):
            raise
        raise RunInProgress() from None
    return run


def open_run(pipeline: Pipeline) -> PipelineRun | None:
    """The run that waits, runs or is paused, if there is one."""
    return next((run for run in pipeline.runs.order_by("-created_at")[:1] if run.is_open), None)


def locked(pipeline: Pipeline) -> Pipeline:
    """The pipeline as it is now, which nobody pauses, changes or starts until the transaction's
    end; raises Pipeline.DoesNotExist."""
    return Pipeline.all_teams.select_for_update(of=("self",)).get(pk=pipeline.pk)


def faults(pipeline: Pipeline) -> dict[str, str]:
    """What keeps the pipeline from being saved, by field."""
    found: dict[str, str] = {}
    for name, ability in (("source", Extract), ("destination", BulkLoad)):
        connection = getattr(pipeline, name)
        if connection is None:
            continue
        if connection.team_id != pipeline.team_id:
            found[name] = "The team has no such connection."
        elif not _can(connection, ability):
            found[name] = f"{connection.provider} cannot be the {name} of a pipeline."
    if "destination" not in found and (fault := ends.loader(pipeline).stage_fault(pipeline.stage)):
        found["stage"] = fault
    if pipeline.destination is None and pipeline.destination_schema:
        found["destination_schema"] = "Leave it empty: the store has no schemas."
    elif pipeline.destination and not pipeline.destination_schema:
        found["destination_schema"] = "Name the schema that the tables are loaded into."
    try:
        schedule.parse(pipeline.schedule)
    except ValueError as exc:
        found["schedule"] = str(exc)
    return found


def _switch(pipeline: Pipeline) -> None:
    """Make the open run agree with the pipeline: paused or not."""
    if not pipeline.is_active:
        for run in pipeline.runs.filter(status__in=AT_WORK):
            if lease.pause(run):
                log.info("run.paused", pipeline=str(pipeline.pk), run_id=str(run.pk))
        return
    for run in pipeline.runs.filter(status=RunStatus.PAUSED):
        lease.queue_anew(pipeline.runs.filter(pk=run.pk))
        transaction.on_commit(partial(tasks.enqueue, run))
        log.info("run.resumed", pipeline=str(pipeline.pk), run_id=str(run.pk))


def _check(pipeline: Pipeline, tables: Sequence[TableSpec] | None) -> None:
    if tables is not None:
        # Two pipelines that are saved at once must not both find a target free.
        end = pipeline.destination_id or pipeline.source_id
        there = WarehouseConnection.all_teams.filter(pk=end)
        list(there.select_for_update(of=("self",), no_key=True).values_list("pk"))
    found = faults(pipeline) | ({} if tables is None else table_faults(pipeline, tables))
    if found:
        raise InvalidInput("The pipeline cannot be saved.", fields=found)


def table_faults(pipeline: Pipeline, tables: Sequence[TableSpec]) -> dict[str, str]:
    """What keeps the tables from being saved with the pipeline, under ``tables``."""
    if not tables:
        return {"tables": "Name at least one table."}
    for table in tables if pipeline.destination is None else ():
        if table.destination_table not in ("", _target(pipeline, table)):
            return {"tables": "The store names its tables itself: leave destination_table empty."}
    if fault := modes.fault(pipeline, tables):
        return {"tables": fault}
    targets = [_target(pipeline, table) for table in tables]
    one = str.lower if _folds(pipeline) else str
    wanted = [one(target) for target in targets]
    if one(LEDGER) in wanted or LEDGER in targets:
        return {"tables": f"{LEDGER} is the ledger of loads: name another destination_table."}
    twice = sorted({target for target in targets if wanted.count(one(target)) > 1})
    if twice:
        return {"tables": f"Two tables would go into {', '.join(twice)}."}
    others = PipelineTable.objects.exclude(pipeline_id=pipeline.pk).filter(
        pipeline__destination=pipeline.destination_id, pipeline__team=pipeline.team_id
    )
    taken = sorted(
        table
        for schema, table in others.values_list("pipeline__destination_schema", "destination_table")
        if one(schema) == one(pipeline.destination_schema) and one(table) in wanted
    )
    return {"tables": f"Another pipeline loads {', '.join(taken)}."} if taken else {}


def _folds(pipeline: Pipeline) -> bool:
    if pipeline.destination is None:
        return False
    lake = registry.provider(pipeline.destination.provider)
    return issubclass(lake, BulkLoad) and lake.folds_targets


def _target(pipeline: Pipeline, table: TableSpec) -> str:
    """The destination table's name; without one, the source's as the destination folds names.

    In the store it follows from what it is made of, so that it is nothing else's.
    """
    if pipeline.destination is None:
        return synced.name_of(pipeline.source_id, table.source_schema, table.source_table)
    facts = registry.provider(pipeline.destination.provider).capabilities
    return table.destination_table or facts.fold(table.source_table)


def _can(connection: WarehouseConnection, ability: type[Any]) -> bool:
    return issubclass(registry.provider(connection.provider), ability)


def _rows(pipeline: Pipeline, tables: Sequence[TableSpec]) -> list[PipelineTable]:
    return [
        PipelineTable(
            pipeline=pipeline, **asdict(table) | {"destination_table": _target(pipeline, table)}
        )
        for table in tables
    ]


def specs(pipeline: Pipeline) -> list[TableSpec]:
    """Its tables as they were asked for."""
    names = [field.name for field in fields(TableSpec)]
    return [
        TableSpec(**dict(zip(names, row, strict=True)))
        for row in pipeline.tables.values_list(*names)
    ]


def _replace_tables(pipeline: Pipeline, tables: Sequence[TableSpec]) -> None:
    wanted = {(t.source_schema, t.source_table, _target(pipeline, t)): t for t in tables}
    # What one mode has read up to, or staged, says nothing to another; how many rows may be
    # deleted is no such thing, and is changed for a retry.
    is_other = False
    for row in pipeline.tables.all():
        key = (row.source_schema, row.source_table, row.destination_table)
        spec = wanted.pop(key, None)
        if spec is None:
            row.delete()
            is_other = True
            continue
        if any(getattr(spec, name) != getattr(row, name) for name in READ):
            row.watermark = None
            is_other = True
        for name in SETTINGS:
            setattr(row, name, getattr(spec, name))
        row.save(update_fields=["watermark", *SETTINGS])
    PipelineTable.objects.bulk_create(_rows(pipeline, list(wanted.values())))
    if is_other or wanted:
        pipeline.runs.update(is_void=True)


def _tidy_store(pipeline: Pipeline, *, anyway: bool = False) -> None:
    """Have tables of the store forgotten, and then dropped, that no pipeline fills any more."""
    team_id = str(pipeline.team_id)
    if synced.forget_all_but(team_id, stored.kept(team_id)) or anyway:
        transaction.on_commit(lambda: tasks.tidy_store.delay(team_id))


def _taken(exc: IntegrityError) -> Exception:
    if "pipeline_name_in_team" in str(exc):
        return NameTaken(fields={"name": "Taken."})
    return exc
