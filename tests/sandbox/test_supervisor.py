import json
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.files import read_json
from sandbox.guardian import descendants_of
from sandbox.lock import RootLock, SandboxRunning
from sandbox.services import UnknownService
from sandbox.state import read_states, table
from sandbox.supervisor import Sandbox, ServiceFailed
from tests.waiting import until, wait_for

from .conftest import Host, is_alive

StartHost = Callable[..., Host]


def assert_all_gone(pids: list[int], root: Path) -> None:
    assert wait_for(lambda: not any(map(is_alive, pids)), 10), list(filter(is_alive, pids))
    assert RootLock(root).wait_free(10)
    assert not (root / "endpoints.json").exists()


def test_endpoints_are_private_and_gone_after_stop(root: Path) -> None:
    with Sandbox(root, ("redis",)) as box:
        assert stat.S_IMODE(box.endpoints_path.stat().st_mode) == 0o600
        assert json.loads(box.endpoints_path.read_text()) == box.endpoints
        assert set(box.endpoints) == {"redis"}
    assert sorted(path.name for path in root.iterdir()) == ["logs", "redis", "supervisor.pid"]


def test_each_service_reports_once_with_time_and_address(box: Sandbox, root: Path) -> None:
    lines: list[str] = []
    with Sandbox(root, ("redis",), lines.append) as other:
        port = other.endpoints["redis"]["url"].rpartition(":")[2].removesuffix("/0")
    assert len(lines) == 1
    assert lines[0].split() == ["redis", "ready", lines[0].split()[2], "s", f"127.0.0.1:{port}"]


def test_status_shows_every_service_in_aligned_columns(box: Sandbox) -> None:
    states = {state.service: state for state in read_states(box.root)}
    assert {name: state.state for name, state in states.items()} == dict.fromkeys(
        ("postgres", "redis", "s3"), "ready"
    )
    for state in states.values():
        assert state.pid is not None
        assert is_alive(state.pid)
        assert state.rss_mb is not None
        assert state.rss_mb > 1
    assert states["postgres"].port == box.endpoints["postgres"]["port"]
    heading, *rows = table(list(states.values())).splitlines()
    for row in rows:
        assert row.index("ready") == heading.index("state")


def test_a_second_supervisor_is_refused_and_harms_nothing(root: Path) -> None:
    with Sandbox(root, ("redis",)) as box:
        second = Sandbox(root, ("redis",))
        with pytest.raises(SandboxRunning, match=f"already runs in .*supervisor {os.getpid()}"):
            second.start()
        second.stop()
        assert box.endpoints_path.exists()
        assert box.ended() == {}


def test_two_roots_run_side_by_side(box: Sandbox, root: Path) -> None:
    with Sandbox(root, ("postgres", "redis", "s3")) as other:
        for service in ("postgres", "redis", "s3"):
            assert other.endpoints[service] != box.endpoints[service]
        assert other.endpoints["postgres"]["port"] != box.endpoints["postgres"]["port"]


def test_ports_and_secrets_stay_the_same_in_the_next_run(root: Path) -> None:
    with Sandbox(root, ("redis",)) as box:
        before = box.endpoints
    with Sandbox(root, ("redis",)) as box:
        assert box.endpoints == before


@pytest.mark.usefixtures("standins")
def test_a_service_that_dies_is_named_with_the_end_of_its_log(root: Path) -> None:
    with pytest.raises(ServiceFailed) as caught:
        Sandbox(root, ("redis", "logs_and_dies")).start()
    message = str(caught.value)
    assert message.startswith("logs_and_dies: ended with status 3 while starting")
    tail = [line.strip() for line in message.splitlines()[2:]]
    assert len(tail) == 20
    assert tail[-2:-1] == ["line 29"]
    assert "line 9" not in tail
    assert not RootLock(root).is_taken()
    assert not (root / "endpoints.json").exists()


@pytest.mark.usefixtures("standins")
def test_a_service_that_is_never_healthy_is_given_up(root: Path) -> None:
    before = set(descendants_of(os.getpid()))
    with pytest.raises(ServiceFailed, match=r"^never_ready: not healthy within 0\.3 s"):
        Sandbox(root, ("redis", "never_ready"), health_timeout_s=0.3).start()
    assert set(descendants_of(os.getpid())) == before
    assert not RootLock(root).is_taken()


def test_an_unknown_service_is_refused_with_the_known_ones(root: Path) -> None:
    with pytest.raises(UnknownService, match=r"No service 'mysql'. There are: .*postgres.*redis"):
        Sandbox(root, ("mysql",)).start()
    assert not root.exists()


def test_a_service_that_died_is_told_once_and_shown(root: Path) -> None:
    with Sandbox(root, ("redis",)) as box:
        (state,) = read_states(root)
        assert state.pid is not None
        os.kill(state.pid, signal.SIGKILL)
        assert wait_for(lambda: read_states(root)[0].state == "ended", 5)
        assert wait_for(lambda: box.ended() == {"redis": 128 + signal.SIGKILL}, 5)
        assert box.ended() == {}
        assert read_states(root)[0].state == "ended"
        assert f"process {state.pid}" in (root / "logs" / "redis.log").read_text()


def test_services_outlive_the_thread_that_started_them(root: Path) -> None:
    box = Sandbox(root, ("redis",))
    starter = threading.Thread(target=box.start)
    starter.start()
    starter.join()
    try:
        (state,) = read_states(root)
        assert not until(lambda: read_states(root)[0].state != "ready", 1.5)
        assert state.pid is not None
        assert is_alive(state.pid)
    finally:
        box.stop()


def test_no_process_outlives_a_killed_host(root: Path, start_host: StartHost) -> None:
    host = start_host("postgres,redis,s3")
    host.wait_up()
    pids = host.pids()
    # A guardian and a server each, four servers for s3, and Postgres's own children.
    assert len(pids) > 12
    host.signal(signal.SIGKILL)
    assert_all_gone(pids, root)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_a_request_to_end_stops_everything(
    root: Path, start_host: StartHost, number: signal.Signals
) -> None:
    host = start_host("postgres,redis")
    host.wait_up()
    pids = host.pids()
    os.killpg(host.pid, number)
    assert host.process.wait(10) != 0
    assert_all_gone(pids, root)


def test_a_kill_while_starting_leaves_nothing(root: Path, start_host: StartHost) -> None:
    host = start_host("postgres")
    log = root / "postgres" / "initdb.log"
    assert wait_for(lambda: log.exists() and "creating configuration" in log.read_text(), 10)
    pids = host.pids()
    assert len(pids) >= 2
    host.signal(signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_alive, pids)), 10)
    host = start_host("postgres")
    assert [line.split()[:2] for line in host.wait_up()] == [["postgres", "ready"]]


def test_a_root_is_free_again_right_after_a_kill(root: Path, start_host: StartHost) -> None:
    first = start_host("postgres,redis")
    first.wait_up()
    first.signal(signal.SIGKILL)
    second = start_host("postgres,redis")
    second.wait_up()
    assert RootLock(root).holder() == second.pid


def test_copies_of_the_pipe_in_a_fork_do_not_keep_services_alive(
    root: Path, start_host: StartHost
) -> None:
    host = start_host("redis", "fork")
    host.wait_up()
    guardians = read_json(root / "state.json")["redis"]["guardians"]
    pids = [*guardians, *descendants_of(guardians[0])]
    host.signal(signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_alive, pids)), 10)


def test_processes_that_ignore_the_request_are_killed_in_any_session(
    root: Path, start_host: StartHost
) -> None:
    host = start_host("stubborn")
    host.wait_up()
    pids = [int(path.name.partition("-")[2]) for path in (root / "stubborn").glob("running-*")]
    assert len(pids) == 2
    assert len({os.getsid(pid) for pid in pids}) == 2
    host.signal(signal.SIGKILL)
    assert_all_gone(pids, root)


def test_a_killed_guardian_takes_its_process_along(root: Path) -> None:
    with Sandbox(root, ("redis",)):
        (guardian,) = read_json(root / "state.json")["redis"]["guardians"]
        (server,) = descendants_of(guardian)
        os.kill(guardian, signal.SIGKILL)
        assert wait_for(lambda: not is_alive(server), 5)


def test_every_failure_a_person_can_act_on_has_one_root() -> None:
    assert issubclass(ServiceFailed, SandboxError)
    assert issubclass(SandboxRunning, SandboxError)
