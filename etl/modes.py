"""What the mode of a table asks of its source, and how the rows that it reads are loaded."""

from connectors.abilities import BY_TRANSACTION, BulkLoad, Extract, Increment, ReadPlan
from connectors.types import LoadMode, LoadTarget, Watermark
from etl import conf
from etl.errors import NoPrimaryKey
from etl.models import Deletes, PipelineTable, ReadMode

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
    """How the table itself is read. Raises NoPrimaryKey, with the snapshot let go."""
    where = (table.source_schema, table.source_table)
    found = source.plan(*where, since, conf.chunk_bytes(), _increment(table))
    if table.mode in KEYED and not found.primary_key:
        source.release()
        raise NoPrimaryKey(fields={"table": str(table)})
    return found


def load_mode(table: PipelineTable, since: Watermark | None) -> LoadMode:
    """How rows read of the table since then are loaded."""
    if table.mode == ReadMode.APPEND and since is not None:
        return LoadMode.APPEND
    return LoadMode.MERGE if table.mode in MERGED else LoadMode.SWAP


def compares(table: PipelineTable, plan: ReadPlan) -> bool:
    """All keys are read too, so that rows which are not in the source leave the target."""
    # A reading by the cursor is to spare the scan of the table, which the keys would take.
    return table.deletes == Deletes.COMPARED and table.mode in MERGED and not plan.cursor


def _increment(table: PipelineTable) -> Increment:
    if table.mode == ReadMode.CURSOR:
        return Increment(cursor=table.cursor_column, sweep_after_s=table.sweep_hours * 3600)
    return Increment(once=True) if table.mode == ReadMode.APPEND else BY_TRANSACTION
