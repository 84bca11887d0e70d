import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.files import read_json
from sandbox.guardian import descendants_of
from sandbox.lock import RootLock
from tests.waiting import wait_for

from .conftest import CHECKOUT, is_alive

COMMAND = (sys.executable, str(CHECKOUT / "manage.py"), "sandbox")


def sandbox(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run manage.py sandbox from another folder, without any setting of the service."""
    return subprocess.run(
        [*COMMAND, *arguments, "--root", str(root)],
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def running(root: Path) -> Iterator[Path]:
    up = sandbox("up", "--detach", "--services", "redis", root=root)
    assert up.returncode == 0, up.stdout + up.stderr
    assert [line.split()[0] for line in up.stdout.splitlines()] == ["redis", "Supervisor"]
    yield root
    assert sandbox("down", root=root).returncode == 0


def test_detached_it_stays_until_down(running: Path) -> None:
    supervisor = RootLock(running).holder()
    assert supervisor is not None
    pids = descendants_of(supervisor)
    down = sandbox("down", root=running)
    assert (down.returncode, down.stdout) == (0, f"The sandbox in {running} is stopped.\n")
    assert not any(map(is_alive, [supervisor, *pids]))
    assert not (running / "endpoints.json").exists()


def test_status_is_a_table(running: Path) -> None:
    status = sandbox("status", root=running)
    assert status.returncode == 0
    heading, row = status.stdout.splitlines()
    assert heading.split() == ["service", "state", "pid", "port", "rss"]
    assert row.split()[:2] == ["redis", "ready"]
    url = read_json(running / "endpoints.json")["redis"]["url"]
    assert f":{row.split()[3]}/" in url


def test_status_fails_when_a_service_has_died(running: Path) -> None:
    status = sandbox("status", root=running)
    os.kill(int(status.stdout.splitlines()[1].split()[2]), signal.SIGKILL)
    log = running / "logs" / "supervisor.log"
    assert wait_for(lambda: "redis       ended by itself with status 137" in log.read_text(), 5)
    status = sandbox("status", root=running)
    assert status.returncode == 1
    assert status.stdout.splitlines()[1].split() == [
        "redis",
        "ended",
        "-",
        *status.stdout.split()[8:],
    ]
    assert status.stderr == "CommandError: Ended by itself: redis.\n"


@pytest.mark.parametrize("how", [["--detach"], []])
def test_a_second_up_says_so_and_uses_what_runs(running: Path, how: list[str]) -> None:
    supervisor = RootLock(running).holder()
    again = sandbox("up", *how, "--services", "redis", root=running)
    assert again.returncode == 0, again.stderr
    assert again.stdout == (
        f"A sandbox already runs in {running} (supervisor {supervisor}). Services: redis.\n"
    )
    assert RootLock(running).holder() == supervisor


def test_a_second_up_with_other_services_fails_and_names_them(running: Path) -> None:
    again = sandbox("up", "--services", "redis,s3", root=running)
    assert again.returncode == 1
    assert again.stderr.endswith("It lacks s3; stop it first.\n")


def test_without_a_sandbox_down_succeeds_and_status_does_not(root: Path) -> None:
    down = sandbox("down", root=root)
    assert (down.returncode, down.stdout) == (0, f"No sandbox runs in {root}.\n")
    status = sandbox("status", root=root)
    assert (status.returncode, status.stderr) == (1, f"CommandError: No sandbox runs in {root}.\n")


def test_a_failed_start_says_why(root: Path) -> None:
    up = sandbox("up", "--detach", "--services", "mysql", root=root)
    assert up.returncode == 1
    assert up.stdout.startswith("No service 'mysql'.")
    assert "did not start" in up.stderr


def test_many_ups_at_once_make_one_sandbox(root: Path) -> None:
    starts = [
        subprocess.Popen(
            [*COMMAND, "up", "--detach", "--services", "redis", "--root", str(root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [start.communicate(timeout=60)[0] for start in starts]
    try:
        assert [start.returncode for start in starts] == [0, 0, 0], outputs
        assert sum("keeps it in the background" in output for output in outputs) == 1
        assert sum("already runs" in output for output in outputs) == 2
    finally:
        sandbox("down", root=root)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_ends_it_cleanly(root: Path, number: signal.Signals) -> None:
    up = subprocess.Popen(
        [*COMMAND, "up", "--services", "redis", "--root", str(root)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert up.stdout is not None
    assert "redis" in up.stdout.readline()
    assert up.stdout.readline() == "Ctrl-C stops it.\n"
    pids = descendants_of(up.pid)
    os.killpg(up.pid, number)
    assert up.wait(10) == 0
    assert up.stdout.read() == "Stopping.\n"
    up.stdout.close()
    assert not any(map(is_alive, pids))
    assert not (root / "endpoints.json").exists()
