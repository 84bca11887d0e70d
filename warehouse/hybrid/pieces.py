"""Large answers in the store: Arrow's stream, cut into pieces, in a table of its own."""

import io
from collections.abc import Iterable, Iterator
from typing import IO, Any, Protocol

import pyarrow as pa
import structlog

from connectors.errors import ConnectorError
from connectors.types import Limits
from warehouse.store import client, ddl, names, place

log = structlog.get_logger(__name__)

PIECE_BYTES = 2**20
SCHEMA = pa.schema([("n", pa.uint64()), ("piece", pa.binary())])
COLUMNS = [("n", "UInt64"), ("piece", "String")]


class Kept(Protocol):
    """Whose table it is: an answer that is kept, or a query's run."""

    @property
    def pk(self) -> Any: ...

    @property
    def team_id(self) -> Any: ...

    @property
    def in_store(self) -> bool: ...


def write(result: Kept, file: IO[bytes]) -> None:
    """Put what the file holds into the store; raises ConnectorError, OSError."""
    database = client.create_database(result.team_id)
    table = names.result_table(result.pk)
    client.owner().command(ddl.create_table(database, table, COLUMNS, ["n"]))
    client.owner().insert(database, table, SCHEMA, _cut(file))


def read(result: Kept, timeout_s: float) -> "Pieces":
    """What was written; raises ConnectorError, ObjectNotFound where it is gone."""
    table = names.result_table(result.pk)
    return Pieces(
        client.reader(result.team_id).query(
            f"SELECT piece FROM {names.quote(table)} ORDER BY n",
            limits=Limits(timeout_s=timeout_s),
        )
    )


def drop(results: Iterable[Kept]) -> None:
    """Take them out of the store; what cannot be reached now is found by the next sweep."""
    for result in results:
        if result.in_store and place.configured():
            drop_table(names.database(result.team_id), names.result_table(result.pk))


def drop_table(database: str, table: str) -> None:
    """Take it out of the store, where that answers; its readers read on."""
    try:
        client.owner().command(ddl.drop_table(database, table))
    except ConnectorError as exc:
        log.warning("cached_result.not_dropped", table=table, code=exc.code)


def tables() -> list[tuple[str, str]]:
    """All there are, as database and name."""
    sql = (
        "SELECT database, name FROM system.tables "
        "WHERE startsWith(name, {prefix:String}) AND startsWith(database, 'team_')"
    )
    found = client.owner().query(sql, {"prefix": names.RESULTS}).read_all()
    return [(row["database"], row["name"]) for row in found.to_pylist()]


class Pieces(io.RawIOBase):
    """The pieces as one file to read once."""

    def __init__(self, rows: client.Rows) -> None:
        self._rows = rows
        self._pieces = _joined(rows)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Full as long as there are pieces: Arrow takes less than it has asked for as the end.
        filled = 0
        while filled < len(buffer) and self._has_more():
            part = self._left[: len(buffer) - filled]
            buffer[filled : filled + len(part)] = part
            self._left = self._left[len(part) :]
            filled += len(part)
        return filled

    def _has_more(self) -> bool:
        if not self._left:
            self._left = next(self._pieces, self._left)
        return bool(self._left)

    def close(self) -> None:
        if not self.closed:
            self._rows.close()
        super().close()


def _cut(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    n = 0
    while piece := file.read(PIECE_BYTES):
        yield pa.record_batch([[n], [piece]], schema=SCHEMA)
        n += 1


def _joined(rows: client.Rows) -> Iterator[memoryview]:
    for batch in rows:
        # The store gives strings; these are none.
        for piece in batch["piece"].cast(pa.binary()):
            yield memoryview(piece.as_buffer())
