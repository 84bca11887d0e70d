"""What the mode of a table asks of its source, and how the rows that it reads are loaded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from connectors import registry
from connectors.abilities import (
    BY_TRANSACTION,
    BulkLoad,
    Extract,
    FollowChanges,
    Increment,
    ReadPlan,
)
from connectors.errors import ObjectNotFound
from connectors.types import LoadMode, LoadTarget, Watermark
from etl import conf, ends
from etl.errors import NoPrimaryKey
from etl.models import Deletes, Pipeline, PipelineTable, ReadMode

if TYPE_CHECKING:
    from etl.pipelines import TableSpec

KEYED = frozenset({ReadMode.XID, ReadMode.CURSOR, ReadMode.CDC})
"""Rows are told apart by their primary key."""
MERGED = frozenset({ReadMode.XID, ReadMode.CURSOR})
"""Rows are added to the target, in place of those with the same key."""
RESUMED = MERGED | {ReadMode.CDC}
"""What is staged may be kept for a later snapshot: rows that come again are merged, and those
that were deleted since stay in any case, or leave by the log or by comparison. Elsewhere one that
is gone at the source would come back, or one that was written since would come twice."""


def since(table: PipelineTable, destination: BulkLoad, target: LoadTarget) -> Watermark | None:
    """The watermark, if the destination still has what was loaded up to it, and in a mode that
    adds to what is there, nothing else."""
    if table.mode == ReadMode.FULL or not table.watermark:
        return None
    if table.mode == ReadMode.APPEND:
        is_there = destination.last_load(target) == table.last_load
    else:
        is_there = destination.has_loaded(target)
    return Watermark(**table.watermark) if is_there else None


def plan(table: PipelineTable, source: Extract, since: Watermark | None) -> ReadPlan:
    """How the table itself is read. Raises NoPrimaryKey and ObjectNotFound, with the snapshot let
    go."""
    where = (table.source_schema, table.source_table)
    found = source.plan(*where, since, conf.chunk_bytes(), _increment(table))
    try:
        return _chosen(table, found)
    except BaseException:
        source.release()
        raise


def load_mode(table: PipelineTable, since: Watermark | None) -> LoadMode:
    """How rows read of the table since then are loaded."""
    if table.mode == ReadMode.APPEND and since is not None:
        return LoadMode.APPEND
    return LoadMode.MERGE if table.mode in MERGED else LoadMode.SWAP


def compares(table: PipelineTable, plan: ReadPlan) -> bool:
    """All keys are read too, so that rows which are not in the source leave the target."""
    # A reading by the cursor is to spare the scan of the table, which the keys would take.
    return table.deletes == Deletes.COMPARED and table.mode in MERGED and not plan.cursor


def fault(pipeline: Pipeline, tables: Sequence["TableSpec"]) -> str:
    """What a table, or one of the ends, lacks for its mode; empty when nothing."""
    for table in tables:
        if (table.mode == ReadMode.CURSOR) != bool(table.cursor_column):
            return f"Mode cursor needs a cursor_column, and no other has one: {table.source_table}."
        if table.deletes == Deletes.COMPARED and table.mode not in MERGED:
            return f"Only modes xid and cursor compare deletes: {table.source_table}."
        if table.mode == ReadMode.CDC and (table.columns or table.key_columns):
            return f"Mode cdc moves all columns, by the table's own key: {table.source_table}."
    return _fault_of_source(pipeline, tables) or _fault_of_destination(pipeline, tables)


def _fault_of_source(pipeline: Pipeline, tables: Sequence["TableSpec"]) -> str:
    provider = registry.provider(pipeline.source.provider)
    modes = {table.mode for table in tables}
    if ReadMode.CDC in modes and not issubclass(provider, FollowChanges):
        return f"{pipeline.source.provider} has no log to read changes from."
    if not issubclass(provider, Extract) or provider.tells_transactions:
        return ""
    untold = sorted(modes & {ReadMode.XID, ReadMode.APPEND})
    if untold:
        return (
            f"{provider.label} does not tell rows by the transactions that wrote them, which mode "
            f"{untold[0]} needs; use mode full or cursor."
        )
    if any(table.deletes == Deletes.COMPARED for table in tables):
        return (
            f"{provider.label} cannot read rows and keys in one snapshot, so deletes can only be "
            "kept; mode full leaves none behind."
        )
    return ""


def _fault_of_destination(pipeline: Pipeline, tables: Sequence["TableSpec"]) -> str:
    if pipeline.destination and not issubclass(
        registry.provider(pipeline.destination.provider), BulkLoad
    ):
        # Said of the destination itself.
        return ""
    destination, label = ends.loader(pipeline), ends.label(pipeline)
    modes = {table.mode for table in tables}
    merged = sorted(modes & KEYED)
    if merged and LoadMode.MERGE not in destination.load_modes:
        name = pipeline.destination.provider if pipeline.destination else label
        return f"{name} cannot merge rows, which mode {merged[0]} needs; use mode full."
    if ReadMode.APPEND in modes and not destination.tells_last_load:
        return f"{label} does not tell what was appended last, so mode append cannot be used."
    compared = any(table.deletes == Deletes.COMPARED for table in tables)
    if compared and not destination.compares_keys:
        return f"{label} cannot compare keys, so deletes can only be kept."
    return ""


def _chosen(table: PipelineTable, plan: ReadPlan) -> ReadPlan:
    """The plan of the columns that are wanted, and of the key that is given for the source's."""
    key = tuple(table.key_columns) or plan.primary_key
    wanted = {*table.columns, *key, table.cursor_column} - {""}
    if missing := sorted(wanted - set(plan.columns.names)):
        raise ObjectNotFound(f"The table {table} has no column {', '.join(missing)}.")
    if table.mode in KEYED and not key:
        raise NoPrimaryKey(fields={"table": str(table)})
    if not table.columns:
        return replace(plan, primary_key=key)
    fields = [field for field in plan.columns if field.name in wanted]
    columns = pa.schema(fields, metadata=plan.columns.metadata)
    return replace(plan, columns=columns, primary_key=key)


def _increment(table: PipelineTable) -> Increment:
    if table.mode == ReadMode.CURSOR:
        return Increment(cursor=table.cursor_column, sweep_after_s=table.sweep_hours * 3600)
    return Increment(once=True) if table.mode == ReadMode.APPEND else BY_TRANSACTION
