"""A real Postgres: the server binaries of a wheel or of the system, one data folder a root.

A second port has TLS (see sandbox.postgres_tls).
"""

import shutil
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from sandbox.errors import SandboxError
from sandbox.files import write_json, write_private
from sandbox.guarded import run_guarded
from sandbox.postgres_binaries import find_binaries
from sandbox.postgres_roles import DATAVAULT, READER, SERVICE, seed_roles
from sandbox.postgres_tls.authority import AUTHORITY, CLIENT, SERVER, make_certificates
from sandbox.reach import folder_for, give_to, unprivileged_user
from sandbox.services.base import LOOPBACK, Process, Service, accepts_connections

_SUPERUSER = "postgres"
_INITDB_TIMEOUT_S = 60.0
# The last second of work may be lost when the machine loses power; a sandbox can bear that.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_prepared_transactions": "8",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class InitdbFailed(SandboxError):
    """initdb could not make the data folder; the message ends with what it printed."""


class ForeignDataFolder(SandboxError):
    """The data folder was made with passwords that are not kept any more."""


class Postgres(Service):
    """Databases `service` and `datavault`, a role owning each, and a reader of the latter."""

    name: ClassVar[str] = "postgres"

    def plan(self) -> dict[str, Any]:
        """Keep port and passwords from run to run: the data folder remembers the passwords."""
        port = self.kept_port()
        self._tls_port = self.kept_port("tls_port")
        return {
            "host": LOOPBACK,
            "port": port,
            "superuser_dsn": self._dsn(_SUPERUSER, "postgres", port),
            "service_dsn": self._dsn(SERVICE, SERVICE, port),
            "datavault_dsn": self._dsn(DATAVAULT, DATAVAULT, port),
            "reader": {
                "host": LOOPBACK,
                "port": port,
                "database": DATAVAULT,
                "user": READER,
                "password": self.kept_secret(READER),
            },
            "tls": {
                "host": "localhost",
                "port": self._tls_port,
                "database": DATAVAULT,
                "user": READER,
                "sslrootcert": str(self.home / f"{AUTHORITY}.crt"),
                "sslcert": str(self.home / f"{CLIENT}.crt"),
                "sslkey": str(self.home / f"{CLIENT}.key"),
            },
        }

    def prepare(self) -> None:
        """Find the server and make the data folder where its user can reach both.

        Raises NoPostgres, Unreachable, InitdbFailed or ForeignDataFolder.
        """
        self._user = unprivileged_user("postgres")
        place = folder_for(self._user, self.home)
        self._binaries = find_binaries(self._user, place)
        self._data = place / "data"
        mark = self._data / "sandbox.id"
        if not self._data.exists():
            self._make_data_folder(place)
        elif not mark.exists() or mark.read_text() != self.kept_secret("data_id"):
            raise ForeignDataFolder(
                f"{self._data} was made with other passwords than those in {self.home}. "
                "Remove it to begin anew."
            )
        # The root is locked for us, so no server of ours is alive; the process id in this file
        # may belong to somebody else by now, and the server would not start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._prepare_tls()

    def _prepare_tls(self) -> None:
        make_certificates(self.home, READER)
        settings = {
            "port": self._tls_port,
            "postgres_port": self.endpoints[self.name]["port"],
            "certificate": str(self.home / f"{SERVER}.crt"),
            "private_key": str(self.home / f"{SERVER}.key"),
            "client_authority": str(self.home / f"{AUTHORITY}.crt"),
            "passwords": {READER: self.kept_secret(READER)},
        }
        write_json(self.home / "tls.json", settings)

    def processes(self) -> list[Process]:
        """Return the one server, which starts its own children, and what gives it TLS."""
        settings = _SETTINGS | {"port": str(self.endpoints[self.name]["port"])}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = [str(self._binaries / "postgres"), "-D", str(self._data), *options]
        # SIGINT is its fast shutdown; on SIGTERM it would wait for clients to leave.
        tls = [sys.executable, "-m", "sandbox.postgres_tls", str(self.home / "tls.json")]
        return [Process(argv, user=self._user, stop_signal=signal.SIGINT), Process(tls)]

    def ready(self) -> bool:
        """Tell whether the superuser can sign in."""
        endpoint = self.endpoints[self.name]
        if not all(map(accepts_connections, (endpoint["port"], self._tls_port))):
            return False
        try:
            psycopg.connect(endpoint["superuser_dsn"], connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def seed(self) -> None:
        """Create roles, databases and grants that are not there yet."""
        endpoint = self.endpoints[self.name]
        passwords = {role: self.kept_secret(role) for role in (SERVICE, DATAVAULT, READER)}
        seed_roles(endpoint["superuser_dsn"], passwords)

    def _make_data_folder(self, place: Path) -> None:
        unfinished = place / "data.new"
        # An initdb that was killed leaves a folder that the next one would refuse.
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        give_to(self._user, unfinished)
        password = place / "initdb.password"
        write_private(password, self.kept_secret(_SUPERUSER))
        give_to(self._user, password)
        try:
            self._run_initdb(unfinished, password)
        finally:
            password.unlink()
        mark = unfinished / "sandbox.id"
        write_private(mark, self.kept_secret("data_id"))
        # The server itself reads every file there, for who makes a standby of it.
        give_to(self._user, mark)
        unfinished.rename(self._data)

    def _run_initdb(self, folder: Path, password: Path) -> None:
        log = self.home / "initdb.log"
        log.unlink(missing_ok=True)
        argv = [str(self._binaries / "initdb"), "--pgdata", str(folder)]
        argv += ["--username", _SUPERUSER, "--pwfile", str(password), "--auth=scram-sha-256"]
        argv += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        status = run_guarded(
            Process(argv, user=self._user), self.home, log, timeout_s=_INITDB_TIMEOUT_S
        )
        if status != 0:
            raise InitdbFailed(f"initdb ended with status {status}:\n{log.read_text()}")

    def _dsn(self, role: str, database: str, port: int) -> str:
        return f"postgresql://{role}:{self.kept_secret(role)}@{LOOPBACK}:{port}/{database}"
