"""What the stand-in is started with: a JSON file that only its owner can read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.files import read_json

LOOPBACK = "127.0.0.1"
LOCATION = "US"


class BadSettings(Exception):
    """The settings file is missing, is open to others, or lacks something."""


@dataclass(frozen=True)
class Account:
    """A service account: who may sign in, and what it may do then.

    One whose rights are `by_dataset` has none on the project, but to run jobs.
    """

    email: str
    public_key: str
    can_write: bool = False
    denied_datasets: frozenset[str] = frozenset()
    by_dataset: bool = False


@dataclass(frozen=True)
class Settings:
    """One running stand-in. `folder` takes uploads and what a large query spills."""

    project: str
    port: int
    storage_port: int
    folder: Path
    accounts: tuple[Account, ...]
    token_lifetime_s: int = 3600
    memory_limit: str = "1GB"
    running_jobs: int = 8

    @property
    def token_uri(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/token"

    @property
    def denied_to_any(self) -> frozenset[str]:
        """Datasets that some account may not see."""
        return frozenset().union(*(account.denied_datasets for account in self.accounts))


def load(path: Path) -> Settings:
    """Read the settings; raise BadSettings with a sentence when they cannot be used."""
    if not path.exists():
        raise BadSettings(f"There is no settings file {path}.")
    if path.stat().st_mode & 0o077:
        raise BadSettings(f"{path} can be read by others; make it mode 0600.")
    raw = read_json(path)
    try:
        return _settings(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"{path} is incomplete: {error!r}.") from error


def _settings(raw: Mapping[str, Any]) -> Settings:
    return Settings(
        project=raw["project"],
        port=int(raw["port"]),
        storage_port=int(raw["storage_port"]),
        folder=Path(raw["folder"]),
        accounts=tuple(_account(one) for one in raw["accounts"]),
        token_lifetime_s=int(raw.get("token_lifetime_s", 3600)),
        memory_limit=str(raw.get("memory_limit", "1GB")),
        running_jobs=int(raw.get("running_jobs", 8)),
    )


def _account(raw: Mapping[str, Any]) -> Account:
    return Account(
        email=raw["email"],
        public_key=raw["public_key"],
        can_write=bool(raw.get("can_write", False)),
        denied_datasets=frozenset(raw.get("denied_datasets", ())),
        by_dataset=bool(raw.get("by_dataset", False)),
    )
