"""The engine's process: who may come in, what it knows, what it can reach."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.errors import ConnectorError
from tests.store.conftest import OURS
from tests.store.running import Engine
from warehouse.store import client, names
from warehouse.store.engine import landlock
from warehouse.store.engine.home import reader_password


def ask(engine: Engine, sql: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    endpoint = engine.home.endpoint()
    assert endpoint is not None
    return requests.post(
        f"http://{endpoint.address}/", data=sql, headers=headers, params=params, timeout=10
    )


def owner_key(engine: Engine) -> dict[str, str]:
    endpoint = engine.home.endpoint()
    assert endpoint is not None
    return {"X-ClickHouse-User": "warehouse", "X-ClickHouse-Key": endpoint.token}


@pytest.mark.parametrize(
    "login",
    [
        {},
        {"Authorization": "Basic " + base64.b64encode(b"default:").decode()},
        {"X-ClickHouse-User": "default"},
        {"X-ClickHouse-User": "warehouse"},
        {"X-ClickHouse-User": "warehouse", "X-ClickHouse-Key": "guessed"},
        {"X-ClickHouse-User": names.embedded_reader(OURS), "X-ClickHouse-Key": "guessed"},
    ],
    ids=["nobody", "default, basic", "default", "no token", "wrong token", "wrong reader's"],
)
def test_nobody_without_the_token_is_answered(login: dict[str, str], engine: Engine) -> None:
    for sql in ("SELECT 1", "SELECT * FROM system.users", "SYSTEM STOP LISTEN HTTP"):
        for params in ({}, {"user": "default"}, {"user": "default", "password": ""}):
            answer = ask(engine, sql, login, **params)
            assert answer.status_code in (403, 404, 500), answer.text
            assert answer.text.startswith("Code: 516. ") or answer.status_code == 404
    assert ask(engine, "SELECT 1", owner_key(engine)).text == "1\n"


def test_token_is_taken_as_a_password_too(engine: Engine) -> None:
    endpoint = engine.home.endpoint()
    assert endpoint is not None
    basic = base64.b64encode(f"warehouse:{endpoint.token}".encode()).decode()
    assert ask(engine, "SELECT 2", {"Authorization": f"Basic {basic}"}).text == "2\n"


def test_reader_cannot_tell_another_readers_password() -> None:
    one, other = names.seat_reader(1), names.seat_reader(2)
    assert reader_password("token", one) != reader_password("token", other)
    assert reader_password("token", one) != reader_password("other", one)


def test_it_listens_on_loopback_only(engine: Engine) -> None:
    endpoint = engine.home.endpoint()
    assert endpoint is not None
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{engine.pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[9] in sockets(engine.pid)
    ]
    assert listening == [f"0100007F:{endpoint.port:04X}"]


def sockets(pid: int) -> set[str]:
    links = (os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def test_it_has_none_of_the_services_secrets(engine: Engine) -> None:
    environment = Path(f"/proc/{engine.pid}/environ").read_bytes().split(b"\0")
    assert {entry.split(b"=")[0] for entry in environment if entry} <= {
        *(b"PATH", b"HOME", b"TMPDIR", b"LANG", b"TZ", b"PYTHONPATH", b"LD_LIBRARY_PATH"),
        *(b"LC_CTYPE",),
    }


def test_its_files_are_private(engine: Engine) -> None:
    assert engine.home.path.stat().st_mode & 0o077 == 0
    for name in ("endpoint.json", "run/config.xml", "run/users.xml"):
        assert (engine.home.path / name).stat().st_mode & 0o077 == 0


def test_token_is_nowhere_but_in_the_endpoint(engine: Engine) -> None:
    endpoint = engine.home.endpoint()
    assert endpoint is not None
    for name in ("run/config.xml", "run/users.xml"):
        assert endpoint.token not in (engine.home.path / name).read_text()
    assert endpoint.token not in engine.log.read_text()
    assert endpoint.token.encode() not in Path(f"/proc/{engine.pid}/cmdline").read_bytes()


def test_it_leads_a_process_group_of_its_own(engine: Engine) -> None:
    assert os.getpgid(engine.pid) == engine.pid != os.getpgid(0)


def test_its_owner_cannot_read_files_either(store: Engine, secret_file: Path) -> None:
    """The second layer beneath the second: the kernel's."""
    if "no Landlock here" in store.log.read_text():
        pytest.skip("this kernel has no Landlock")
    assert client.owner().command(f"SELECT file('{secret_file}')") != secret_file.read_text()
    with pytest.raises(ConnectorError):
        client.owner().command(f"SELECT * FROM file('{secret_file}', 'LineAsString')")
    with pytest.raises(ConnectorError):
        client.owner().command(
            f"INSERT INTO FUNCTION file('{secret_file.parent}/new', 'CSV') SELECT 1"
        )
    assert not (secret_file.parent / "new").exists()


def test_landlock_leaves_only_what_is_named(tmp_path: Path) -> None:
    open_to, closed = tmp_path / "open", tmp_path / "closed"
    for folder in (open_to, closed):
        folder.mkdir()
        (folder / "file").write_text("x")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, seen(open_to, closed).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    said = os.read(reader, 100).decode()
    os.close(reader)
    if said == "no Landlock":
        pytest.skip("this kernel has no Landlock")
    assert said == "written; PermissionError"


def seen(open_to: Path, closed: Path) -> str:
    if not landlock.restrict([open_to], []):
        return "no Landlock"
    (open_to / "new").write_text("y")
    try:
        (closed / "file").read_text()
    except OSError as exc:
        return f"written; {type(exc).__name__}"
    return "both"


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_answers_are_packed_as_asked_for(encoding: str, engine: Engine) -> None:
    headers = {**owner_key(engine), "Accept-Encoding": encoding}
    sql = "SELECT number FROM numbers(10000)"
    answer = ask(engine, sql, headers, enable_http_compression=1)
    assert answer.headers["Content-Encoding"] == encoding


def test_temporary_table_lives_as_long_as_its_session(engine: Engine) -> None:
    key = owner_key(engine)
    ask(engine, "CREATE TEMPORARY TABLE x AS SELECT 7 AS n", key, session_id="one")
    assert ask(engine, "SELECT n FROM x", key, session_id="one").text == "7\n"
    assert ask(engine, "SELECT n FROM x", key, session_id="two").status_code == 404


def test_answer_says_what_it_took(engine: Engine) -> None:
    answer = ask(engine, "SELECT 1", owner_key(engine), query_id="mine", wait_end_of_query=1)
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert '"read_rows":"1"' in answer.headers["X-ClickHouse-Summary"]


def test_durability_is_as_promised(store: Engine) -> None:
    sql = "SELECT name FROM system.merge_tree_settings WHERE changed ORDER BY name"
    found = client.owner().query(sql).read_all().column("name").to_pylist()
    assert found == ["fsync_after_insert", "fsync_part_directory", "min_rows_to_fsync_after_merge"]


def test_waits_for_other_systems_are_bounded(store: Engine) -> None:
    sql = (
        "SELECT name, toInt64(value) AS value FROM system.settings WHERE name IN "
        "('s3_retry_attempts', 's3_connect_timeout_ms', 'http_max_tries') ORDER BY name"
    )
    found = client.owner().query(sql).read_all().to_pylist()
    assert [row["value"] for row in found] == [2, 1000, 2]
