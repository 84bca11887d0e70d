"""Real sandboxes in folders of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sandbox.services
from sandbox.guardian import descendants_of
from sandbox.supervisor import Sandbox
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]
STANDINS = Path(__file__).parent / "standins"

# Starts a sandbox and stays, as a program that uses the library does. With "fork" it first leaves
# a child behind that holds copies of all its descriptors.
HOST = """
import os, signal, sys, time
from pathlib import Path
import sandbox.services
from sandbox.supervisor import Sandbox
# What a shell runs in the background is deaf to Ctrl-C, and so would this be.
signal.signal(signal.SIGINT, signal.default_int_handler)
root, services, standins, how = sys.argv[1:]
sandbox.services.__path__.append(standins)
with Sandbox(Path(root), services.split(","), lambda line: print(line, flush=True), grace_s=1.0):
    if how == "fork" and os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print("up", flush=True)
    time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody has collected yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def command_lines() -> str:
    """Return every process's command line and environment that we may read."""
    found = []
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            # The process has ended, or is somebody else's.
            found.append("")
    return "\n".join(found)


class Host:
    """A process that runs a sandbox, in a process group of its own."""

    def __init__(self, root: Path, services: str, how: str = "plain") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOST, str(root), services, str(STANDINS), how],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_up(self) -> list[str]:
        """Return what it reported until all was healthy."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            if line.strip() == "up":
                return lines
            lines.append(line.rstrip())
        raise AssertionError(f"did not come up: {lines}")

    def pids(self) -> list[int]:
        """List all that runs below it."""
        return descendants_of(self.pid)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def start_host(root: Path) -> Iterator[Callable[..., Host]]:
    """Start hosts of a sandbox in `root`; they are killed at the end."""
    hosts: list[Host] = []

    def start(services: str, how: str = "plain") -> Host:
        hosts.append(Host(root, services, how))
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def root() -> Iterator[Path]:
    """Return an empty folder that other users can pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="test-sandbox-"))
    folder.chmod(0o711)
    yield folder / "box"
    until(lambda: _removed(folder), 10)


@pytest.fixture(scope="session")
def box() -> Iterator[Sandbox]:
    """Return a running sandbox with postgres, redis and s3, shared by all tests."""
    folder = Path(tempfile.mkdtemp(prefix="test-sandbox-"))
    folder.chmod(0o711)
    with Sandbox(folder, ("postgres", "redis", "s3")) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def standins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let services of the tests' own folder be found by name."""
    monkeypatch.setattr(sandbox.services, "__path__", [*sandbox.services.__path__, str(STANDINS)])


def _removed(folder: Path) -> bool:
    # A killed sandbox's last processes may still write while this removes.
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
