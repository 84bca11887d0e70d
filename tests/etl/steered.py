"""Runs that somebody pauses, ends or takes over in their middle."""

from collections.abc import Callable
from typing import Any

from etl import lease, runner
from etl.models import PipelineRun, RunStatus
from tests.etl.cut_off import staged
from tests.etl.failing import failing


def now(run: PipelineRun) -> PipelineRun:
    return PipelineRun.objects.get(pk=run.pk)


def stop_at(run: PipelineRun, chunks: int, act: Callable[[], object], **options: Any) -> None:
    """Execute a run and do that once so many chunks are staged; the runner lets it go."""
    acted = False

    def watch(_: Any) -> None:
        nonlocal acted
        if not acted and len(staged(run)) >= chunks:
            acted = True
            act()

    assert runner.execute(run.pk, watch, **options) is None
    assert acted


def failed(run: PipelineRun) -> PipelineRun:
    """The run, after it failed to be loaded as often as it may."""
    for _ in range(lease.MAX_ATTEMPTS):
        with failing("before MERGE", "error"):
            runner.execute(run.pk)
    assert (now(run).status, now(run).error_code) == (RunStatus.FAILED, "connection_lost")
    return now(run)
