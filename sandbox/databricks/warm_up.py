"""`python -m sandbox.databricks.warm_up`: make Spark start in half the time from now on.

Runs the stand-in once, in a folder of its own, and keeps the classes it loaded as Java had them
in memory. They stay in Spark's environment; without them the stand-in only starts more slowly.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sandbox.databricks import spark
from sandbox.errors import SandboxError
from sandbox.guarded import Guarded
from sandbox.services.base import Process
from sandbox.services.databricks import Databricks

_START_S = 120
_DUMP_S = 90


class NotWarm(SandboxError):
    """The stand-in did not come up, or Java kept nothing."""


def main() -> int:
    """Return the exit code: 0 when there is an archive now."""
    archive = spark.environment() / spark.ARCHIVE
    try:
        _dump_javas_own()
        with tempfile.TemporaryDirectory(prefix="sandbox-spark-") as folder:
            _train(Path(folder), archive)
        if not archive.exists():
            raise NotWarm(f"Java did not write {archive}.")
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _dump_javas_own() -> None:
    """The Java of the wheel lacks the archive of its own classes, which ours builds on."""
    java = spark.java()
    own = java.parent.parent / "lib" / "server" / spark.ARCHIVE
    if java == spark.java_of_wheel() and not own.exists():
        subprocess.run(
            [str(java), "-Xshare:dump"], capture_output=True, timeout=_DUMP_S, check=True
        )


def _train(home: Path, archive: Path) -> None:
    archive.unlink(missing_ok=True)
    service = Databricks(home, endpoints := {})
    endpoints["databricks"] = service.plan()
    service.prepare()
    bridge, server = service.processes(f"-XX:ArchiveClassesAtExit={archive}")
    running = [_start(one, home) for one in (bridge, server)]
    try:
        deadline = time.monotonic() + _START_S
        while not service.ready():
            if time.monotonic() > deadline or any(one.exit_code() is not None for one in running):
                raise NotWarm("Spark did not start: " + (home / "log").read_text()[-2000:])
            time.sleep(0.1)
        service.seed()
    finally:
        for one in reversed(running):
            one.stop()


def _start(process: Process, home: Path) -> Guarded:
    return Guarded(process, home, home / "log", grace_s=_DUMP_S)


if __name__ == "__main__":
    sys.exit(main())
