"""One Databricks stand-in for all tests that want it: the tests' sandbox has it, or it is started.

Where it cannot run (no Spark environment, no Java for it) the tests are skipped, saying why.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.databricks import server
from sandbox.databricks.server import HISTORY_PATH
from sandbox.databricks.settings import Settings
from sandbox.databricks.spark import unavailable
from sandbox.files import read_json, write_json
from sandbox.services.base import free_port
from sandbox.supervisor import Sandbox
from tests.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[1]

# Runs for hours unless somebody ends it.
ENDLESS = (
    "SELECT count(*) AS n FROM range(1000000000) AS a JOIN range(1000000000) AS b "
    "ON a.id % 7 = b.id % 7 WHERE a.id * b.id % 11 = 3"
)


@dataclass(frozen=True)
class StandIn:
    """A running stand-in: its endpoint, and the folder of its service."""

    endpoint: dict[str, Any]
    home: Path

    def history(self) -> list[dict[str, Any]]:
        """The statements it has been sent, latest first."""
        url = f"http://{self.endpoint['host']}:{self.endpoint['port']}{HISTORY_PATH}"
        headers = {"Authorization": f"Bearer {self.endpoint['token']}"}
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            entries: list[dict[str, Any]] = json.load(answer)["res"]
        return entries

    def entry(self, text: str) -> dict[str, Any]:
        """The latest statement whose text or tags have ``text``."""
        return next(entry for entry in self.history() if text in json.dumps(entry))


class _Shared:
    """The stand-in that this process has started, and how many use it."""

    folder: Path | None = None
    box: Sandbox | None = None
    users = 0


@contextmanager
def running() -> Iterator[StandIn]:
    """The stand-in; started for the first that asks, stopped after the last."""
    if reason := unavailable():
        pytest.skip(reason)
    shared = Path(os.environ.get("SANDBOX_HOME", ""))
    if "databricks" in (endpoints := read_json(shared / "endpoints.json")):
        yield StandIn(endpoints["databricks"], shared / "databricks")
        return
    _Shared.users += 1
    try:
        yield _started()
    finally:
        _Shared.users -= 1
        if _Shared.users == 0 and _Shared.box and _Shared.folder:
            _Shared.box.stop()
            _Shared.box = None
            shutil.rmtree(_Shared.folder, ignore_errors=True)


def _started() -> StandIn:
    if _Shared.box is None:
        _Shared.folder = Path(tempfile.mkdtemp(prefix="test-databricks-"))
        _Shared.box = Sandbox(_Shared.folder, ("databricks",))
        _Shared.box.start()
    assert _Shared.folder is not None
    return StandIn(_Shared.box.endpoints["databricks"], _Shared.folder / "databricks")


class Bridge:
    """A bridge of a test's own before the same Spark, which may be stopped and killed."""

    def __init__(self, folder: Path, standin: StandIn, **changes: Any) -> None:
        port = free_port()
        path = folder / "bridge.json"
        write_json(path, read_json(standin.home / "settings.json") | {"port": port} | changes)
        self.endpoint = standin.endpoint | {"port": port}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.databricks", str(path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])},
            cwd=folder,
        )

    def is_up(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.endpoint['port']}/healthz"
            with urllib.request.urlopen(url, timeout=1):
                return True
        except urllib.error.HTTPError:
            # It answers, if only that there is no Spark.
            return True
        except OSError:
            return False


@contextmanager
def bridge(folder: Path, standin: StandIn, **changes: Any) -> Iterator[Bridge]:
    """Run one; it answers on entry and is gone on exit."""
    started = Bridge(folder, standin, **changes)
    try:
        assert wait_for(started.is_up, 30)
        yield started
    finally:
        started.process.kill()
        started.process.wait(5)


@contextmanager
def bridge_here(standin: StandIn, **changes: Any) -> Iterator[dict[str, Any]]:
    """The endpoint of a bridge in this process, before the same Spark: quicker than one to kill."""
    settings = read_json(standin.home / "settings.json") | {"port": 0} | changes
    with server.Bridge(Settings(**settings)) as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield standin.endpoint | {"port": started.server_port}
        finally:
            started.shutdown()
            thread.join()
