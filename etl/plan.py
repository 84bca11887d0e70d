"""What a run of a pipeline would do, without doing it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from connectors.abilities import BulkLoad, ReadPlan
from connectors.drift import LoadPlan
from connectors.types import Contract, LoadTarget, Watermark
from etl import ends, modes
from etl.models import Pipeline, PipelineTable, ReadMode
from warehouse import connections


@dataclass(frozen=True)
class Preview:
    """One table: what is read of it, and what a load does to the target's columns first.

    ``full``: every row is read. It ``compares`` where all keys are read too. ``read`` has the
    rows to be expected, the column that they are told by, and a note where the table is read in
    another way than its mode says.
    """

    table: PipelineTable
    target: LoadTarget
    read: ReadPlan
    full: bool
    compares: bool
    load: LoadPlan


def tables(pipeline: Pipeline) -> Iterator[Preview]:
    """The plan of each table, in the order of a run. Changes nothing there, and at most counts.

    Raises NoPrimaryKey, Unsupported, and what connectors raise.
    """
    with ends.destination(pipeline, "plan") as destination:
        for table in pipeline.tables.select_related("pipeline__source"):
            yield _planned(table, destination)


def _planned(table: PipelineTable, destination: BulkLoad) -> Preview:
    pipeline = table.pipeline
    target = LoadTarget(
        schema=pipeline.destination_schema,
        table=table.destination_table,
        stage=pipeline.stage,
        fence=0,
        contract=Contract(pipeline.contract),
    )
    since = modes.since(table, destination, target)
    found = _described(table, None if table.mode == ReadMode.CDC else since)
    if table.mode != ReadMode.CDC:
        since = found.since
    elif since is not None:
        found = replace(found, estimated_rows=None)
    target = replace(target, mode=modes.load_mode(table, since))
    load = destination.plan_load(found.columns, found.primary_key, target)
    return Preview(table, target, found, since is None, modes.compares(table, found), load)


def _described(table: PipelineTable, since: Watermark | None) -> ReadPlan:
    """How a run would read the table; its rows are left where they are."""
    with connections.opened(table.pipeline.source, run="plan") as source:
        return modes.plan(table, ends.source(source), since)
