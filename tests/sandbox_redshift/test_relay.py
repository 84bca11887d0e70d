import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.files import read_json, write_json
from sandbox.redshift.statements import Translator
from tests.redshift_standin import CHECKOUT, Face
from tests.waiting import until, wait_for

from .conftest import sign_in

RunFace = Callable[..., AbstractContextManager[Face]]

ROWS, WIDTH = 200_000, 1_000
BIG = f"SELECT repeat('x', {WIDTH}) FROM generate_series(1, {ROWS})"
FACE_MAY_GROW_MB = 24


def backends(watcher: psycopg.Connection[Any], mark: str, state: str = "%") -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state LIKE %s"
    row = watcher.execute(query, [mark, state]).fetchone()
    return int(row[0]) if row else 0


def test_a_large_result_passes_through_in_little_memory(run_face: RunFace) -> None:
    with run_face() as face, sign_in(face.endpoint) as connection:
        before = face.peak_mb()
        rows = connection.cursor().stream(BIG, size=1000)
        # While nobody reads on, neither does the face.
        assert next(rows) == ("x" * WIDTH,)
        assert not until(lambda: face.peak_mb() - before > FACE_MAY_GROW_MB, 1)
        assert sum(1 for _ in rows) == ROWS - 1
        assert face.peak_mb() - before < FACE_MAY_GROW_MB


def test_a_large_upload_passes_through_in_little_memory(run_face: RunFace) -> None:
    with run_face() as face:
        before = face.peak_mb()
        dsn = face.endpoint["owner_dsn"]
        with psycopg.connect(dsn, port=face.endpoint["port"]) as connection:
            connection.execute("CREATE TEMPORARY TABLE uploaded (v text)")
            with connection.cursor().copy("COPY uploaded FROM STDIN") as copy:
                for _ in range(50):
                    copy.write(("y" * 1000 + "\n") * 1000)
            assert connection.execute("SELECT count(*) FROM uploaded").fetchone() == (50_000,)
        assert face.peak_mb() - before < FACE_MAY_GROW_MB


def test_query_group_is_a_setting_like_any_other(endpoint: dict[str, Any]) -> None:
    with sign_in(endpoint) as connection:
        connection.execute("SET query_group TO 'Monday'")
        assert connection.execute("SHOW query_group").fetchone() == ("Monday",)
        connection.execute("BEGIN; SET LOCAL query_group = 'Tuesday'")
        assert connection.execute("show query_group").fetchone() == ("Tuesday",)
        connection.execute("ROLLBACK; RESET query_group")
        assert connection.execute("SELECT 'SET ' || 'query_group'").fetchone() == (
            "SET query_group",
        )


@pytest.mark.parametrize("size", [1, 4, 7, 1000])
def test_a_setting_is_found_in_whatever_pieces_it_comes(size: int) -> None:
    def query(text: bytes) -> bytes:
        return struct.pack("!cI", b"Q", len(text) + 4) + text

    given = query(b"SET query_group TO 1\0") + b"P\0\0\0\x08abcd" + query(b"x" * 100_000)
    translator = Translator()
    pieces = [given[at : at + size] for at in range(0, len(given), size)]
    assert b"".join(map(translator.translate, pieces)) == given.replace(
        query(b"SET query_group TO 1\0"), query(b"SET redshift.query_group TO 1\0")
    )


def test_many_clients_are_served_at_once(endpoint: dict[str, Any]) -> None:
    query = "SELECT count(*), pg_sleep(0.2) FROM generate_series(1, %s)"
    with ExitStack() as stack, ThreadPoolExecutor(50) as threads:
        sessions = [stack.enter_context(sign_in(endpoint)) for _ in range(50)]
        answers = threads.map(lambda one: one[1].execute(query, [one[0]]), enumerate(sessions))
        assert [row[0] for answer in answers if (row := answer.fetchone())] == list(range(50))


def test_a_cancel_request_reaches_the_server(
    endpoint: dict[str, Any], watcher: psycopg.Connection[Any]
) -> None:
    with (
        sign_in(endpoint, application_name="to-cancel") as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        running = threads.submit(connection.execute, "SELECT pg_sleep(60)")
        assert wait_for(lambda: backends(watcher, "to-cancel", "active") == 1, 5)
        connection.cancel_safe(timeout=5)
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(5)
        assert backends(watcher, "to-cancel", "active") == 0


@pytest.mark.parametrize("sslmode", ["require", "disable"])
def test_a_client_that_goes_away_leaves_no_backend(
    endpoint: dict[str, Any], watcher: psycopg.Connection[Any], sslmode: str
) -> None:
    connection = sign_in(endpoint, application_name="gone", sslmode=sslmode)
    next(connection.cursor().stream(BIG))
    assert backends(watcher, "gone") == 1
    # As a killed process leaves it: the socket closes and nothing is said.
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)
    assert wait_for(lambda: backends(watcher, "gone") == 0, 10)
    connection.close()


def test_a_face_that_dies_takes_its_clients_along(
    run_face: RunFace, watcher: psycopg.Connection[Any]
) -> None:
    with run_face() as face:
        connection = sign_in(face.endpoint, application_name="orphan")
        rows = connection.cursor().stream(BIG)
        next(rows)
        face.process.kill()
        with pytest.raises(psycopg.OperationalError):
            list(rows)
        assert wait_for(lambda: backends(watcher, "orphan") == 0, 10)


def test_settings_that_others_can_read_are_refused(
    endpoint: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "settings.json"
    write_json(path, read_json(Path(endpoint["sslrootcert"]).parent / "settings.json"))
    path.chmod(stat.S_IRUSR | stat.S_IRGRP)
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox.redshift", "face"],
        env=os.environ | {"SANDBOX_REDSHIFT_SETTINGS": str(path), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == 2
    assert "can be read by others" in ended.stderr
