"""The engine is killed under load: nothing acknowledged is lost, and everybody goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.service.running import CHECKOUT, environment, manage
from tests.store.conftest import OURS
from tests.store.running import Engine
from tests.waiting import until, wait_for
from warehouse.store import client, ddl, names

WRITERS, READERS = 2, 1
KILLS = 2
BACK_S = 20


@pytest.fixture
def doomed(tmp_path: Path, settings: Any, django_db_setup: None) -> Any:
    """An engine for this test alone."""
    with Engine(tmp_path) as engine:
        engine.use(settings)
        database = client.create_database(OURS)
        client.owner().command(
            ddl.create_table(database, "log", [("writer", "Int64"), ("n", "Int64")], ["writer"])
        )
        yield engine


def start(engine: Engine, what: str, number: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.load", what, str(number)],
        cwd=CHECKOUT,
        env=environment(
            DJANGO_SETTINGS_MODULE="service.settings", STORE_PATH=str(engine.home.path)
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_engine_loses_nothing_that_was_acknowledged(doomed: Engine) -> None:
    loads = [start(doomed, "write", number) for number in range(WRITERS)]
    loads += [start(doomed, "read", number) for number in range(READERS)]
    try:
        for load in loads:
            assert load.stdout is not None
            assert load.stdout.readline() == "started\n"
        for _ in range(KILLS):
            time.sleep(1)
            killed, since = doomed.kill(), time.monotonic()
            wait_for(lambda ended=killed: doomed.pid not in (0, ended), BACK_S)
            doomed.await_answer()
            assert time.monotonic() - since < BACK_S
        time.sleep(1)
        said = [json.loads(load.communicate("stop\n", timeout=30)[0]) for load in loads]
    finally:
        for load in loads:
            load.kill()
    writers, readers = said[:WRITERS], said[WRITERS:]
    written = rows()
    for number, writer in enumerate(writers):
        assert writer["acknowledged"] > KILLS
        assert set(written[number]) == set(range(writer["acknowledged"]))
        # Only what was in doubt, and so was sent again, can be there twice.
        assert written[number].total() - len(written[number]) <= sum(writer["errors"].values())
        assert writer["errors"]
    assert all(reader["read"] > KILLS for reader in readers)
    said_by_keeper = doomed.log.read_text()
    for pause_s in ("0.1", "0.2"):
        assert f"started again in {pause_s} s" in said_by_keeper
    for load in said:
        assert set(load["errors"]) <= {"store_unavailable", "store_lost"}, load["errors"]


def rows() -> dict[int, Counter[int]]:
    """How often each number is there, by writer."""
    sql = f"SELECT writer, n FROM {names.database(OURS)}.log"
    found: dict[int, Counter[int]] = {number: Counter() for number in range(WRITERS)}
    for row in client.owner().query(sql).read_all().to_pylist():
        found[row["writer"]][row["n"]] += 1
    return found


def test_second_keeper_of_a_folder_gives_way(store: Engine) -> None:
    endpoint, engine = store.home.endpoint(), store.pid
    second = manage("engine", env=environment(STORE_PATH=str(store.home.path)))
    assert second.returncode != 0
    assert "already" in second.stderr
    assert (store.home.endpoint(), store.pid) == (endpoint, engine)
    assert client.owner().command("SELECT 1") == 1


def test_engine_goes_with_its_keeper(doomed: Engine) -> None:
    engine = doomed.pid
    keeper = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    assert until(lambda: not Path(f"/proc/{engine}").exists(), 15)
