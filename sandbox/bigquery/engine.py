"""The emulator's DuckDB, with a connection of its own for every thread and every job.

As bqemulator comes, all work shares one connection: an interrupt would end everybody's query, and
two threads would read each other's results.
"""

import contextlib
import os
import threading
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from bqemulator.config import Settings as EmulatorSettings
from bqemulator.storage.engine import DuckDBEngine

_LOCK_POLL_S = 0.05


class Stopped(Exception):
    """The session was told to stop before it ran its next statement."""


class Session:
    """One connection in use by one thread; `stop` may be called from any other."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._stopping = threading.Event()
        self._is_open = True
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Interrupt what runs now and refuse what would run next."""
        self._stopping.set()
        with self._lock:
            if self._is_open:
                self.connection.interrupt()

    def check(self) -> None:
        """Raise Stopped when it was told to stop."""
        if self._stopping.is_set():
            raise Stopped

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Have others see all that is written inside, or none of it."""
        self.connection.begin()
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def close(self) -> None:
        """Give the connection back; what it had not committed is gone."""
        with self._lock:
            self._is_open = False
            self.connection.close()


class Engine(DuckDBEngine):  # type: ignore[misc]  # bqemulator is in another environment
    """An in-memory database that reads no file outside `folder` and never asks the network."""

    def __init__(self, settings: EmulatorSettings, folder: Path, memory_limit: str) -> None:
        super().__init__(settings)
        self._folder = folder
        self._memory_limit = memory_limit
        self._threads = threading.local()
        self._writing = threading.RLock()

    async def start(self) -> None:
        """Open the database and close the ways out of it."""
        await super().start()
        # The emulator asks for results in a way DuckDB 2 finds wasteful, on every statement.
        warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
        root = self._connection
        root.execute("SET GLOBAL TimeZone = 'UTC'")
        root.execute(f"SET temp_directory = '{_quoted(self._folder / 'spill')}'")
        root.execute(f"SET memory_limit = '{_quoted(self._memory_limit)}'")
        # A query must leave room for the thread that hears its cancel.
        root.execute(f"SET threads = {max(1, (os.cpu_count() or 1) // 2)}")
        root.execute("SET autoinstall_known_extensions = false")
        root.execute("SET autoload_known_extensions = false")
        # Uploads are loaded from here; otherwise read_csv('/etc/passwd') would be a table.
        root.execute(f"SET allowed_directories = ['{_quoted(self._folder)}']")
        root.execute("SET enable_external_access = false")

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of the session this thread is in, else the thread's own."""
        session = self._session()
        if session is not None:
            return session.connection
        if not hasattr(self._threads, "own"):
            self._threads.own = self._open()
        own: duckdb.DuckDBPyConnection = self._threads.own
        return own

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one DuckDB statement on this thread's connection."""
        session = self._session()
        if session is not None:
            session.check()
        result: duckdb.DuckDBPyConnection = super().execute(sql, parameters)
        return result

    @contextlib.contextmanager
    def session(self, session: Session, *, read_only: bool) -> Iterator[Session]:
        """Make all that this thread runs go through `session`; close it at the end."""
        self._threads.session = session
        try:
            if read_only:
                session.connection.execute("BEGIN TRANSACTION READ ONLY")
            yield session
        finally:
            del self._threads.session
            session.close()

    def open_session(self, tables: Mapping[str, pa.Table] | None = None) -> Session:
        """Open a session that also sees `tables`, by name, besides what is stored."""
        connection = self._open()
        for name, table in (tables or {}).items():
            connection.register(name, table)
        return Session(connection)

    @contextlib.contextmanager
    def writing(self, session: Session) -> Iterator[None]:
        """Be the only writer; raise Stopped when the session is stopped while it waits."""
        while not self._writing.acquire(timeout=_LOCK_POLL_S):
            session.check()
        try:
            yield
        finally:
            self._writing.release()

    @contextlib.asynccontextmanager
    async def write_lock(self) -> AsyncIterator[None]:
        """Be the only writer. A thread's lock: every job and request has a loop of its own."""
        with self._writing:
            yield

    def _session(self) -> Session | None:
        return getattr(self._threads, "session", None)

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection: duckdb.DuckDBPyConnection = self._connection.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _load_spatial(self) -> None:
        """Skip what would be downloaded; GEOGRAPHY is not offered."""


def _quoted(value: object) -> str:
    return str(value).replace("'", "''")
