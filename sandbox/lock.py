"""One supervisor a root: a file that is locked while anything of a sandbox runs."""

import fcntl
import os
import time
from pathlib import Path

from sandbox.errors import SandboxError

_POLL_S = 0.05


class SandboxRunning(SandboxError):
    """Another supervisor holds this root."""

    def __init__(self, root: Path, pid: int) -> None:
        super().__init__(f"A sandbox already runs in {root} (supervisor {pid}).")
        self.root = root
        self.pid = pid


class RootBusy(SandboxError):
    """What an earlier supervisor left behind has not ended yet."""


class RootLock:
    """The lock of a root and, inside its file, who holds it.

    Guardians inherit the descriptor: after a kill -9 of the supervisor the lock stays taken until
    the last process of that sandbox has ended, so that no two ever share one data folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / "supervisor.pid"
        self._descriptor = -1

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def is_held(self) -> bool:
        """Tell whether this object, not just anybody, has the lock."""
        return self._descriptor >= 0

    def take(self, timeout_s: float) -> None:
        """Take the lock; wait only for the remains of a supervisor that is gone.

        Raises SandboxRunning when another supervisor is alive, RootBusy when time is up.
        """
        deadline = time.monotonic() + timeout_s
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(descriptor):
                self._check_patience(deadline)
                time.sleep(_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (_identity(os.getpid()) or "").encode(), 0)
        self._descriptor = descriptor

    def _check_patience(self, deadline: float) -> None:
        if (pid := self.holder()) is not None:
            raise SandboxRunning(self._root, pid)
        if time.monotonic() > deadline:
            raise RootBusy(f"Processes of an earlier sandbox still hold {self._path}.")

    def release(self) -> None:
        """Give the lock back; without one this does nothing."""
        if self.is_held():
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def holder(self) -> int | None:
        """Return the process id of the living supervisor of this root, None if there is none."""
        if not self.is_taken():
            return None
        written = self._path.read_text(encoding="utf-8")
        pid = int(written.partition(" ")[0] or 0)
        return pid if pid and _identity(pid) == written else None

    def is_taken(self) -> bool:
        """Tell whether a supervisor, or what one left behind, still runs."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two who only look do not see each other.
            return not _locked(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def wait_free(self, timeout_s: float) -> bool:
        """Wait until nothing of a sandbox runs here any more; false when that took too long."""
        deadline = time.monotonic() + timeout_s
        while self.is_taken():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True


def _locked(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(pid: int) -> str | None:
    """Name a living process for good: its id may be given to another, its start time is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in brackets, which may hold spaces itself.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else f"{pid} {fields[18]}"
