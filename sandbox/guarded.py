"""Start a process under a guardian, so that it never outlives this one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox.services.base import Process

_GUARDIAN = Path(__file__).with_name("guardian.py")
_CHECKOUT = Path(__file__).resolve().parent.parent
_GUARDIAN_EXTRA_S = 5.0


class Guarded:
    """One running process and its guardian. Closing the pipe is what stops both."""

    def __init__(
        self,
        process: Process,
        home: Path,
        log: Path,
        *,
        grace_s: float = 5.0,
        keep: Sequence[int] = (),
        unlink: Path | None = None,
    ) -> None:
        """Start `process`; `keep` are descriptors its guardian holds open until all has ended.

        `unlink` is removed by the guardian when this process dies without stopping the child.
        """
        self._grace_s = grace_s
        reader, self._pipe = os.pipe()
        options = {
            "parent": os.getpid(),
            "pipe": reader,
            "keep": list(keep),
            "grace_s": grace_s,
            "stop_signal": int(process.stop_signal),
            "user": process.user,
            "unlink": str(unlink) if unlink else None,
        }
        guardian = [sys.executable, "-I", "-S", str(_GUARDIAN), json.dumps(options)]
        try:
            with log.open("ab") as output:
                self._guardian = subprocess.Popen(
                    [*guardian, *process.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=_environment(home) | process.env,
                    cwd="/" if process.user else home,
                    pass_fds=(reader, *keep),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(reader)

    @property
    def guardian_pid(self) -> int:
        return self._guardian.pid

    def exit_code(self) -> int | None:
        """Return the process's exit status, None while it runs."""
        return self._guardian.poll()

    def wait(self, timeout_s: float) -> int:
        """Wait for the process to end by itself; raise subprocess.TimeoutExpired if it does not."""
        return self._guardian.wait(timeout_s)

    def let_go(self) -> None:
        """Ask for the end without waiting for it; asking again is harmless."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def stop(self) -> int:
        """End the process with all it started and wait for that; return its exit status."""
        self.let_go()
        return self._guardian.wait(self._grace_s + _GUARDIAN_EXTRA_S)


def run_guarded(process: Process, home: Path, log: Path, *, timeout_s: float) -> int:
    """Run a command to its end under a guardian and return its exit status.

    Raises subprocess.TimeoutExpired, after ending the command, when it takes longer.
    """
    guarded = Guarded(process, home, log)
    try:
        return guarded.wait(timeout_s)
    finally:
        guarded.stop()


def _environment(home: Path) -> dict[str, str]:
    # A Python built with a shared library may need LD_LIBRARY_PATH to start at all.
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return libraries | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": tempfile.gettempdir(),
        "PYTHONPATH": str(_CHECKOUT),
    }
