"""Reading from a standby: it shows no open transaction's beginning, and no row is lost for that."""

import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors import Connector
from connectors.abilities import Extract, Increment, ReadPlan
from connectors.postgres import cursor
from connectors.types import Watermark
from sandbox.postgres_binaries import find_binaries
from sandbox.reach import folder_for, give_to, unprivileged_user
from sandbox.services.base import free_port
from tests.connectors.reading import CHUNK_BYTES, batches_of
from tests.waiting import wait_for

Owner = psycopg.Connection[Any]
Words = list[str]
BY_CURSOR = Increment(cursor="at", sweep_after_s=86_400.0)
ONCE = Increment(once=True)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, endpoints: dict[str, Any]) -> Iterator[int]:
    """Of a standby that follows the sandbox's Postgres."""
    user = unprivileged_user("postgres")
    place = folder_for(user, tmp_path_factory.mktemp("standby"))
    binaries = find_binaries(user, place)
    account = pwd.getpwnam(user) if user else None
    who: dict[str, Any] = (
        {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    )
    data, found = place / "standby", free_port()
    data.mkdir(mode=0o700)
    give_to(user, data)
    source: dict[str, Any] = conninfo_to_dict(endpoints["postgres"]["superuser_dsn"])
    password = str(source.pop("password"))
    with (place / "standby.log").open("wb") as log:
        common: dict[str, Any] = {"cwd": "/", "stdout": log, "stderr": log, **who}
        copied = [str(binaries / "pg_basebackup"), "-D", str(data), "-R", "--checkpoint=fast"]
        copied += ["-d", make_conninfo(**source)]
        subprocess.run(
            copied, check=True, timeout=120, env=os.environ | {"PGPASSWORD": password}, **common
        )
        settings = {
            "port": found,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_prepared_transactions": 8,
            "shared_buffers": "16MB",
            "hot_standby_feedback": "on",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen([str(binaries / "postgres"), "-D", str(data), *options], **common)
    try:
        wait_for(lambda: _answers(source | {"port": found, "password": password}), 60)
        yield found
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _answers(where: dict[str, Any]) -> bool:
    try:
        psycopg.connect(**where).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def extract(
    port: int, opened: Callable[..., Connector], owner: Owner, source: str
) -> Callable[..., tuple[ReadPlan, Words]]:
    """Read the standby once it has what the source has; the plan and the words, sorted."""
    connector = opened("postgres", port=port)
    assert isinstance(connector, Extract)
    reached = "SELECT pg_last_wal_replay_lsn() >= '{}'"

    def run(how: Increment, since: Watermark | None = None) -> tuple[ReadPlan, Words]:
        # A commit there need not be on the disk as yet.
        owner.execute("CREATE TABLE IF NOT EXISTS flushed (nothing int)")
        with owner.transaction():
            owner.execute("SET LOCAL synchronous_commit = on")
            owner.execute("INSERT INTO flushed VALUES (1)")
        (at,) = owner.execute("SELECT pg_current_wal_flush_lsn()").fetchone() or ("",)
        wait_for(lambda: connector.query(reached.format(at)).read_all().column(0)[0].as_py(), 30)
        plan = connector.plan(source, "events", since, CHUNK_BYTES, how)
        return plan, sorted(
            row["word"] for batch in batches_of(connector, plan) for row in batch.to_pylist()
        )

    return run


@pytest.fixture
def events(owner: Owner, source: str) -> Iterator[str]:
    owner.execute(f"CREATE TABLE {source}.events (word text, at timestamptz DEFAULT now())")
    owner.execute(f"CREATE INDEX ON {source}.events (at)")
    owner.execute(f"INSERT INTO {source}.events VALUES ('a')")
    yield f"{source}.events"
    owner.execute("DROP TABLE IF EXISTS flushed")


def test_standby_is_read_by_transactions_in_place_of_the_cursor(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    late = writer()
    late.execute("SAVEPOINT part")
    late.execute(f"INSERT INTO {events} VALUES ('late', '2001-02-03')")
    first, words = extract(BY_CURSOR)
    assert (first.note, words) == (cursor.STANDBY, ["a"])
    owner.execute(f"INSERT INTO {events} VALUES ('b')")
    second, words = extract(BY_CURSOR, first.watermark)
    assert (second.since, second.cursor, second.note) == (first.watermark, "", cursor.STANDBY)
    assert "b" in words
    late.commit()
    assert "late" in extract(BY_CURSOR, second.watermark)[1]


def test_table_that_grows_is_read_once_from_a_standby(
    events: str, owner: Owner, extract: Any, writer: Any
) -> None:
    late = writer()
    late.execute(f"INSERT INTO {events} VALUES ('late')")
    parts = writer()
    parts.execute("SAVEPOINT part")
    parts.execute(f"INSERT INTO {events} VALUES ('part')")
    parts.execute("RELEASE part")
    first, words = extract(ONCE)
    assert (first.note, words) == ("", ["a"])
    parts.commit()
    second, words = extract(ONCE, first.watermark)
    assert (second.note, words) == ("", ["part"])
    assert extract(ONCE, second.watermark)[1] == []
    late.commit()
    third, words = extract(ONCE, second.watermark)
    assert words == ["late"]
    assert extract(ONCE, third.watermark)[1] == []
