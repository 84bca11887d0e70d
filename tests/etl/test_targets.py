"""A target that is not what it was: what is added to it must follow what it has."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from connectors.abilities import FollowChanges
from etl import pipelines, runner, steering
from etl.changes import name_of
from etl.errors import RunSuperseded
from etl.models import Pipeline, PipelineRun, PipelineTable, ReadMode, RunStatus, Trigger
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import GROWS, succeed
from tests.etl.failing import failing, reaching
from tests.waiting import until
from warehouse import connections, query_executor
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection
from warehouse.statements import Statement

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


@pytest.fixture
def source(
    team: Team, credentials: dict[str, Any], endpoints: dict[str, Any]
) -> WarehouseConnection:
    """As the superuser: following a table takes its owner, with REPLICATION."""
    user = psycopg.conninfo.conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    form = credentials["postgres"] | {"user": user["user"], "password": user["password"]}
    draft = Draft.of(name="vault", provider="postgres", credentials=form)
    return connections.create(team, None, draft)


@pytest.fixture
def loaded(moved: Any, records: Add, start: Start, vault: Vault) -> Callable[[str], PipelineTable]:
    """The table in a mode, with 50 rows in the target and 10 more at the source."""

    def of(mode: str) -> PipelineTable:
        records(50)
        if mode == ReadMode.APPEND:
            vault.execute(GROWS)
        table: PipelineTable = moved(mode)
        succeed(start())
        records(10)
        return table

    return of


def fail(run: PipelineRun, point: str) -> PipelineRun:
    """Execute a run that is cut off there, and end it for good."""
    with failing(point, "error"):
        runner.execute(run.pk)
    return steering.cancel(run)


@pytest.mark.parametrize(
    ("mode", "point"),
    [
        *((mode, "before COPY") for mode in (ReadMode.XID, ReadMode.CDC, ReadMode.APPEND)),
        *((mode, "before the state") for mode in (ReadMode.FULL, ReadMode.APPEND)),
    ],
)
def test_target_dropped_before_a_retry_gets_all_rows(
    loaded: Any, start: Start, vault: Vault, lake: Any, target_table: str, mode: str, point: str
) -> None:
    """As one is told to, where its columns stop a run; whether or not its rows were in it."""
    loaded(mode)
    run = fail(start(), point)
    lake.cursor().execute(f'DROP TABLE "{target_table}"')
    steering.retry(run)
    ended = runner.execute(run.pk)
    if ended is not None and ended.status == RunStatus.QUEUED:
        ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    assert target_rows(lake, target_table) == source_rows(vault)
    assert succeed(start()).rows_in_target == 60


@pytest.mark.parametrize("mode", [ReadMode.XID, ReadMode.CDC, ReadMode.APPEND])
@pytest.mark.parametrize("is_refresh", [False, True])
def test_target_made_anew_by_a_run_that_was_cut_off_gets_all_rows(
    loaded: Any,
    pipeline: Pipeline,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    mode: str,
    is_refresh: bool,
) -> None:
    loaded(mode)
    lake.cursor().execute(f'DROP TABLE "{target_table}"')
    fail(steering.refresh(pipeline, Trigger.COMMAND) if is_refresh else start(), "before COPY")
    succeed(start())
    assert target_rows(lake, target_table) == source_rows(vault)


def test_pipeline_that_moves_away_and_back_misses_nothing(
    loaded: Any,
    pipeline: Pipeline,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
) -> None:
    loaded(ReadMode.XID)
    here, there = pipeline.destination_schema, f"AWAY_{target_table}"
    pipelines.update(pipeline, {"destination_schema": here})
    assert pipeline.tables.get().watermark is not None
    pipelines.update(pipeline, {"destination_schema": there})
    assert pipeline.tables.get().watermark is None, "what is read up to there says nothing here"
    pipelines.update(pipeline, {"destination_schema": here})
    succeed(start())
    assert target_rows(lake, target_table) == source_rows(vault)


def test_rows_of_a_cancelled_run_that_arrive_late_are_not_appended_twice(
    loaded: Any, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    """Its load comes to its end in the destination while the next run is at work."""
    loaded(ReadMode.APPEND)
    late = start()
    runs: list[PipelineRun] = []

    def overtake() -> None:
        """The next run has planned, and staged, when the first one commits."""
        steering.cancel(late)
        runs.append(start())

    with reaching("before COPY", overtake):
        runner.execute(late.pk)
    # The first has committed by now; the next plans as if it had not.
    (run,) = runs
    table = run.tables.get().table
    assert table.last_load != late.tables.get().load_id
    with patch("connectors.snowflake.load.Loader.last_load", return_value=table.last_load):
        runner.execute(run.pk)
    run.refresh_from_db()
    assert len(target_rows(lake, target_table)) == 60
    if run.status == RunStatus.FAILED:
        run = start()
    runner.execute(run.pk)
    assert target_rows(lake, target_table) == source_rows(vault)


def test_run_is_not_retried_in_another_mode(
    loaded: Any, start: Start, moved: Any, pipeline: Pipeline
) -> None:
    """Its rows and watermark are of the mode it had."""
    loaded(ReadMode.XID)
    run = fail(start(), "before COPY")
    moved(ReadMode.XID, delete_limit_percent=50)
    assert steering.retry(run).status == RunStatus.QUEUED
    steering.cancel(run)
    moved(ReadMode.FULL)
    with pytest.raises(RunSuperseded):
        steering.retry(run)


def test_chunks_are_not_kept_when_their_log_is_begun_anew(
    moved: Any,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    settings: Any,
) -> None:
    """What was deleted between their snapshot and the new log, nothing would tell."""
    settings.PIPELINE_CHUNK_MB = 0.15
    records(5_000)
    table = moved(ReadMode.CDC)
    run = start()
    with failing("after the chunk", "error"):
        runner.execute(run.pk)
    assert run.tables.get().chunks_staged == 1
    vault.execute("DELETE FROM records WHERE key::int <= 10")
    with connections.opened(table.pipeline.source, run="test") as opened:
        assert isinstance(opened, FollowChanges)
        opened.unfollow(name_of(table), "public", "records")
    succeed(run)
    assert target_rows(lake, target_table) == source_rows(vault)


def test_answers_kept_of_a_target_are_forgotten_when_it_is_loaded(
    pipeline: Pipeline, records: Add, start: Start, target_table: str
) -> None:
    records(50)
    succeed(start())
    connection = connections.update(pipeline.destination, {"mode": "hybrid"})

    def ask() -> tuple[bool, int]:
        sql = f'SELECT COUNT(*) FROM {pipeline.destination_schema}."{target_table}"'
        with query_executor.run(connection, Statement(sql)) as run:
            run.start()
            (batch,) = run
            return run.origin.cached, int(batch.column(0)[0].as_py())

    assert ask() == (False, 50)
    assert until(lambda: ask() == (True, 50))
    records(10)
    succeed(start())
    assert ask() == (False, 60)
