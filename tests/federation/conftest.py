"""TPC-H, its tables in several systems at once."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests import vendors
from tests.api.conftest import Save, _no_session_outlives_its_test, save  # noqa: F401
from tests.hogql.conftest import filled, opened_bare, tpch, tpch_folder  # noqa: F401
from tests.hogql.tpch_tables import ROWS
from tests.store.conftest import engine, store  # noqa: F401

Put = Callable[[str, str], str]


@pytest.fixture
def put(endpoints: dict[str, Any], credentials: dict[str, Any], save: Save) -> Iterator[Put]:  # noqa: F811
    """Makes a table of a query's rows in a warehouse, and a connection; its name in a query."""
    with ExitStack() as stack:

        def make(provider: str, rows: str) -> str:
            owner = ROWS[provider].owner(endpoints, credentials[provider])
            run = stack.enter_context(vendors.EXECUTING[provider](owner))
            name = f"made_{uuid.uuid4().hex[:8]}"
            schema = name.upper() if provider == "snowflake" else name
            run(f"CREATE SCHEMA {schema}")
            stack.callback(run, f"DROP SCHEMA {schema} CASCADE")
            run(f"CREATE TABLE {schema}.made AS {rows}")
            if provider == "redshift":
                run(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
                run(f"GRANT SELECT ON {schema}.made TO PUBLIC")
            save(provider, name="far")
            return f"far.{schema}.made"

        yield make
