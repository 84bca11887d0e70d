"""What the bridge is started with: a JSON file that only its owner can read."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from sandbox.files import read_json

LOOPBACK = "127.0.0.1"


class BadSettings(Exception):
    """The settings file is missing, is open to others, or lacks something."""


@dataclass(frozen=True)
class Settings:
    """One bridge: where it listens, where Spark listens, and who may sign in."""

    port: int
    spark_port: int
    http_path: str
    catalog: str
    token: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    token_lifetime_s: float = 3600


def load(path: Path) -> Settings:
    """Read the settings; raise BadSettings with a sentence when they cannot be used."""
    if not path.exists():
        raise BadSettings(f"There is no settings file {path}.")
    if path.stat().st_mode & 0o077:
        raise BadSettings(f"{path} can be read by others; make it mode 0600.")
    given = read_json(path)
    known = {one.name for one in fields(Settings)}
    if unknown := sorted(set(given) - known):
        raise BadSettings(f"{path} has unknown entries: {', '.join(unknown)}.")
    try:
        return Settings(**given)
    except TypeError as error:
        raise BadSettings(f"{path} is incomplete: {error}.") from error
