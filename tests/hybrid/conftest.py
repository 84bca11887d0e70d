"""A hybrid connection to the sandbox's Postgres, and the store's engine beside it."""

from typing import Any

import pytest

from tests.api.conftest import Save, _no_session_outlives_its_test, save  # noqa: F401
from tests.store.conftest import engine, store  # noqa: F401
from warehouse import connections
from warehouse.models import ConnectionMode, WarehouseConnection


@pytest.fixture
def hybrid(save: Save, settings: Any) -> WarehouseConnection:  # noqa: F811
    """Answers are kept; there is no store unless a test asks for it."""
    settings.CLICKHOUSE_URL = settings.STORE_PATH = ""
    return connections.update(save(name="hybrid"), {"mode": ConnectionMode.HYBRID})
