"""Runs that end before their time, and what their ledger then says."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from connectors.errors import ConnectionLost
from etl import runner
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, RunStatus, Step, TableRun
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]

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


class Command:
    """``run_pipeline`` in processes of its own."""

    def __init__(
        self, pipeline: Pipeline, environment: dict[str, str], options: tuple[str, ...] = ()
    ) -> None:
        self._pipeline = pipeline
        self._environment = environment
        self._words = [sys.executable, "manage.py", "run_pipeline", str(pipeline.pk), *options]

    def kill(self, is_time: Callable[[], bool]) -> PipelineRun:
        """Start it, and kill -9 all of it once it is time; its run, which must not be over."""
        # Its own session, so that the kill reaches all of it.
        process = subprocess.Popen(
            self._words,
            cwd=ROOT,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: is_time() or process.poll() is not None, 60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        run = PipelineRun.objects.get(pipeline=self._pipeline)
        assert run.status == RunStatus.RUNNING, "the kill came too late to prove anything"
        return run

    def succeed(self) -> str:
        """What it prints."""
        ended = subprocess.run(
            self._words,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout
