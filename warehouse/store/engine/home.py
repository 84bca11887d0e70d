"""The folder of an engine: its data, its configuration, and where it can be reached.

<home>/data/            ClickHouse's own files
<home>/run/             config.xml and users.xml, written anew at each start
<home>/tmp/             working files of a start
<home>/endpoint.json    address and token, for whoever may read this folder
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
OWNER = "warehouse"


class EngineFailed(Exception):
    """The engine did not start; its own words are in the log."""


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens, and the token that is its owner's password."""

    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://{OWNER}:{self.token}@{self.address}"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def reader_password(token: str, reader: str) -> str:
    """A reader's password: whoever has the owner's can tell it, and nobody the other way round."""
    return hmac.new(token.encode(), reader.encode(), hashlib.sha256).hexdigest()


class Home:
    """Paths of one engine; ``prepare`` makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.data = self.path / "data"
        self.run = self.path / "run"
        self.tmp = self.path / "tmp"
        self._endpoint = self.path / "endpoint.json"

    def prepare(self) -> Endpoint:
        """Make folders, a token and a port; both stay the same while the port is to be had."""
        for folder in (self.path, self.data, self.run, self.tmp):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self.endpoint()
        port = _free_port(kept.port if kept else 0)
        endpoint = Endpoint(port, kept.token if kept else secrets.token_urlsafe(32))
        if endpoint != kept:
            write_private(self._endpoint, json.dumps(asdict(endpoint)))
        return endpoint

    @contextmanager
    def taken(self) -> Iterator[None]:
        """This folder for oneself; raises EngineFailed while another process has it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / "keeper.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EngineFailed(f"An engine runs in {self.path} already.") from None
            yield

    def endpoint(self) -> Endpoint | None:
        """Where the engine listens, or would; None before the first start."""
        try:
            return Endpoint(**json.loads(self._endpoint.read_text()))
        except FileNotFoundError:
            return None


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read; whoever reads it sees the old or the new."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise OSError(f"There is no free port on {LOOPBACK}.")
