"""The process: how it starts and ends, what it shows, and how it answers what it does not know."""

import json
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery

from sandbox.services.bigquery import BigQuery, NoEmulator
from sandbox.supervisor import Sandbox
from tests.waiting import wait_for

from .conftest import ENDLESS, Client, Server, command_line, connect, rows

Run = Callable[..., AbstractContextManager[Server]]


def send(
    endpoint: dict[str, Any], client: Client, method: str, path: str, **more: Any
) -> requests.Response:
    rows(client, "SELECT 1")
    headers = {"Authorization": f"Bearer {client._credentials.token}", **more.pop("headers", {})}
    url = endpoint["api_endpoint"] + path
    return requests.request(method, url, headers=headers, timeout=5, **more)


def cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def memory_kb(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss) // 1024


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the addresses a process accepts connections on."""
    found = psutil.Process(pid).net_connections(kind="tcp")
    open_ones = [one.laddr for one in found if one.status == psutil.CONN_LISTEN]
    return {(address.ip.removeprefix("::ffff:"), address.port) for address in open_ones}


def test_it_is_ready_soon_and_shows_little(run_server: Run) -> None:
    with run_server() as server:
        pid = server.process.pid
        # Seconds of a processor, however many others want one: a bit more than one.
        assert cpu_s(pid) < 6
        assert memory_kb(pid) < 350_000
        assert "PRIVATE KEY" not in command_line(pid) + server.settings.read_text()
        ports = {server.port, server.storage_port}
        assert listening(pid) == {("127.0.0.1", port) for port in ports}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_sigterm_ends_it_within_two_seconds(run_server: Run, busy: bool) -> None:
    with run_server() as server:
        client = server.client()
        job = client.query(ENDLESS if busy else "SELECT 1")
        assert wait_for(lambda: client.get_job(job.job_id).state != "PENDING", 3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
        assert time.monotonic() - began < 2


def test_a_client_that_waits_for_a_result_does_not_hold_up_the_end(run_server: Run) -> None:
    with run_server() as server:
        client = server.client()
        job = client.query(ENDLESS)
        url = f"/bigquery/v2/projects/{server.endpoint['project']}/queries/{job.job_id}"
        headers = {"Authorization": f"Bearer {client._credentials.token}"}
        with pytest.raises(requests.Timeout):
            requests.get(
                server.endpoint["api_endpoint"] + url,
                params={"timeoutMs": 60000},
                headers=headers,
                timeout=0.3,
            )
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(5)
        assert time.monotonic() - began < 2


def test_settings_that_others_can_read_are_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.settings.chmod(0o644)
    _, complaint = server.start().communicate(timeout=10)
    assert server.process.returncode == 2
    assert "make it mode 0600" in complaint


def test_incomplete_settings_are_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.settings.write_text(json.dumps({"project": "p"}))
    _, complaint = server.start().communicate(timeout=10)
    assert server.process.returncode == 2
    assert "incomplete" in complaint


def test_a_port_that_is_taken_ends_it_at_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        _, complaint = server.start().communicate(timeout=10)
    assert server.process.returncode != 0
    assert "address already in use" in complaint


def test_a_missing_interpreter_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_BIGQUERY_PYTHON", str(tmp_path / "nowhere"))
    endpoints: dict[str, dict[str, Any]] = {}
    service = BigQuery(tmp_path, endpoints)
    endpoints["bigquery"] = service.plan()
    with pytest.raises(NoEmulator, match="make sandbox-env"):
        service.prepare()


def test_a_second_start_keeps_ports_and_keys(tmp_path: Path) -> None:
    with Sandbox(tmp_path, ("bigquery",)) as box:
        first = box.endpoints["bigquery"]
        kept = box.root / "bigquery" / "kept.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with Sandbox(tmp_path, ("bigquery",)) as box:
        assert box.endpoints["bigquery"] == first
        client = connect(first, "service_account")
        assert rows(client, "SELECT COUNT(*) AS n FROM analytics.usage") == [{"n": 20000}]


def test_seeding_again_changes_nothing(
    endpoint: dict[str, Any], reader: Client, tmp_path: Path
) -> None:
    sql = "SELECT SUM(plan_id) AS a, SUM(price) AS b, MAX(created_at) AS c FROM analytics.plans"
    before = rows(reader, sql)
    BigQuery(tmp_path, {"bigquery": endpoint}).seed()
    assert rows(reader, sql) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("POST", "/bigquery/v2/projects/sandbox-project/jobs", "{", 400, "invalid"),
        ("POST", "/bigquery/v2/projects/sandbox-project/queries", "[]", 400, "invalid"),
        ("POST", "/bigquery/v2/projects/sandbox-project/queries", "", 501, "notImplemented"),
        ("GET", "/bigquery/v2/projects/sandbox-project/nothing", "", 501, "notImplemented"),
        ("PUT", "/bigquery/v2/projects/sandbox-project/jobs", "", 501, "notImplemented"),
        ("GET", "/discovery/v1/apis", "", 501, "notImplemented"),
        ("GET", "/bigquery/v2/projects/sandbox-project/jobs?maxResults=x", "", 400, "invalid"),
    ],
)
def test_what_it_does_not_understand_ends_in_googles_error(
    endpoint: dict[str, Any],
    admin: Client,
    method: str,
    path: str,
    body: str,
    status: int,
    why: str,
) -> None:
    answer = send(endpoint, admin, method, path, data=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (status, why)


def test_a_body_that_is_no_gzip_is_refused(endpoint: dict[str, Any], reader: Client) -> None:
    path = "/bigquery/v2/projects/sandbox-project/queries"
    answer = send(
        endpoint, reader, "POST", path, data=b"plain", headers={"Content-Encoding": "gzip"}
    )
    assert answer.status_code == 400


def test_a_failure_nobody_expected_is_not_tried_again(admin: Client, dataset: str) -> None:
    schema = [bigquery.SchemaField("n", "BIGNUMERIC")]
    table = admin.create_table(bigquery.Table(f"{admin.project}.{dataset}.t", schema=schema))
    began = time.monotonic()
    with pytest.raises(exceptions.MethodNotImplemented):
        admin.insert_rows_json(table, [{"n": "1.5"}])
    assert time.monotonic() - began < 2


def test_the_health_check_asks_for_no_token(endpoint: dict[str, Any]) -> None:
    answer = requests.get(f"{endpoint['api_endpoint']}/healthz", timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
