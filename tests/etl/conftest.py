"""A team's pipeline from the sandbox's Postgres to its Snowflake."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import snowflake.connector
from django.conf import settings
from django.db import connection as database

from etl import changes, mover, pipelines, runner
from etl.models import (
    AlertChannel,
    Followed,
    Pipeline,
    PipelineRun,
    PipelineTable,
    ReadMode,
    RunStatus,
    TableRun,
    Trigger,
)
from etl.pipelines import TableSpec
from service.main_job.story import make_stage
from tests.etl import receivers
from tests.etl.alerting import make
from tests.etl.compare import broker_messages, source_rows, target_rows
from tests.etl.cut_off import Finish, silence
from tests.etl.receivers import Receiver
from warehouse import connections
from warehouse.connections import Draft
from warehouse.models import Team, WarehouseConnection

INDEX = "CREATE INDEX ON records (updated_at)"
GROWS = "ALTER TABLE records DROP CONSTRAINT records_pkey"
"""What the table needs to be read by a cursor, and to be one that only grows."""

Ended = Callable[[PipelineRun], PipelineRun]


@pytest.fixture
def source(team: Team, credentials: dict[str, Any]) -> WarehouseConnection:
    draft = Draft.of(name="vault", provider="postgres", credentials=credentials["postgres"])
    return connections.create(team, None, draft)


@pytest.fixture
def destination(team: Team, credentials: dict[str, Any]) -> WarehouseConnection:
    draft = Draft.of(name="lake", provider="snowflake", credentials=credentials["snowflake"])
    return connections.create(team, None, draft)


@pytest.fixture
def lake(endpoints: dict[str, Any]) -> Iterator[snowflake.connector.SnowflakeConnection]:
    """The destination, looked at past everything of ours."""
    found = endpoints["snowflake"]
    names = "account user password warehouse database schema host port protocol".split()
    with snowflake.connector.connect(**{name: found[name] for name in names}) as connection:
        yield connection


@pytest.fixture
def target_table() -> str:
    """A table of the destination that no other test uses."""
    return f"RECORDS_{uuid.uuid4().hex[:8].upper()}"


@pytest.fixture
def stage(team: Team, endpoints: dict[str, Any]) -> str:
    """The destination's external stage on the team's folder of the bucket."""
    return make_stage(endpoints, str(team.pk))


@pytest.fixture
def pipeline(
    team: Team,
    stage: str,
    source: WarehouseConnection,
    destination: WarehouseConnection,
    endpoints: dict[str, Any],
    target_table: str,
) -> Pipeline:
    """public.records → target_table."""
    made = Pipeline(
        team=team,
        name="nightly",
        source=source,
        destination=destination,
        destination_schema=endpoints["snowflake"]["schema"],
        stage=stage,
    )
    return pipelines.create(made, [TableSpec("public", "records", target_table)])


@pytest.fixture
def records(vault: psycopg.Connection[Any]) -> Callable[[int], None]:
    """Makes public.records with so many rows; called again, it adds rows."""
    make_records(vault)
    return lambda count: add_records(vault, count)


def make_records(vault: psycopg.Connection[Any]) -> None:
    vault.execute(
        "CREATE TABLE records (tenant text, key text, payload bytea NOT NULL, metadata jsonb, "
        "amount numeric(12, 2), updated_at timestamptz DEFAULT clock_timestamp(), "
        "PRIMARY KEY (tenant, key))"
    )


def add_records(vault: psycopg.Connection[Any], count: int) -> None:
    vault.execute(
        "INSERT INTO records SELECT 't' || i %% 7, i::text, decode(md5(i::text), 'hex'), "
        "jsonb_build_object('n', i, 'big', 12345678901234567890 + i), i / 100.0 "
        "FROM generate_series((SELECT count(*) FROM records) + 1, "
        "(SELECT count(*) FROM records) + %s) AS i",
        [count],
    )


@pytest.fixture
def small_chunks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a test has some chunks, and a run shows itself after each of them."""
    settings.PIPELINE_CHUNK_MB = 0.15
    settings.PIPELINE_LEASE_S = 2
    monkeypatch.setattr(mover, "SHOW_EVERY_S", 0)


@pytest.fixture
def start(pipeline: Pipeline) -> Callable[[], PipelineRun]:
    """Queues a run as the command does; nobody executes it by itself."""
    return lambda: pipelines.request_run(pipeline, Trigger.COMMAND)


@pytest.fixture
def service_environment() -> dict[str, str]:
    """Environment of a service process of its own, on this test's database."""
    wanted = [
        *("SECRET_KEY", "WAREHOUSE_KEYS", "STAGE_S3_BUCKET", "STAGE_S3_ENDPOINT"),
        *("STAGE_S3_REGION", "STAGE_S3_ACCESS_KEY", "STAGE_S3_SECRET_KEY"),
    ]
    at = database.settings_dict
    return {
        **os.environ,
        **{name: getattr(settings, name) for name in wanted},
        "DATABASE_URL": f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}"
        f"/{at['NAME']}",
        "REDIS_URL": settings.CELERY_BROKER_URL,
        "WAREHOUSE_ALLOWED_PRIVATE_HOSTS": ",".join(settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS),
        "PIPELINE_LEASE_S": "2",
    }


@pytest.fixture
def moved(pipeline: Pipeline, target_table: str) -> Iterator[Callable[..., PipelineTable]]:
    """Sets the mode of the pipeline's table; the source keeps nothing in the end."""

    def of(mode: str, **settings: Any) -> PipelineTable:
        if mode == ReadMode.CURSOR:
            settings = {"cursor_column": "updated_at", **settings}
        spec = TableSpec("public", "records", target_table, mode, **settings)
        pipelines.update(pipeline, {}, [spec])
        return pipeline.tables.get()

    of_pipeline = PipelineTable.objects.filter(pipeline_id=pipeline.pk)
    yield of
    of_pipeline.delete()
    changes.look()
    assert not Followed.objects.exists()


@pytest.fixture
def ended(vault: psycopg.Connection[Any], lake: Any, target_table: str) -> Ended:
    """Execute a run; it must succeed, and the target be as the source is."""

    def check(run: PipelineRun) -> PipelineRun:
        found = runner.execute(run.pk)
        assert found is not None
        assert (found.status, found.error) == (RunStatus.SUCCEEDED, "")
        assert target_rows(lake, target_table) == source_rows(vault)
        return found

    return check


@pytest.fixture
def finish(ended: Ended) -> Finish:
    """Likewise, once nobody else has been heard of for long; its one table."""

    def check(run: PipelineRun) -> TableRun:
        silence(run)
        return ended(run).tables.get()

    return check


@pytest.fixture
def told(settings: Any) -> Iterator[Callable[[], list[str]]]:
    """Ids of the runs that workers were told of, which are taken away."""

    def take() -> list[str]:
        found = broker_messages(settings.CELERY_BROKER_URL)
        return [m["kwargs"]["run_id"] for m in found if m["task"] == "etl.execute_run"]

    take()
    yield take
    take()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A web server on this machine that the operator allows."""
    with receivers.receiver() as found:
        port = found.url.split("/")[2]
        settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS = [
            *settings.WAREHOUSE_ALLOWED_PRIVATE_HOSTS,
            port,
        ]
        yield found


@pytest.fixture
def channel(team: Team, receiver: Receiver) -> AlertChannel:
    return make(team, receiver.url)


def succeed(run: PipelineRun) -> TableRun:
    ended = runner.execute(run.pk)
    assert ended is not None
    assert (ended.status, ended.error) == (RunStatus.SUCCEEDED, "")
    return ended.tables.get()
