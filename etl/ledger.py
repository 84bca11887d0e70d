"""The ledger of a table in a run: a row per chunk, which any worker may claim, and what became of
it. Whatever happens to workers, a chunk is staged once, and the manifest has the files of that."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import models, transaction
from django.db.models import Count, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Now

from connectors.abilities import ReadPlan
from connectors.types import Manifest, StagedFile, Watermark
from etl.errors import LeaseLost
from etl.lease import next_fence, silent
from etl.models import AT_WORK, Chunk, ChunkState, RunStatus, Step, TableRun
from etl.stage import schema_of, schema_text


def lay_out(table: TableRun, plan: ReadPlan, *, keep: bool, compares: bool = False) -> None:
    """Make the ledger of a plan, in the transaction of the caller, who has the run.

    Chunks that an earlier attempt of the run has staged are kept where that loses and doubles
    nothing: then those left are read in the plan's snapshot, and for each one that is kept what
    was written there since. Not without ``keep``: where the plan's session does not cover the
    table's watermarks, or a row that is gone at the source must not come back. With ``compares``
    the keys of all rows are read too, in the plan's snapshot and no earlier one.
    """
    TableRun.objects.select_for_update(of=("self",)).get(pk=table.pk)
    table.ledger.filter(keys=True).delete()
    if keep and _fits(table, plan):
        _catch_up(table)
    else:
        table.ledger.all().delete()
        table.quarantine.all().delete()
        table.watermarks = []
        _add(table, [Chunk(bounds=bounds) for bounds in plan.chunks])
    if compares:
        _add(table, [Chunk(bounds=bounds, keys=True) for bounds in plan.chunks])
    table.watermark = plan.watermark.as_json()
    table.watermarks = [*table.watermarks, table.watermark]
    table.plan = plan_json(plan)
    table.rows_expected = plan.estimated_rows
    table.save(update_fields=["watermark", "watermarks", "plan", "rows_expected"])
    tally(table)


def _fits(table: TableRun, plan: ReadPlan) -> bool:
    """Rows of earlier snapshots can be brought up to date: it is the same table, its rows lie
    where they lay, and the newest row of a key can be told."""
    begun = table.ledger.exclude(state=ChunkState.WAITING)
    if table.plan is None or not plan.primary_key or not begun.exists():
        return False
    before = plan_of(table)
    return (
        before.columns.equals(plan.columns, check_metadata=True)
        and (before.primary_key, before.layout) == (plan.primary_key, plan.layout)
        and before.watermark.origin == plan.watermark.origin
        and before.since == plan.since
        # The watermark of a reading by a cursor does not tell what was written after it.
        and not before.cursor
        and not plan.cursor
    )


def _catch_up(table: TableRun) -> None:
    """For each chunk that is kept, a second one: what was written there since its snapshot.

    What was written elsewhere is in chunks that are still to be read.
    """
    # Those of an earlier attempt go back as far, but not to now.
    table.ledger.filter(catches_up=True).delete()
    kept = table.ledger.exclude(state=ChunkState.WAITING)
    marks = table.watermarks
    _add(table, [Chunk(bounds=c.bounds, since=marks[c.order], catches_up=True) for c in kept])


def _add(table: TableRun, chunks: Sequence[Chunk]) -> None:
    last = table.ledger.aggregate(last=Max("number"))["last"]
    for number, chunk in enumerate(chunks, 0 if last is None else last + 1):
        chunk.table, chunk.number = table, number
    Chunk.objects.bulk_create(chunks)


def claim(table: TableRun, sessions: int) -> Chunk | None:
    """Take a chunk that waits, or whose reader is gone; ``None`` when there is none to be had.

    At most ``sessions`` chunks are read at once. The chunk comes with the table as it is now.
    """
    with transaction.atomic():
        # Whoever plans anew holds this row too: a chunk is never taken under half a plan.
        now = (
            TableRun.objects.select_for_update(of=("self",))
            .filter(pk=table.pk, step=Step.EXTRACTING, run__status=RunStatus.RUNNING)
            .first()
        )
        if now is None:
            return None
        reading = Q(state=ChunkState.READING)
        if now.ledger.filter(reading & ~silent()).count() >= sessions:
            return None
        free = now.ledger.filter(Q(state=ChunkState.WAITING) | (reading & silent()))
        chunk = free.select_for_update(skip_locked=True, of=("self",)).first()
        if chunk is None:
            return None
        Chunk.objects.filter(pk=chunk.pk).update(
            state=ChunkState.READING,
            claim=next_fence(),
            order=len(now.watermarks) - 1,
            attempts=F("attempts") + 1,
            heartbeat_at=Now(),
            rows=0,
            bytes=0,
        )
        chunk.refresh_from_db()
        chunk.table = now
    return chunk


def mine(chunk: Chunk) -> models.QuerySet[Chunk]:
    """The chunk's row, if it is still to be read, and by this worker."""
    return Chunk.objects.filter(
        pk=chunk.pk, claim=chunk.claim, state=ChunkState.READING, table__run__status__in=AT_WORK
    )


def staged(chunk: Chunk, files: Sequence[StagedFile]) -> None:
    """Write down which files hold the chunk; raises LeaseLost when it is another's by now."""
    # A chunk taken over from a dead reader is in its snapshot twice, whole and caught up with.
    order = 2 * chunk.order + chunk.catches_up
    kept = mine(chunk).update(
        state=ChunkState.STAGED,
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        files=[vars(replace(file, order=order)) for file in files],
        error_code="",
    )
    if not kept:
        raise LeaseLost()
    tally(chunk.table)


def give_back(chunk: Chunk, error_code: str = "") -> None:
    """Let another worker have it, if it is still this worker's, be the run paused by now."""
    held = Chunk.objects.filter(pk=chunk.pk, claim=chunk.claim, state=ChunkState.READING)
    held.update(state=ChunkState.WAITING, rows=0, bytes=0, error_code=error_code)
    tally(chunk.table)


def is_complete(table: TableRun) -> bool:
    """Every chunk is staged."""
    return not table.ledger.exclude(state=ChunkState.STAGED).exists()


def tally(table: TableRun) -> None:
    """Make the table's numbers the sums over its ledger. They only ever come from there, so that
    writing them late does no harm."""
    chunks = Chunk.objects.filter(table=OuterRef("pk")).order_by().values("table")

    def total(value: models.Aggregate) -> Coalesce:
        return Coalesce(Subquery(chunks.annotate(total=value).values("total")), 0)

    is_staged = Q(state=ChunkState.STAGED)
    row = TableRun.objects.filter(pk=table.pk)
    with transaction.atomic():
        # An update that waited for another one would still sum up what it saw before that.
        row.select_for_update(of=("self",)).first()
        row.update(
            rows=total(Sum("rows", filter=Q(keys=False))),
            bytes_staged=total(Sum("bytes")),
            chunks=total(Count("pk")),
            chunks_staged=total(Count("pk", filter=is_staged)),
        )


def manifest(table: TableRun, *, compares: bool = False) -> Manifest:
    """The files of a ledger that is complete, in the order of its chunks."""
    plan = plan_of(table)
    found: dict[bool, list[StagedFile]] = {False: [], True: []}
    for chunk in table.ledger.all():
        found[chunk.keys] += [StagedFile(**file) for file in chunk.files]
    return Manifest(
        load_id=table.load_id,
        location=table.location,
        files=tuple(found[False]),
        schema=plan.columns,
        primary_key=plan.primary_key,
        keys=tuple(found[True]) if compares else None,
    )


def plan_json(plan: ReadPlan) -> dict[str, Any]:
    """A plan without its chunks, which have rows of their own."""
    return {
        **vars(plan),
        "columns": schema_text(plan.columns),
        "watermark": plan.watermark.as_json(),
        "since": plan.since.as_json() if plan.since else None,
        "chunks": [],
    }


def plan_of(table: TableRun) -> ReadPlan:
    """The plan by which a table is read now."""
    found: dict[str, Any] = {**(table.plan or {})}
    found["columns"] = schema_of(found["columns"])
    found["primary_key"] = tuple(found["primary_key"])
    found["watermark"] = Watermark(**found["watermark"])
    found["since"] = watermark_of(found["since"])
    found["chunks"] = ()
    return ReadPlan(**found)


def watermark_of(kept: dict[str, Any] | None) -> Watermark | None:
    return Watermark(**kept) if kept else None
