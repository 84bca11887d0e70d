"""Where the store is: a real server by CLICKHOUSE_URL, or the embedded engine by STORE_PATH."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from warehouse import conf
from warehouse.errors import StoreNotConfigured, StoreUnavailable
from warehouse.store import names, ping
from warehouse.store.engine.home import Home, reader_password


@dataclass(frozen=True)
class Login:
    """A user of ClickHouse, and where to sign in."""

    secure: bool
    host: str
    port: int
    user: str
    password: str = field(repr=False)


def configured() -> bool:
    """Whether the operator has set up a store."""
    return bool(conf.clickhouse_url() or conf.store_path())


def embedded() -> bool:
    """Whether it is the engine on this machine."""
    return not conf.clickhouse_url()


def owner() -> Login:
    """Who owns every team's database. Raises StoreNotConfigured, StoreUnavailable."""
    parts = urlsplit(conf.clickhouse_url() or _engine_url())
    secure = parts.scheme == "https"
    return Login(
        secure=secure,
        host=parts.hostname or "",
        port=parts.port or (8443 if secure else 8123),
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
    )


def reader(team_id: object) -> Login:
    """Who may read one team's database and nothing else; raises as ``owner`` does."""
    login = owner()
    name = names.embedded_reader(team_id) if embedded() else names.server_reader(team_id)
    password = reader_password(login.password, name)
    return Login(login.secure, login.host, login.port, name, password)


def answers() -> bool:
    """Whether the store is there, told within a second or two."""
    try:
        login = owner()
    except StoreUnavailable:
        return False
    return ping.answers(login.host, login.port, secure=login.secure)


def _engine_url() -> str:
    path = conf.store_path()
    if not path:
        raise StoreNotConfigured
    # Read every time: an engine that was started anew may have another port.
    endpoint = Home(Path(path)).endpoint()
    if endpoint is None:
        raise StoreUnavailable
    return endpoint.url
