"""Waiting for what another process does: asked again and again, up to a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02


def until(condition: Callable[[], object], seconds: float = 5) -> bool:
    """Whether it holds within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def wait_for(condition: Callable[[], T], seconds: float = 5) -> T:
    """Its first true answer; the test fails when there is none within ``seconds``."""
    answers: list[T] = []

    def ask() -> bool:
        answers.append(condition())
        return bool(answers[-1])

    assert until(ask, seconds), f"not within {seconds} s"
    return answers[-1]
