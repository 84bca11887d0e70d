"""Places in a run, named, at which a test can make it fail; and a process that fails there.

``python -m tests.etl.failing POINT HOW RUN``, with the service's settings in the environment.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from importlib import import_module
from typing import Any
from unittest.mock import patch

from connectors.errors import ConnectionLost

BEFORE, AFTER = "before", "after"
POINTS: dict[str, tuple[str, str, str]] = {
    "before the slot": ("etl.changes", "Log.follow", BEFORE),
    "after the slot": ("etl.changes", "Log.follow", AFTER),
    "after the plan": ("etl.mover", "Mover._enter", AFTER),
    "in the extract": ("etl.reader", "Reader._read", BEFORE),
    "before the upload": ("etl.stage", "Stage.write", BEFORE),
    "after the upload": ("etl.stage", "Stage.write", AFTER),
    "after the chunk": ("etl.quarantine", "judge", BEFORE),
    "after the manifest": ("etl.stage", "Stage.write_manifest", AFTER),
    "before COPY": ("connectors.snowflake.load", "Loader._stage", BEFORE),
    "after COPY": ("connectors.snowflake.load", "Loader._stage", AFTER),
    "before MERGE": ("connectors.snowflake.write", "writes", BEFORE),
    "after MERGE": ("connectors.snowflake.sql", "remember", BEFORE),
    "before the state": ("etl.mover", "Mover._advance", BEFORE),
    "after the state": ("etl.mover", "Mover._advance", AFTER),
    "before forgetting": ("etl.changes", "Log.arrived", BEFORE),
}


def lose_connection() -> None:
    raise ConnectionLost


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """As a machine does that stands still: threads, heartbeats and all."""
    os.kill(os.getpid(), signal.SIGSTOP)


HOW: dict[str, Callable[[], None]] = {"error": lose_connection, "kill": kill, "pause": pause}


def failing(point: str, how: str) -> AbstractContextManager[Any]:
    """While entered, the first to get to that point fails there; what it calls is real."""
    return reaching(point, HOW[how])


def reaching(point: str, act: Callable[[], object]) -> AbstractContextManager[Any]:
    """While entered, the first to get to that point does this there."""
    module, name, when = POINTS[point]
    owner: Any = import_module(module)
    *classes, function = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    real = getattr(owner, function)
    reached = False

    @wraps(real)
    def wrapped(*args: Any, **named: Any) -> Any:
        nonlocal reached
        first, reached = not reached, True
        if first and when == BEFORE:
            act()
        answer = real(*args, **named)
        if first and when == AFTER:
            act()
        return answer

    return patch.object(owner, function, wrapped)


def main(point: str, how: str, run_id: str) -> None:
    import django

    django.setup()
    from etl import runner

    with failing(point, how):
        runner.execute(run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
