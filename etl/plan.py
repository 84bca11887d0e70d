"""What a run of a pipeline would do, without doing it."""

from collections.abc import Iterator
from dataclasses import dataclass

from connectors.abilities import BulkLoad, Extract, ReadPlan
from connectors.drift import LoadPlan
from connectors.errors import Unsupported
from connectors.types import Contract, LoadTarget, Watermark
from etl import conf
from etl.errors import NoPrimaryKey
from etl.models import Pipeline, PipelineTable
from warehouse import connections


@dataclass(frozen=True)
class Preview:
    """One table: what is read of it, and what a load does to the target's columns first.

    ``full``: every row is read, about ``estimated_rows``, ``None`` where the source cannot say.
    """

    table: PipelineTable
    target: LoadTarget
    full: bool
    estimated_rows: int | None
    load: LoadPlan


def tables(pipeline: Pipeline) -> Iterator[Preview]:
    """The plan of each table, in the order of a run. Reads no row and changes nothing there.

    Raises NoPrimaryKey, Unsupported, and what connectors raise.
    """
    with connections.opened(pipeline.destination, run="plan") as destination:
        if not isinstance(destination, BulkLoad):
            raise Unsupported(f"{destination.label} cannot be the destination of a pipeline.")
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
    kept = table.watermark
    since = Watermark(**kept) if kept and destination.has_loaded(target) else None
    found = _described(table, since)
    load = destination.plan_load(found.columns, found.primary_key, target)
    return Preview(table, target, found.since is None, found.estimated_rows, load)


def _described(table: PipelineTable, since: Watermark | None) -> ReadPlan:
    """How a run would read the table; its rows are left where they are."""
    with connections.opened(table.pipeline.source, run="plan") as source:
        if not isinstance(source, Extract):
            raise Unsupported(f"{source.label} cannot be the source of a pipeline.")
        found = source.plan(table.source_schema, table.source_table, since, conf.chunk_bytes())
    if not found.primary_key:
        raise NoPrimaryKey(fields={"table": str(table)})
    return found
