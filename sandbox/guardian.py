"""Run one command and end it, with all it started, as soon as the supervisor is gone.

    python -I -S guardian.py '{"parent": 1, "pipe": 3, "grace_s": 5, ...}' command args...

Reads end of file on `pipe` when the supervisor closes its end or dies, however it dies. Imports
little: one of these stands beside every process of the sandbox. Exits with the command's status.
"""

import ctypes
import json
import os
import pwd
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_PARENT_CHECK_S = 1.0
_LEFTOVERS_S = 0.5
_END_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def main(options: dict[str, object], command: list[str]) -> int:
    """Run `command` until it ends by itself or must end; return its exit status."""
    wakeup = _wake_on_signals()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    pipe, parent = int(str(options["pipe"])), int(str(options["parent"]))
    for inherited in (pipe, *_numbers(options["keep"])):
        os.set_inheritable(inherited, False)
    user = options["user"]
    child = _spawn(command, str(user) if user else None)
    status = _watch(child, pipe, parent, wakeup)
    if status is not None:
        _say(f"process {child} ({command[0]}) ended with status {status}")
    grace_s = float(str(options["grace_s"]))
    # What is left of a process that died by itself has nothing to finish.
    patience_s = grace_s if status is None else min(grace_s, _LEFTOVERS_S)
    ended = _end_tree(child, int(str(options["stop_signal"])), patience_s)
    if os.getppid() != parent:
        _unlink(options["unlink"])
    return status if status is not None else ended


def _wake_on_signals() -> int:
    """Turn the signals that matter into bytes on a pipe, so that one select waits for all."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *_END_SIGNALS):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def _spawn(command: list[str], user: str | None) -> int:
    guardian = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGPIPE, *_END_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        if user is not None:
            _become(user)
        # Set after the change of user, which clears it; covers a kill -9 of the guardian itself.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guardian:
            os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        _say(f"cannot run {command[0]}: {error}")
    os._exit(127)


def _become(user: str) -> None:
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _watch(child: int, pipe: int, parent: int, wakeup: int) -> int | None:
    """Return the child's exit status, or None when the child has to end."""
    while True:
        readable, _, _ = select.select([pipe, wakeup], [], [], _PARENT_CHECK_S)
        signals = os.read(wakeup, 512) if wakeup in readable else b""
        status = _reap(child)
        if status is not None:
            return status
        # A host that forks without exec leaves a copy of the pipe's other end in its children;
        # the parent's id tells the truth then.
        if pipe in readable or os.getppid() != parent or not _END_SIGNALS.isdisjoint(signals):
            return None


def _reap(child: int) -> int | None:
    """Collect whatever has ended; return the child's exit status if it was among them."""
    status = None
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = os.waitstatus_to_exitcode(wait_status)


def _end_tree(child: int, stop_signal: int, grace_s: float) -> int:
    """Ask the child's group to stop, then kill all that is left, in whatever session it hides."""
    _signal_group(child, stop_signal)
    deadline = time.monotonic() + grace_s
    status = 0
    while left := descendants_of(os.getpid()):
        if time.monotonic() > deadline:
            _signal_group(child, signal.SIGKILL)
            for pid in left:
                _signal(pid, signal.SIGKILL)
        time.sleep(0.02)
        status = _reap(child) or status
    return status


def descendants_of(root: int) -> list[int]:
    """List the processes below `root`, nearest first. A subreaper is above all its orphans."""
    children: dict[int, list[int]] = {}
    for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        if (parent := _parent(pid)) is not None:
            children.setdefault(parent, []).append(pid)
    found = list(children.get(root, []))
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            # The second field is the command in brackets, which may hold spaces itself.
            return int(stat.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _unlink(path: object) -> None:
    if path:
        try:
            os.unlink(str(path))
        except FileNotFoundError:
            return


def _numbers(value: object) -> list[int]:
    return [int(item) for item in value] if isinstance(value, list) else []


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def _say(text: str) -> None:
    os.write(2, f"guardian: {text}\n".encode())


if __name__ == "__main__":
    # 128 + signal, as a shell says it: a negative status cannot be an exit code.
    exit_status = main(json.loads(sys.argv[1]), sys.argv[2:])
    sys.exit(128 - exit_status if exit_status < 0 else exit_status)
