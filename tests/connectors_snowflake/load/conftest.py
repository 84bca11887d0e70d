"""A stand-in that only loads use, which reads the sandbox's bucket, and looks at their target."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from connectors import Connector
from connectors.types import LoadTarget
from tests.connectors_snowflake.conftest import SETTINGS
from tests.connectors_snowflake.load.loads import Look, Stage, bucket_of
from tests.sandbox_snowflake.standin import StandIn, new_key


@pytest.fixture(scope="session")
def standin(
    tmp_path_factory: pytest.TempPathFactory, endpoints: dict[str, Any]
) -> Iterator[StandIn]:
    """A session that is gone with a transaction open holds nobody up here for long."""
    names = ("endpoint", "region", "access_key", "secret_key")
    storage = {name: endpoints["s3"][name] for name in names}
    settings = {**SETTINGS, "blocked_idle_s": 0.5}
    running = StandIn(tmp_path_factory.mktemp("loads"), new_key(), storage, settings)
    running.start()
    try:
        with running.connect(database=None, schema=None) as connection:
            connection.cursor().execute("CREATE DATABASE DATAVAULT")
        yield running
        assert "query.broken" not in running.log(), running.log()
    finally:
        running.end()


@pytest.fixture(scope="session")
def keeper(standin: StandIn) -> Iterator[Any]:
    """A cursor of the vendor's own client on this stand-in."""
    with standin.connect() as connection:
        yield connection.cursor()


@pytest.fixture(scope="session")
def bucket(endpoints: dict[str, Any]) -> Any:
    return bucket_of(endpoints["s3"])


@pytest.fixture
def stage(bucket: Any) -> Iterator[Stage]:
    """Puts Parquet files into a folder of the test's own."""
    root = f"tests/{uuid.uuid4().hex[:12]}"
    yield Stage(bucket, root)
    bucket.objects.filter(Prefix=f"{root}/").delete()


@pytest.fixture
def target(keeper: Any, schema: str, bucket: Any) -> LoadTarget:
    """A table that does not exist as yet, in a schema with a stage on the bucket."""
    keeper.execute(f"CREATE STAGE {schema}.LAKE URL = 's3://{bucket.name}/'")
    return LoadTarget(schema=schema, table="ORDERS", stage="LAKE", fence=1)


@pytest.fixture
def loader(warehouse: Connector) -> Any:
    return warehouse


@pytest.fixture
def stored(keeper: Any, target: LoadTarget) -> Look:
    """What the target holds now, sorted by its first column."""

    def look(columns: str = "*") -> list[tuple[Any, ...]]:
        name = f'"{target.schema}"."{target.table}"'
        found = keeper.execute(f"SELECT {columns} FROM {name} ORDER BY 1").fetchall()
        return list(found)

    return look


@pytest.fixture
def ledger(keeper: Any, target: LoadTarget) -> Look:
    def look() -> list[tuple[Any, ...]]:
        found = keeper.execute(
            f"SELECT LOAD_ID, TARGET, FENCE, ROWS_LOADED, FILES FROM {target.schema}"
            ".WAREHOUSE_LOADS ORDER BY LOADED_AT"
        ).fetchall()
        return list(found)

    return look
