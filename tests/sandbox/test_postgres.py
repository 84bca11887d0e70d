import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, errors

from sandbox import postgres_binaries
from sandbox.state import read_states
from sandbox.supervisor import Sandbox, ServiceFailed

from .conftest import CHECKOUT, command_lines

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its processes to others")


def reader_dsn(endpoint: dict[str, Any]) -> str:
    reader = dict(endpoint["reader"])
    return conninfo.make_conninfo(dbname=reader.pop("database"), **reader)


@pytest.fixture
def datavault_table(box: Sandbox) -> Iterator[str]:
    with psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection:
        connection.execute("create table made_later (id int primary key)")
        connection.execute("insert into made_later values (1), (2)")
    yield "made_later"
    with psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection:
        connection.execute("drop table made_later")


def test_the_reader_reads_a_table_made_later(box: Sandbox, datavault_table: str) -> None:
    with psycopg.connect(reader_dsn(box.endpoints["postgres"])) as connection:
        assert connection.execute("select count(*) from made_later").fetchone() == (2,)


def test_the_reader_reads_tables_of_a_schema_made_later(box: Sandbox) -> None:
    with psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection:
        connection.execute("create schema other")
        connection.execute("create table other.made_later as select 7 as n")
    with psycopg.connect(reader_dsn(box.endpoints["postgres"])) as connection:
        assert connection.execute("select n from other.made_later").fetchone() == (7,)
    with psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection:
        connection.execute("drop schema other cascade")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into made_later values (3)",
        "delete from made_later",
        "truncate made_later",
        "create table mine (id int)",
        "create temp table mine (id int)",
        "create schema mine",
    ],
)
def test_the_reader_cannot_write_even_if_it_turns_read_only_off(
    box: Sandbox, datavault_table: str, statement: str
) -> None:
    with psycopg.connect(reader_dsn(box.endpoints["postgres"]), autocommit=True) as connection:
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("insert into made_later values (3)")
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


def test_the_reader_sees_when_other_sessions_began(box: Sandbox) -> None:
    endpoint = box.endpoints["postgres"]
    with (
        psycopg.connect(endpoint["datavault_dsn"]) as other,
        psycopg.connect(reader_dsn(endpoint)) as reader,
    ):
        other.execute("select 1")
        seen = reader.execute(
            "select xact_start is not null from pg_stat_activity where pid = %s",
            [other.info.backend_pid],
        ).fetchone()
    assert seen == (True,)


def test_the_reader_shares_a_snapshot_and_locks_a_table(box: Sandbox, datavault_table: str) -> None:
    with psycopg.connect(reader_dsn(box.endpoints["postgres"])) as connection:
        connection.execute("lock table made_later in access share mode")
        snapshot = connection.execute("select pg_export_snapshot()").fetchone()
    assert snapshot is not None


@pytest.mark.parametrize(
    ("role", "database"),
    [("service", "datavault"), ("datavault", "service"), ("reader", "service")],
)
def test_a_role_cannot_enter_another_ones_database(box: Sandbox, role: str, database: str) -> None:
    endpoint = box.endpoints["postgres"]
    dsn = reader_dsn(endpoint) if role == "reader" else endpoint[f"{role}_dsn"]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(conninfo.make_conninfo(dsn, dbname=database))


def test_the_service_makes_and_drops_its_test_database(box: Sandbox) -> None:
    dsn = conninfo.make_conninfo(box.endpoints["postgres"]["service_dsn"], dbname="postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create database test_of_service")
        connection.execute("drop database test_of_service")


def test_a_wrong_password_is_refused(box: Sandbox) -> None:
    dsn = conninfo.make_conninfo(box.endpoints["postgres"]["service_dsn"], password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)


def test_it_is_ready_for_logical_replication_on_loopback_only(box: Sandbox) -> None:
    with psycopg.connect(box.endpoints["postgres"]["superuser_dsn"]) as connection:
        settings = dict(
            connection.execute(
                "select name, setting from pg_settings where name in "
                "('wal_level', 'listen_addresses', 'unix_socket_directories', 'server_encoding')"
            ).fetchall()
        )
        methods = connection.execute(
            "select distinct auth_method from pg_hba_file_rules"
        ).fetchall()
    assert settings == {
        "wal_level": "logical",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "server_encoding": "UTF8",
    }
    assert methods == [("scram-sha-256",)]


def test_no_password_shows_in_a_command_line_or_log(box: Sandbox) -> None:
    endpoint = box.endpoints["postgres"]
    dsns = [endpoint[key] for key in ("superuser_dsn", "service_dsn", "datavault_dsn")]
    passwords = {str(conninfo.conninfo_to_dict(dsn)["password"]) for dsn in dsns}
    passwords.add(endpoint["reader"]["password"])
    assert len(passwords) == 4
    log = (box.root / "logs" / "postgres.log").read_text()
    seen = command_lines() + log
    assert not [password for password in passwords if password in seen]


def test_rows_and_passwords_survive_a_restart_and_a_stale_process_id(root: Path) -> None:
    with Sandbox(root, ("postgres",)) as box:
        dsn = box.endpoints["postgres"]["datavault_dsn"]
        with psycopg.connect(dsn) as connection:
            connection.execute("create table kept as select 42 as n")
    # As after a kill -9, when the id in the file has been given to somebody else since.
    stale = root / "postgres" / "data" / "postmaster.pid"
    stale.write_text(f"{os.getppid()}\n{stale.parent}\n0\n0\n\n127.0.0.1\n0 0\n")
    with Sandbox(root, ("postgres",)) as box:
        assert box.endpoints["postgres"]["datavault_dsn"] == dsn
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select n from kept").fetchone() == (42,)


def test_a_data_folder_whose_passwords_are_lost_is_not_touched(root: Path) -> None:
    with Sandbox(root, ("postgres",)):
        pass
    (root / "postgres" / "kept.json").unlink()
    with pytest.raises(ServiceFailed, match=r"data was made with other passwords .* Remove it"):
        Sandbox(root, ("postgres",)).start()
    assert (root / "postgres" / "data" / "PG_VERSION").exists()


def test_an_open_session_does_not_hold_up_the_stop(root: Path) -> None:
    with Sandbox(root, ("postgres",)) as box:
        connection = psycopg.connect(box.endpoints["postgres"]["service_dsn"])
        connection.execute("select 1")
        began = time.monotonic()
    assert time.monotonic() - began < 3
    connection.close()


def test_a_busy_session_ends_with_a_killed_server(root: Path) -> None:
    with Sandbox(root, ("postgres",)) as box:
        connection = psycopg.connect(box.endpoints["postgres"]["service_dsn"])
        backend = connection.info.backend_pid
        connection.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000)")
        (state,) = read_states(root)
        assert state.pid is not None
        os.kill(state.pid, signal.SIGKILL)
    assert not Path(f"/proc/{backend}").exists()
    connection.close()


@as_root
def test_under_a_closed_folder_the_data_lives_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with Sandbox(closed / "box", ("postgres",)) as box:
        elsewhere = Path((closed / "box" / "postgres" / "elsewhere").read_text())
        with psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection:
            connection.execute("create table kept as select 42 as n")
    assert closed not in elsewhere.parents
    assert stat.S_IMODE((elsewhere / "data").stat().st_mode) == 0o700
    assert (elsewhere / "data").stat().st_uid != 0
    moved = tmp_path / "moved"
    closed.rename(moved)
    with (
        Sandbox(moved / "box", ("postgres",)) as box,
        psycopg.connect(box.endpoints["postgres"]["datavault_dsn"]) as connection,
    ):
        assert connection.execute("select n from kept").fetchone() == (42,)
    shutil.rmtree(moved)
    with Sandbox(tmp_path / "next", ("postgres",)):
        assert not elsewhere.exists(), "what a removed sandbox left elsewhere is cleaned up"
        (elsewhere,) = [Path((tmp_path / "next" / "postgres" / "elsewhere").read_text())]
    shutil.rmtree(elsewhere)


@as_root
def test_binaries_under_a_closed_folder_are_copied(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres_binaries._wheel()
    if wheel is None:
        pytest.skip("no wheel to hide: this machine uses a system Postgres")
    closed = tmp_path / "site"
    shutil.copytree(wheel, closed / wheel.name)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), closed / f"{wheel.name}.libs")
    (closed / wheel.name / "pginstall18").chmod(0o700)
    monkeypatch.syspath_prepend(str(closed))
    copy = root / "postgres" / "binaries"
    for _ in range(2):
        with Sandbox(root, ("postgres",)) as box:
            server = (copy / wheel.name / "pginstall18" / "bin" / "postgres").stat()
            assert str(copy) in command_lines()
            psycopg.connect(box.endpoints["postgres"]["service_dsn"]).close()
    again = (copy / wheel.name / "pginstall18" / "bin" / "postgres").stat()
    assert again.st_ctime_ns == server.st_ctime_ns, "an equal copy is used again"


def test_without_the_wheel_the_system_server_is_found() -> None:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("no system Postgres on this machine")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from sandbox.postgres_binaries import find_binaries;"
        "from sandbox.reach import unprivileged_user;"
        "print(find_binaries(unprivileged_user('postgres'), Path('/nowhere')))"
    )
    # -S leaves the wheel's folder out.
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert found.stdout.startswith("/usr/")
