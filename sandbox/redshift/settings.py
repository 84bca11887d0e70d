"""What face and issuer are started with: one JSON file that only its owner can read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.files import read_json

LOOPBACK = "127.0.0.1"


class BadSettings(Exception):
    """The settings file is missing, is open to others, or lacks something."""


@dataclass(frozen=True)
class Aws:
    """The one AWS identity, and what it may ask temporary credentials for."""

    port: int
    region: str
    cluster_identifier: str
    workgroup: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    db_user: str = ""


@dataclass(frozen=True)
class Storage:
    """The sandbox's S3, and the buckets that each role may read."""

    endpoint: str
    region: str
    access_key: str
    roles: Mapping[str, tuple[str, ...]]
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """One running stand-in.

    ``signing_key`` makes temporary passwords that the face can check without asking the issuer;
    ``passwords`` are what Postgres wants from the users who sign in with such a one.
    """

    port: int
    postgres_port: int
    database: str
    certificate: Path
    private_key: Path
    aws: Aws
    signing_key: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    storage: Storage | None = None


def load(path: Path) -> Settings:
    """Read the settings; raise BadSettings with a sentence when they cannot be used."""
    if not path.exists():
        raise BadSettings(f"There is no settings file {path}.")
    if path.stat().st_mode & 0o077:
        raise BadSettings(f"{path} can be read by others; make it mode 0600.")
    try:
        return _settings(read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"{path} is incomplete: {error!r}.") from error


def _settings(raw: Mapping[str, Any]) -> Settings:
    return Settings(
        port=int(raw["port"]),
        postgres_port=int(raw["postgres_port"]),
        database=str(raw["database"]),
        certificate=Path(raw["certificate"]),
        private_key=Path(raw["private_key"]),
        aws=Aws(**raw["aws"]),
        signing_key=str(raw["signing_key"]),
        passwords=dict(raw["passwords"]),
        storage=_storage(raw["storage"]) if raw.get("storage") else None,
    )


def _storage(raw: Mapping[str, Any]) -> Storage:
    roles = {role: tuple(buckets) for role, buckets in raw["roles"].items()}
    return Storage(**{**raw, "roles": roles})
