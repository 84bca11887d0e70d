"""The duckdb behind everything: one file a database, one connection a session, S3 for stages."""

import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote
from urllib.parse import unquote

import duckdb
from fsspec.implementations.arrow import ArrowFile, ArrowFSWrapper
from pyarrow.fs import S3FileSystem

from sandbox.snowflake import catalog
from sandbox.snowflake.config import Config, Storage
from sandbox.snowflake.duck import rows
from sandbox.snowflake.errors import already_there, missing
from sandbox.snowflake.names import literal, quote

_INTERNAL = ("memory", "system", "temp", catalog.ACCOUNT, catalog.STATISTICS)


class _File(ArrowFile):  # type: ignore[misc]  # fsspec comes without types
    """A file that duckdb's threads may read at once, each from the place it has sought itself.

    They share it, and Arrow's file would let one of them seek before another has read.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._own = threading.local()

    def seek(self, place: int) -> int:
        self._own.place = place
        return place

    def tell(self) -> int:
        return getattr(self._own, "place", 0)

    def read(self, size: int) -> bytes:
        place = self.tell()
        found: bytes = self.stream.read_at(size, place)
        self._own.place = place + len(found)
        return found


class _S3(ArrowFSWrapper):  # type: ignore[misc]
    """Arrow's S3 as duckdb wants it; duckdb's own needs an extension that is not there."""

    protocol = "s3"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> ArrowFile:
        if mode == "rb":
            return _File(self, self.fs.open_input_file(path), path, mode)
        return super()._open(path, mode, **options)


class Engine:
    """The account's databases. Close it to have everything on disk."""

    def __init__(self, config: Config) -> None:
        """Open what an earlier run left in `config.home`, or begin empty."""
        self._databases = config.home / "databases"
        self._databases.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Attaching is not for two at once: the second would find a half-made catalog.
        self._changing = threading.Lock()
        self._root = duckdb.connect(":memory:", config=_settings(config))
        if config.storage is not None:
            self._root.register_filesystem(_S3(_arrow_s3(config.storage)))
        self._attach_catalogs(config.home)
        for path in sorted(self._databases.glob("*.db")):
            self._attach(unquote(path.stem), path)
        self._close_the_rest_of_the_machine()

    def connect(self) -> Any:
        """Return a connection of its own for one session."""
        return self._root.cursor()

    def databases(self) -> list[str]:
        """List the databases by name."""
        found = rows(self._root.cursor(), "SELECT database_name FROM duckdb_databases()")
        return sorted(name for (name,) in found if name not in _INTERNAL)

    def schemas(self, database: str) -> list[str]:
        """List a database's schemas by name, INFORMATION_SCHEMA left out."""
        found = rows(
            self._root.cursor(),
            "SELECT schema_name FROM duckdb_schemas() WHERE database_name = ? AND NOT internal "
            "AND schema_name NOT IN ('main', '_fs_information_schema')",
            [database],
        )
        return sorted(name for (name,) in found)

    def create_database(self, name: str) -> None:
        """Make an empty database with its PUBLIC schema; raises SqlError when it exists."""
        with self._changing:
            if name in self.databases() or name.lower() in _INTERNAL:
                raise already_there(name)
            self._attach(name, self._path(name))
            rows(self._root, f"CREATE SCHEMA IF NOT EXISTS {quote(name)}.PUBLIC")

    def drop_database(self, name: str) -> None:
        """Remove a database and its file; raises SqlError when there is none."""
        with self._changing:
            if name not in self.databases():
                raise missing("Database", name)
            rows(self._root, f"DETACH {quote(name)}")
            for suffix in ("", ".wal"):
                Path(f"{self._path(name)}{suffix}").unlink(missing_ok=True)
            catalog.forget_database(self._root, name)

    def close(self) -> None:
        """Write everything to disk and let go of it."""
        self._root.close()

    def _attach_catalogs(self, home: Path) -> None:
        account = literal(str(home / "account.db"))
        rows(self._root, f"ATTACH {account} AS {catalog.ACCOUNT}")
        rows(self._root, f"ATTACH ':memory:' AS {catalog.STATISTICS}")
        rows(self._root, catalog.account_sql())

    def _attach(self, name: str, path: Path) -> None:
        rows(self._root, f"ATTACH {literal(str(path))} AS {quote(name)}")
        rows(self._root, catalog.database_sql(name))

    def _path(self, name: str) -> Path:
        return self._databases / f"{url_quote(name, safe='')}.db"

    def _close_the_rest_of_the_machine(self) -> None:
        # SQL reads stages and databases, never this machine's files.
        folders = f"[{literal(f'{self._databases}/')}, 's3://']"
        rows(self._root, f"SET GLOBAL allowed_directories = {folders}")
        rows(self._root, "SET GLOBAL enable_external_access = false")


def _settings(config: Config) -> dict[str, Any]:
    return {
        "memory_limit": config.memory_limit,
        "threads": str(config.threads),
        "temp_directory": str(config.home / "spill"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # Else an unknown table would be looked up among this program's variables.
        "python_enable_replacements": "false",
        # sqlglot still writes lambdas with an arrow.
        "lambda_syntax": "ENABLE_SINGLE_ARROW",
        # EXPLAIN needs the plan before duckdb prunes tables that it knows to be empty.
        "explain_output": "all",
    }


def _arrow_s3(storage: Storage) -> S3FileSystem:
    scheme, _, address = storage.endpoint.partition("://")
    return S3FileSystem(
        endpoint_override=address,
        scheme=scheme,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        region=storage.region,
        connect_timeout=5,
        request_timeout=60,
    )
