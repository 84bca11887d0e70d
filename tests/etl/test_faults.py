"""A run fails at every step there is, in every way, and after another one the target is the source.

FAULTS=all in the environment tries every failure in every way to read a table, some two hundred
cases; without it each is tried at each point in one of the ways.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from etl import changes, pipelines, runner
from etl.models import Pipeline, PipelineRun, PipelineTable, ReadMode, RunStatus
from etl.pipelines import TableSpec
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.failing import POINTS, failing
from tests.waiting import wait_for
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 2
COMPARED = {"deletes": "compared", "delete_limit_percent": 30}
CURSOR = {"mode": ReadMode.CURSOR, "cursor_column": "updated_at"}
WAYS: dict[str, dict[str, Any]] = {
    "xid": {"mode": ReadMode.XID},
    "append": {"mode": ReadMode.APPEND},
    "cursor": CURSOR,
    "xid, compared": {"mode": ReadMode.XID, **COMPARED},
    "cdc": {"mode": ReadMode.CDC},
    "cursor, compared": {**CURSOR, **COMPARED, "sweep_hours": 0},
    "full": {"mode": ReadMode.FULL},
}
SLOT = ("before the slot", "after the slot")
LOG_ONLY = (*SLOT, "before forgetting")
READING = ("after the plan", "in the extract", "after the chunk")
IN_TRANSACTION = ("before MERGE", "after MERGE")
"""Where a process that stands still holds the target's lock, as long as its session lives."""

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]
Case = tuple[str, str, str]


def cases() -> Iterator[Case]:
    """Point, how it fails there, and the way in which the table is read."""
    every = os.environ.get("FAULTS") == "all"
    for number, point in enumerate(POINTS):
        ways = ["cdc"] if point in LOG_ONLY else list(WAYS)
        if point in READING:
            ways.remove("cdc")
        for turn, how in enumerate(("error", "kill", "pause"), number):
            if how == "pause" and point in IN_TRANSACTION:
                continue
            for way in ways if every else [ways[turn % len(ways)]]:
                yield point, how, way


@pytest.fixture
def source(
    team: Team, credentials: dict[str, Any], endpoints: dict[str, Any]
) -> WarehouseConnection:
    """As the superuser, who may follow any table."""
    user = conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    form = credentials["postgres"] | {"user": user["user"], "password": user["password"]}
    draft = Draft.of(name="vault", provider="postgres", credentials=form)
    return connections.create(team, None, draft)


@pytest.fixture
def let_go(pipeline: Pipeline) -> Iterator[None]:
    """The source keeps nothing in the end."""
    of_pipeline = PipelineTable.objects.filter(pipeline_id=pipeline.pk)
    yield
    of_pipeline.delete()
    changes.look()


@pytest.mark.usefixtures("let_go")
@pytest.mark.parametrize(("point", "how", "way"), list(cases()))
def test_failure_costs_no_row_and_doubles_none(
    point: str,
    how: str,
    way: str,
    pipeline: Pipeline,
    records: Add,
    start: Start,
    vault: Vault,
    lake: Any,
    target_table: str,
    service_environment: dict[str, str],
    settings: Any,
) -> None:
    settings.PIPELINE_LEASE_S = LEASE_S
    records(300)
    if way == "append":
        vault.execute("ALTER TABLE records DROP CONSTRAINT records_pkey")
    vault.execute("CREATE INDEX ON records (updated_at)")
    pipelines.update(pipeline, {}, [TableSpec("public", "records", target_table, **WAYS[way])])
    if point not in SLOT:
        succeed(start())
        _change(vault, way)
    run = start()
    if how == "error":
        with failing(point, how):
            runner.execute(run.pk)
        again(run)
    else:
        _fail_elsewhere(point, how, run, service_environment)
    assert target_rows(lake, target_table) == source_rows(vault)
    # Nothing is left over that the next run would stumble upon.
    _change(vault, way)
    succeed(start())
    assert target_rows(lake, target_table) == source_rows(vault)


def _change(vault: Vault, way: str) -> None:
    if way == "append":
        vault.execute("INSERT INTO records SELECT * FROM records LIMIT 20")
        return
    vault.execute(
        "UPDATE records SET amount = amount + 1, updated_at = now() WHERE key::int % 7 = 0"
    )
    vault.execute(
        "INSERT INTO records SELECT tenant || 'n', key, payload FROM records LIMIT 20 "
        "ON CONFLICT DO NOTHING"
    )
    if way not in ("xid", "cursor"):
        vault.execute("DELETE FROM records WHERE key::int % 11 = 3")


def _fail_elsewhere(point: str, how: str, run: PipelineRun, environment: dict[str, str]) -> None:
    """In a process of its own; another worker takes the run over before that one goes on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.etl.failing", point, how, str(run.pk)],
        cwd=ROOT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "service.settings"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if how == "kill":
            assert process.wait(60) == -signal.SIGKILL
        else:
            wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, 60)
        again(run)
        process.send_signal(signal.SIGCONT)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def succeed(run: PipelineRun) -> None:
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")


def again(run: PipelineRun) -> None:
    """Execute it as soon as its lease allows; a run that had ended before it failed stays so."""

    def ended() -> bool:
        runner.execute(run.pk)
        run.refresh_from_db()
        return not run.is_open

    wait_for(ended, 60)
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
