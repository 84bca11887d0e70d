"""Saved connections, and key rings in place of the service's own."""

import base64
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.conftest import _no_session_outlives_its_test, save, sessions, shop  # noqa: F401
from warehouse import secrets

UseRing = Callable[..., None]


def new_key(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"


@pytest.fixture
def use_ring(settings: Any) -> Iterator[UseRing]:
    """Makes this process read its key ring anew, from the settings given."""

    def use(**changed: str) -> None:
        for name, value in changed.items():
            setattr(settings, name, value)
        secrets.key_ring.cache_clear()

    yield use
    secrets.key_ring.cache_clear()
