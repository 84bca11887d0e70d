"""The process: configuration, stopping, and what is still there after a restart."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector.cursor import SnowflakeCursor

from sandbox.services.base import accepts_connections
from sandbox.services.snowflake import Snowflake
from tests.waiting import wait_for

from .conftest import ENDLESS, rows, value
from .standin import BUCKET, CHECKOUT, PASSWORD, Lake, StandIn, own_environment

Launch = Callable[[], Any]
COPY = (
    "COPY INTO T FROM @LAKE/restart/ FILES = ('a.parquet') MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
)


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox.snowflake", *arguments],
        cwd=CHECKOUT,
        env=own_environment() | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_does_not_start_without_a_configuration() -> None:
    ended = start()
    assert ended.returncode == 2
    assert "SANDBOX_SNOWFLAKE_CONFIG" in ended.stderr


def test_it_does_not_start_from_a_file_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(0o644)
    ended = start(SANDBOX_SNOWFLAKE_CONFIG=str(path))
    assert ended.returncode == 2
    assert "0600" in ended.stderr


def test_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.touch(0o600)
    path.write_text(json.dumps({"home": "/nowhere", "warehouses": []}))
    ended = start(str(path))
    assert ended.returncode == 2
    assert "users" in ended.stderr


def test_committed_data_survive_a_stop_and_a_kill_and_open_transactions_do_not(
    launch: Launch, lake: Lake
) -> None:
    lake.put("restart/a.parquet", a=[1])
    with launch() as standin:
        cursor = standin.connect().cursor()
        cursor.execute("CREATE TABLE T (A INT PRIMARY KEY, L TIMESTAMP_LTZ)")
        cursor.execute(f"CREATE STAGE LAKE URL = 's3://{BUCKET}/' FILE_FORMAT = (TYPE = PARQUET)")
        cursor.execute("CREATE VIEW V AS SELECT A / 2 AS HALF FROM T")
        cursor.execute(COPY)
        for number in (signal.SIGTERM, signal.SIGKILL):
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO T (A) VALUES (2)")
            standin.stop(number)
            standin.start()
            with pytest.raises(snowflake.connector.errors.ProgrammingError) as caught:
                cursor.execute("COMMIT")
            assert caught.value.errno == 390111
            cursor = standin.connect().cursor()
            check_what_is_left(cursor)


def check_what_is_left(cursor: SnowflakeCursor) -> None:
    assert rows(cursor, "SELECT A FROM T") == [(1,)]
    assert value(cursor, "SELECT HALF FROM V") == 0.5
    assert rows(cursor, COPY)[0][1] == "LOAD_SKIPPED"
    assert [row[:2] for row in rows(cursor, "DESC TABLE T")] == [
        ("A", "NUMBER(38,0)"),
        ("L", "TIMESTAMP_LTZ(9)"),
    ]
    sql = "SELECT ROW_COUNT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'T'"
    assert value(cursor, sql) == 1


def test_it_stops_within_two_seconds_whatever_runs(launch: Launch) -> None:
    with launch() as standin:
        cursors = [standin.connect().cursor() for _ in range(3)]
        for cursor in cursors:
            cursor.execute_async(ENDLESS)
        waiting = standin.connect(network_timeout=1).cursor()
        threading.Thread(target=lambda: failing(waiting, ENDLESS), daemon=True).start()
        time.sleep(0.3)
        assert standin.stop() < 2
        assert standin.process.returncode == 0
        assert not accepts_connections(standin.port)


def test_no_secret_shows_in_arguments_or_log(standin: StandIn) -> None:
    with standin.connect() as connection:
        connection.cursor().execute("SELECT 'a secret of somebody'")
    assert standin.process is not None
    arguments = Path(f"/proc/{standin.process.pid}/cmdline").read_text()
    for text in (PASSWORD, "a secret of somebody"):
        assert text not in arguments + standin.log()


def test_results_left_behind_are_private(standin: StandIn) -> None:
    with standin.connect() as connection:
        connection.cursor().execute("SELECT SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => 100000))")
    for path in standin.home.rglob("*"):
        assert not path.stat().st_mode & 0o077 or path.name == "log"


def test_the_service_seeds_a_database_with_a_stage_and_keeps_its_secrets(
    tmp_path: Path, lake: Lake
) -> None:
    endpoints: dict[str, dict[str, Any]] = {"s3": {**lake.storage(), "bucket": BUCKET}}
    for _ in range(2):
        service = Snowflake(tmp_path, endpoints)
        endpoint = endpoints["snowflake"] = service.plan()
        service.prepare()
        assert not service.ready()
        (process,) = service.processes()
        assert endpoint["password"] not in " ".join(process.argv)
        running = subprocess.Popen(
            process.argv, env=own_environment(), cwd=tmp_path, stderr=subprocess.DEVNULL
        )
        try:
            assert wait_for(service.ready, 20)
            service.seed()
            service.seed()
            check_endpoint(endpoint, lake)
        finally:
            running.terminate()
            running.wait(5)
    assert (os.stat(tmp_path / "config.json").st_mode & 0o077) == 0


def check_endpoint(endpoint: dict[str, Any], lake: Lake) -> None:
    lake.put("service/a.parquet", a=[1])
    fields = "account user password host port protocol warehouse database schema".split()
    with snowflake.connector.connect(
        **{name: endpoint[name] for name in fields}, platform_detection_timeout_seconds=0
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE OR REPLACE TABLE T (A INT)")
        cursor.execute(
            f"COPY INTO T FROM @{endpoint['stage']}/service/ FILE_FORMAT = (TYPE = PARQUET) "
            "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        )
        assert value(cursor, "SELECT A FROM T") == 1


def failing(cursor: Any, sql: str) -> None:
    with pytest.raises(snowflake.connector.errors.Error):
        cursor.execute(sql)
