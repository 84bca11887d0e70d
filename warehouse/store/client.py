"""The way into the store: ClickHouse's own client, whatever is at the other end.

``owner()`` runs what we have written ourselves; ``reader(team_id)`` runs a team's SELECT and can
do no more. Both are values: they hold no connection, so threads may share one. Every call raises
ConnectorError; one that says ``retryable`` may be repeated. An insert that was lost on its way may
have been made: one that carries a ``once`` token can be repeated and is made once.
"""

import io
import logging
import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from http.client import IncompleteRead
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from urllib3.exceptions import HTTPError

from connectors.errors import InvalidParameters
from connectors.types import Limits
from warehouse.store import ddl, names, place
from warehouse.store.errors import Tail, told
from warehouse.store.limits import refuse_too_many, settings_of
from warehouse.store.place import Login

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Params = Mapping[str, Any]
Settings = dict[str, int | str]

CONNECT_TIMEOUT_S = 5
SILENCE_S = 300
"""Of a query that runs, the server says so more often than that."""
KEPT_CLIENTS = 64
"""One for each user, with the sockets it has open."""

# The client logs its requests when they fail, and lets its transport do so, for everybody in this
# process; queries do not belong in logs.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
logging.getLogger("urllib3").setLevel(logging.ERROR)

_PLACEHOLDER = re.compile(r"\{\s*\w+\s*:.+\}")


def owner() -> "Session":
    """For what we have written ourselves; raises StoreNotConfigured, StoreUnavailable."""
    return Session(place.owner())


def reader(team_id: object) -> "Session":
    """For a team's own SQL, which ``gate`` has printed; raises as ``owner`` does."""
    return Session(place.reader(team_id), names.database(team_id), reads_only=True)


def create_database(team_id: object) -> str:
    """The team's database, made if it is not there; its name."""
    database = names.database(team_id)
    owner().command(ddl.create_database(database))
    return database


def drop_database(team_id: object) -> None:
    """Remove a team's database with all that is in it; without one this changes nothing."""
    owner().command(ddl.drop_database(names.database(team_id)))


@dataclass(frozen=True)
class Session:
    """One user's way into the store; names without a database are looked up in ``database``."""

    login: Login
    database: str = "default"
    reads_only: bool = False

    def command(
        self, sql: str, params: Params | None = None, settings: Settings | None = None
    ) -> Any:
        """Run a statement that has no rows, or one value, to its end."""
        with told():
            given: Settings = {**(settings or {}), "database": self.database}
            return self._client().command(sql, parameters=dict(params or {}), settings=given)

    def query(
        self,
        sql: str,
        params: Params | None = None,
        limits: Limits | None = None,
        query_id: str | None = None,
        semantics: Mapping[str, int] | None = None,
    ) -> "Rows":
        """A SELECT's rows as they come. Close it, or read to the end; its query ends with it.

        ``semantics`` are settings of ClickHouse that the text was written for.
        """
        settings: Settings = {
            **(semantics or {}),
            **settings_of(limits or Limits()),
            "database": self.database,
            "output_format_arrow_string_as_string": 1,
            "cancel_http_readonly_queries_on_client_close": 1,
        }
        if not self.reads_only:
            # Only a query that may not write is ended when its reader goes away.
            settings["readonly"] = 2
        if query_id:
            settings["query_id"] = query_id
        if params and not _PLACEHOLDER.search(sql):
            # The client would write them into the text itself.
            raise InvalidParameters("The query has no place for parameters: write {name:Type}.")
        refuse_too_many(params or {})
        with told():
            stream = self._client().raw_stream(
                sql, parameters=dict(params or {}), settings=settings, fmt="ArrowStream"
            )
        return Rows(stream)

    def insert(
        self,
        database: str,
        table: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
    ) -> int:
        """Write batches as they come, in one request; how many rows.

        They are on disk when this returns. If it raises, blocks of about a million rows may have
        been written, and none is written in part.
        """
        columns = ", ".join(map(names.quote, schema.names))
        target = f"{names.quote(database)}.{names.quote(table)} ({columns})"
        with told():
            summary = self._client().raw_insert(
                target, insert_block=_encoded(schema, batches), fmt="ArrowStream"
            )
        return int(summary.summary.get("written_rows", 0))

    def insert_parquet(
        self,
        database: str,
        table: str,
        columns: Sequence[str],
        body: Iterable[bytes],
        settings: Settings | None = None,
    ) -> int:
        """Write these columns of a Parquet file, whose bytes are sent as they come; how many rows.

        A NULL where the table takes none is DataError. What reading the file raises is raised
        here. Otherwise as ``insert``; the engine has the whole file in memory meanwhile.
        """
        target = f"{names.quote(database)}.{names.quote(table)}"
        listed = ", ".join(map(names.quote, columns))
        given: Settings = {**(settings or {}), "input_format_null_as_default": 0}
        with told():
            summary = self._client().raw_insert(
                f"{target} ({listed})", insert_block=_iterated(body), fmt="Parquet", settings=given
            )
        return int(summary.summary.get("written_rows", 0))

    def cancel(self, query_id: str) -> None:
        """End a query of this or another session; harmless when it is over."""
        self.command(ddl.kill_query(), {"query_id": query_id})

    def _client(self) -> "Client":
        # A child of a fork must not share its parent's sockets.
        return _connect(self.login, os.getpid())


class Rows:
    """Iterate it for RecordBatches. ``schema`` is known from the start."""

    schema: pa.Schema

    def __init__(self, stream: Any) -> None:
        self._body = _Body(stream)
        try:
            with told(self._body.tail):
                self._reader = pa.ipc.open_stream(self._body)
        except BaseException:
            self._body.close()
            raise
        self.schema = self._reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with closing(self), told(self._body.tail):
            for batch in self._reader:
                if batch.num_rows:
                    yield batch
            # A stream that was cut off between two batches looks complete to Arrow.
            self._body.read_to_end()

    def read_all(self) -> pa.Table:
        """The whole result in memory; only for results known to be small."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def close(self) -> None:
        """Stop reading; a query that still runs is ended."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Body(io.RawIOBase):
    """The body of an answer as Arrow reads it, with an eye on how it ends."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.tail = Tail(stream.headers.get("X-ClickHouse-Exception-Tag"))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def read_to_end(self) -> None:
        while self._read(Tail.LENGTH):
            pass

    def _read(self, length: int) -> bytes:
        try:
            part: bytes = self._stream.read(length)
        except HTTPError as exc:
            # Where ClickHouse breaks off, it has said why; the client holds on to that.
            self.tail.add(_unread(exc))
            raise
        self.tail.add(part)
        return part

    def close(self) -> None:
        if not self.closed:
            # Not given back to the pool: what has not been read would be the next answer.
            self._stream.close()
        super().close()


def _unread(exc: HTTPError) -> bytes:
    cause = exc.__cause__
    return cause.partial if isinstance(cause, IncompleteRead) else b""


@lru_cache(maxsize=KEPT_CLIENTS)
def _connect(login: Login, _process: int) -> "Client":
    import clickhouse_connect
    from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager

    from warehouse.store.transport import insisting_on_whole_heads

    scheme = "https" if login.secure else "http"
    # The embedded engine's token is not for a proxy that the environment may name.
    proxy = None if place.embedded() else check_env_proxy(scheme, login.host, login.port)
    through: dict[str, Any] = {f"{scheme}_proxy": proxy}
    manager = get_pool_manager(maxsize=16, **through)
    client: Any = clickhouse_connect.get_client(
        interface=scheme,
        pool_mgr=insisting_on_whole_heads(manager),
        host=login.host,
        port=login.port,
        username=login.user,
        password=login.password,
        # Each call says which.
        database="__default__",
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=SILENCE_S,
        # Sessions would put the queries of one client in a row.
        autogenerate_session_id=False,
        client_name="warehouse",
    )
    # Whoever calls decides what is repeated.
    client.http_retries = 0
    made: Client = client
    return made


def _iterated(body: Iterable[bytes]) -> Generator[bytes, None, None]:
    yield from body


def _encoded(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Generator[bytes, None, None]:
    """Arrow's stream format, a batch at a time."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()
