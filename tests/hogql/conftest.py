"""TPC-H in each stand-in, and a team's connection to it."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors import Connector, NetworkPolicy, connect
from tests.api.conftest import _no_session_outlives_its_test, save  # noqa: F401
from tests.hogql import tpch_tables

OpenOne = Callable[[str], Connector]
PROVIDERS = ("postgres", "snowflake", "bigquery", "redshift", "databricks")


@pytest.fixture(scope="session")
def tpch_folder() -> Iterator[Path]:
    """Where every stand-in's user may read."""
    folder = Path(tempfile.mkdtemp(prefix="test-tpch-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def tpch(tpch_folder: Path) -> dict[str, Any]:
    """The tables of TPC-H."""
    return tpch_tables.generated(tpch_folder)


class Filled:
    """Fills a stand-in when the first test asks; for one module, since others list tables."""

    def __init__(self, stack: ExitStack, *given: Any) -> None:
        self._stack = stack
        self._given = given
        self._schemas: dict[str, str] = {}

    def schema(self, provider: str) -> str:
        """The schema that has the tables, as the warehouse names it."""
        if provider not in self._schemas:
            endpoints, forms, tables, folder = self._given
            name = tpch_tables.ROWS[provider].fold(f"tpch_{uuid.uuid4().hex[:8]}")
            filled = tpch_tables.filled(provider, endpoints, forms[provider], name, tables, folder)
            self._stack.enter_context(filled)
            self._schemas[provider] = name
        return self._schemas[provider]


@pytest.fixture(scope="session")
def opened_bare(credentials: dict[str, Any], network: NetworkPolicy) -> Iterator[OpenOne]:
    """By provider: a connector that all tests share."""
    with ExitStack() as stack:

        @cache
        def make(provider: str) -> Connector:
            return stack.enter_context(connect(provider, credentials[provider], network=network))

        yield make


@pytest.fixture(scope="module")
def filled(
    endpoints: dict[str, Any],
    credentials: dict[str, Any],
    tpch: dict[str, Any],
    tpch_folder: Path,
) -> Iterator[Filled]:
    with ExitStack() as stack:
        yield Filled(stack, endpoints, credentials, tpch, tpch_folder)
