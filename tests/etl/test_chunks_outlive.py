"""Processes and servers that go away in the middle of a run, and rows of any size: none is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl import runner
from etl.models import Chunk, ChunkState, Pipeline, PipelineRun, RunStatus, TableRun
from sandbox.supervisor import Sandbox
from tests.etl.compare import Vault, source_rows, target_rows
from tests.etl.conftest import add_records, make_records
from tests.etl.cut_off import Command, staged

ROOT = Path(__file__).resolve().parents[2]
ROWS = 10_000

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("small_chunks"),
]

Start = Callable[[], PipelineRun]
Add = Callable[[int], None]


# Processes and servers that go away


def test_leader_killed_in_the_middle_costs_no_row(
    records: Add,
    pipeline: Pipeline,
    vault: Vault,
    lake: Any,
    target_table: str,
    service_environment: dict[str, str],
) -> None:
    records(100_000)
    environment = {**service_environment, "PIPELINE_CHUNK_MB": "1"}
    command = Command(pipeline, environment, ("--workers", "2"))
    done = Chunk.objects.filter(table__run__pipeline=pipeline, state=ChunkState.STAGED)
    run = command.kill(lambda: done.count() >= 3)
    before = staged(run)
    assert Chunk.objects.exclude(state=ChunkState.STAGED).exists(), "the kill came too late"
    vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 20 = 0")
    records(1_000)
    assert "101,000 in" in command.succeed()
    assert before.items() <= staged(run).items()
    assert target_rows(lake, target_table) == source_rows(vault)


def test_server_restarted_in_mid_read_costs_no_row(
    pipeline: Pipeline, lake: Any, target_table: str, tmp_path: Path, start: Start, settings: Any
) -> None:
    with Sandbox(tmp_path, ["postgres"]) as server:
        place = server.endpoints["postgres"]
        settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = [
            *settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS,
            f"{place['host']}:{place['port']}",
        ]
        with psycopg.connect(place["datavault_dsn"], autocommit=True) as vault:
            make_records(vault)
            add_records(vault, ROWS)
        names = ("host", "port", "database", "user", "password")
        form = {name: place["reader"][name] for name in names}
        pipeline.source.set_credentials(form)
        pipeline.source.save()
        run = start()

        def restart(_: TableRun) -> None:
            if len(staged(run)) >= 4:
                server.stop()
                server.start()

        ended = runner.execute(run.pk, restart)
        assert ended is not None
        assert (ended.status, ended.error_code) == (RunStatus.QUEUED, "connection_lost")
        before = staged(run)
        with psycopg.connect(place["datavault_dsn"], autocommit=True) as vault:
            vault.execute("UPDATE records SET payload = 'changed' WHERE key::int % 20 = 0")
            again = runner.execute(run.pk)
            assert again is not None
            assert (again.status, again.error) == (RunStatus.SUCCEEDED, "")
            assert len(before) == 4
            assert before.items() <= staged(run).items()
            assert target_rows(lake, target_table) == source_rows(vault)


def test_one_row_of_50_mb_is_moved(
    records: Add, start: Start, vault: Vault, lake: Any, target_table: str
) -> None:
    vault.execute(
        "INSERT INTO records SELECT 't', '1', decode(repeat('00ff61', 17000000), 'hex'), "
        '\'{"n": 1, "big": 2}\', 1'
    )
    ended = runner.execute(start().pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    assert target_rows(lake, target_table) == source_rows(vault)
