"""Runs that end before their time, and what their ledger then says."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from connectors.errors import ConnectionLost
from etl import runner
from etl.models import Chunk, ChunkState, PipelineRun, RunStatus, Step, TableRun

Finish = Callable[[PipelineRun], TableRun]
"""Executes a run that must succeed, and leave the target as the source is."""


def silence(run: PipelineRun) -> None:
    """As if nobody who works on it had been heard of for an hour."""
    long_ago = timezone.now() - timedelta(hours=1)
    PipelineRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)
    Chunk.objects.filter(table__run=run).update(heartbeat_at=long_ago)


def ledger_of(run: PipelineRun) -> list[Chunk]:
    return list(Chunk.objects.filter(table__run=run))


def staged(run: PipelineRun) -> dict[int, int]:
    """Claims of the chunks that are staged, by number."""
    found = Chunk.objects.filter(table__run=run, state=ChunkState.STAGED)
    return dict(found.values_list("number", "claim"))


def cut_off(run: PipelineRun, chunks: int) -> dict[int, int]:
    """Execute a run until so many chunks are staged, and no further; those that are."""

    def lose_it(table: TableRun) -> None:
        if table.step == Step.EXTRACTING and len(staged(run)) >= chunks:
            raise ConnectionLost

    ended = runner.execute(run.pk, lose_it)
    assert ended is not None
    assert (ended.status, ended.error_code) == (RunStatus.QUEUED, "connection_lost")
    return staged(run)
