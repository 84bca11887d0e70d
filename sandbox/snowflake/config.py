"""What the server is started with. It holds secrets, so it comes in a file nobody else can read."""

import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIG_VARIABLE = "SANDBOX_SNOWFLAKE_CONFIG"


class BadConfig(Exception):
    """The server cannot start; the message says which setting is at fault."""


@dataclass(frozen=True)
class User:
    """Somebody who may sign in, by password, key pair or token."""

    name: str
    password: str | None = field(default=None, repr=False)
    public_keys: tuple[str, ...] = ()
    oauth_tokens: tuple[str, ...] = field(default=(), repr=False)
    access_tokens: tuple[str, ...] = field(default=(), repr=False)
    role: str = "SYSADMIN"
    warehouse: str | None = None
    # Those that count in each session besides its current role.
    secondary_roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Storage:
    """The S3 that external stages point at."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Config:
    """Everything the server needs; `roles` tells for each role whether it may write."""

    host: str
    port: int
    home: Path
    account: str
    users: tuple[User, ...]
    roles: Mapping[str, bool]
    warehouses: tuple[str, ...]
    # The roles that a role was granted, and so has the rights of.
    inherited_roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Those warehouses that do not run, and whether a query makes them.
    suspended_warehouses: Mapping[str, bool] = field(default_factory=dict)
    storage: Storage | None = None
    memory_limit: str = "1GB"
    threads: int = 2
    # Snowflake rolls an idle transaction back after five minutes once another statement waits
    # for its lock; here nobody wants to wait that long.
    blocked_idle_s: float = 10.0
    # Snowflake's own value: four hours.
    session_idle_s: float = 14400.0
    # Snowflake answers "in progress" after 45 s and lets the client ask again.
    answer_within_s: float = 40.0

    def roles_with(self, names: Iterable[str]) -> set[str]:
        """Return these roles and all that they inherit."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += self.inherited_roles.get(name, ())
        return found

    def user(self, name: str) -> User | None:
        """Find a user; names of users ignore case, as unquoted identifiers do."""
        return next((user for user in self.users if user.name.upper() == name.upper()), None)


def load_config(arguments: list[str], environment: Mapping[str, str]) -> Config:
    """Read the file named by the first argument or by SANDBOX_SNOWFLAKE_CONFIG.

    Raises BadConfig when it is missing, readable by others, or wrong.
    """
    name = arguments[0] if arguments else environment.get(CONFIG_VARIABLE)
    if not name:
        raise BadConfig(f"Name the configuration file as the argument or in {CONFIG_VARIABLE}.")
    path = Path(name)
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"The configuration {path} cannot be read: {error.strerror}.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadConfig(f"The configuration {path} holds secrets: give it mode 0600.")
    try:
        return _parse(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise BadConfig(f"The configuration {path} is wrong: {error!r}.") from error


def _parse(raw: dict[str, Any]) -> Config:
    storage = raw.pop("storage", None)
    return Config(
        home=Path(raw.pop("home")),
        users=tuple(_user(user) for user in raw.pop("users")),
        warehouses=tuple(raw.pop("warehouses")),
        storage=Storage(**storage) if storage else None,
        **raw,
    )


def _user(raw: dict[str, Any]) -> User:
    lists = ("public_keys", "oauth_tokens", "access_tokens", "secondary_roles")
    given: dict[str, Any] = {
        name: tuple(value) if name in lists else value for name, value in raw.items()
    }
    return User(**given)
