"""The background supervisor: python -m sandbox ROOT SERVICE,SERVICE (use manage.py sandbox up)."""

import os
import sys
from pathlib import Path

from sandbox.control import parse_services, up
from sandbox.errors import SandboxError


def main(root: Path, services: tuple[str, ...]) -> int:
    """Report to stdout until all is healthy, from then on to logs/supervisor.log."""
    try:
        up(root, services, _print, lambda: _move_output(root / "logs" / "supervisor.log"))
    except SandboxError as error:
        _print(str(error))
        return 1
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _move_output(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), parse_services(sys.argv[2])))
