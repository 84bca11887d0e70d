"""A face process of a test's own, over the Postgres that the sandbox's face stands before."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.files import read_json, write_json
from sandbox.services.base import accepts_connections, free_port
from tests.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[1]


class Face:
    """A face process, started without the supervisor; it may be stopped and killed."""

    def __init__(self, folder: Path, endpoint: dict[str, Any], changes: dict[str, Any]) -> None:
        self.port = free_port()
        self.endpoint = endpoint | {"port": self.port}
        home = Path(endpoint["sslrootcert"]).parent
        settings = read_json(home / "settings.json") | {"port": self.port} | changes
        write_json(folder / "settings.json", settings)
        environment = {
            "SANDBOX_REDSHIFT_SETTINGS": str(folder / "settings.json"),
            "PYTHONPATH": str(CHECKOUT),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.redshift", "face"],
            env=os.environ | environment,
            cwd=folder,
        )

    def peak_mb(self) -> float:
        """The most memory it has held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


@contextmanager
def running(folder: Path, endpoint: dict[str, Any], **changes: Any) -> Iterator[Face]:
    """A face with other settings; it listens on entry and is gone on exit."""
    face = Face(folder, endpoint, changes)
    try:
        wait_for(lambda: accepts_connections(face.port), 10)
        yield face
    finally:
        face.process.kill()
        face.process.wait(5)
