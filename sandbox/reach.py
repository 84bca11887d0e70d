"""Where a process that runs as somebody else can work, when we are root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.errors import SandboxError

_PREFIX = "sandbox-"
_OWNER = "owner"
_RECORD = "elsewhere"


class Unreachable(SandboxError):
    """An unprivileged user cannot get at what it has to use."""


def unprivileged_user(preferred: str) -> str | None:
    """Return an existing unprivileged user, None when we are not root and need none."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall() if account.pw_uid != 0}
    for name in (preferred, "nobody"):
        if name in names:
            return name
    raise Unreachable(f"Running as root needs an unprivileged user: {preferred} or nobody.")


def succeeds(user: str | None, command: Sequence[str]) -> bool:
    """Tell whether a short command exits with 0 when `user` runs it (None: ourselves)."""
    account = pwd.getpwnam(user) if user else None
    try:
        ran = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
        )
    except OSError:
        return False
    return ran.returncode == 0


def can_enter(user: str | None, folder: Path) -> bool:
    """Tell whether `user` may pass through every folder on the way to and into `folder`."""
    return succeeds(user, ["/bin/sh", "-c", 'cd "$0"', str(folder)])


def give_to(user: str | None, path: Path) -> None:
    """Make `user` the owner of a file or folder; None leaves it ours."""
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def folder_for(user: str | None, home: Path) -> Path:
    """Return a folder that `user` can enter: `home`, else one under the system's temp folder.

    The one elsewhere is noted in `home` and used again while both exist. Those whose home is gone
    are removed.
    """
    if user is None:
        return home
    home.chmod(0o711)
    if can_enter(user, home):
        return home
    # In this order: what belongs to a home that was moved is not abandoned.
    folder = _recorded(home) or _make(user, home)
    _remove_abandoned()
    return folder


def _recorded(home: Path) -> Path | None:
    try:
        folder = Path((home / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    owner = _owner(folder)
    if owner is None or (owner != home and owner.exists()):
        return None
    # The checkout may have been moved.
    (folder / _OWNER).write_text(str(home), encoding="utf-8")
    return folder


def _make(user: str, home: Path) -> Path:
    for parent in _temp_folders():
        if can_enter(user, parent):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            folder.chmod(0o711)
            # In this order: a folder that names an owner which does not name it is removed.
            (home / _RECORD).write_text(str(folder), encoding="utf-8")
            (folder / _OWNER).write_text(str(home), encoding="utf-8")
            return folder
    raise Unreachable(f"User {user} can enter neither {home} nor any folder for temporary files.")


def _remove_abandoned() -> None:
    for parent in _temp_folders():
        for folder in parent.glob(f"{_PREFIX}*"):
            owner = _owner(folder)
            if owner is not None and not _names(owner / _RECORD, folder):
                # Another sandbox may be at it too.
                shutil.rmtree(folder, ignore_errors=True)


def _owner(folder: Path) -> Path | None:
    """Return the home a folder elsewhere belongs to; None for folders that we did not make."""
    try:
        if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
            return None
        return Path((folder / _OWNER).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _names(record: Path, folder: Path) -> bool:
    return record.exists() and record.read_text(encoding="utf-8") == str(folder)


def _temp_folders() -> Iterator[Path]:
    candidates = dict.fromkeys([Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")])
    return (folder for folder in candidates if folder.is_dir())
