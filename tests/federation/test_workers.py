"""Rows that are moved to a warehouse of two workers are joined by both of them."""

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from sandbox.databricks.spark import WORKERS_VARIABLE, unavailable, without_workers
from sandbox.services.databricks import client_for
from sandbox.supervisor import Sandbox
from tests import vendors
from tests.api.conftest import Save
from tests.hogql.engines import Row, rows_of
from tests.store.running import Engine
from tests.waiting import until
from warehouse import connections, query_executor
from warehouse.federation.moved import MovedRun
from warehouse.federation.run import FederatedRun
from warehouse.models import Team, WarehouseConnection
from warehouse.runs import Run

pytestmark = pytest.mark.django_db(transaction=True)

VISITS = """
SELECT id, CAST(id % 1000 AS STRING) AS page, CAST(id % 700 / 100 AS DECIMAL(9, 2)) AS paid
FROM RANGE(0, 400000, 1, 8)
"""
TEXT = """
SELECT p.title AS title, count(DISTINCT v.id) AS n, count(DISTINCT v.paid) AS paid
FROM spark.sales.visits AS v JOIN shop.public.pages AS p ON p.page = v.page
GROUP BY p.title ORDER BY p.title
"""


@pytest.fixture(scope="module")
def spark() -> Iterator[dict[str, Any]]:
    """The endpoint of a stand-in with two workers, and a table in it."""
    if reason := unavailable() or without_workers():
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv(WORKERS_VARIABLE, "2")
        # Three of Java start at once.
        with Sandbox(Path(folder), ("databricks",), health_timeout_s=300) as box:
            endpoint = box.endpoints["databricks"]
            with client_for(endpoint) as client, client.cursor() as cursor:
                cursor.execute(f"CREATE TABLE sales.visits USING PARQUET AS {VISITS}")
            yield endpoint


@pytest.fixture
def team_with_both(
    vault: psycopg.Connection[Any],
    endpoints: dict[str, Any],
    spark: dict[str, Any],
    save: Save,
    store: Engine,
    team: Team,
    settings: Any,
) -> Team:
    """Its connections are the stand-in, and a Postgres with a small table."""
    settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = ["127.0.0.1"]
    vault.execute(
        "CREATE TABLE pages AS SELECT id::text AS page, 'Title ' || id % 5 AS title "
        "FROM generate_series(1, 40) AS id; ANALYZE pages"
    )
    save(name="shop")
    form = vendors.sandbox_forms({**endpoints, "databricks": spark})
    save("databricks", name="spark", **form["databricks"])
    return team


def test_both_workers_join_what_is_moved_to_them(
    team_with_both: Team, spark: dict[str, Any]
) -> None:
    here, run = answered(team_with_both)
    assert isinstance(run, FederatedRun)
    joining = WarehouseConnection.objects.for_team(team_with_both).get(name="spark")
    connections.update(joining, {"config": {"joins_here": True}})
    assert until(lambda: len(tasks(spark)) == 2, 60), "both have started"
    before = tasks(spark)
    there, run = answered(team_with_both)
    assert isinstance(run, MovedRun)
    assert len(there) == 5
    assert there == here
    assert {leg.connection.name: leg.rows for leg in run.legs} == {"shop": 40, "spark": 0}
    # Spark counts tasks a moment after they have ended.
    assert until(lambda: all(tasks(spark)[one] > count for one, count in before.items()), 10)


def answered(team: Team) -> tuple[list[Row], Run]:
    with query_executor.run_hogql(team, TEXT) as run:
        run.start()
        return rows_of(pa.Table.from_batches(list(run), schema=run.schema)), run.asked


def tasks(endpoint: dict[str, Any]) -> dict[str, int]:
    """How many each worker has done."""
    (app,) = _told(f"{endpoint['spark_api']}/applications")
    every = _told(f"{endpoint['spark_api']}/applications/{app['id']}/executors")
    return {one["id"]: one["completedTasks"] for one in every if one["id"] != "driver"}


def _told(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)
