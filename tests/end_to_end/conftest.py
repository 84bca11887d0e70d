"""The service in its own processes, beside the sandbox of the tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.main_job.stack import Stack

MakeStack = Callable[..., Stack]


@pytest.fixture
def make_stack(vault: Any, endpoints: dict[str, Any]) -> Iterator[MakeStack]:
    """A service with a migrated database, nothing of it running yet; vault empties the source."""
    home = Path(os.environ["SANDBOX_HOME"])
    told = home / "endpoints.json"
    before = told.read_text()
    with ExitStack() as ending:

        def make(**settings: str) -> Stack:
            stack = Stack(home, endpoints, settings)
            ending.callback(stack.stop)
            stack.manage("migrate", "--verbosity", "0")
            return stack

        yield make
    # A service that is started later would look for this one's store.
    told.write_text(before)
