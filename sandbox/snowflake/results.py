"""What a statement answers: rows as JSON for everything but queries, Arrow in chunks for those."""

import base64
import datetime
import decimal
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from sandbox.snowflake.columns import ResultColumn, to_wire

# Statement type ids as the client knows them; it counts affected rows for the DML ones.
SELECT = 0x1000
INSERT, UPDATE, DELETE, MERGE, COPY = 0x3100, 0x3200, 0x3300, 0x3400, 0x3600
SESSION, SHOW, DESCRIBE, TRANSACTION, DDL, UNKNOWN = 0x4000, 0x4400, 0x4500, 0x5000, 0x6000, 0

_CHUNK_ROWS = 65_536
_CHUNK_BYTES = 8 * 2**20
_INLINE_BYTES = 4 * 2**20
BATCH_ROWS = 8_192
_CELL_BYTES = 64
_KEPT = 1_000
_KEPT_IN_MEMORY = 64 * 2**20
_KEPT_ON_DISK = 2 * 2**30


@dataclass(frozen=True)
class Chunk:
    """A part of a result in a file, fetched by the client with its own request."""

    path: Path
    rows: int
    bytes: int


@dataclass
class Result:
    """A finished statement's answer."""

    columns: list[ResultColumn]
    statement_type: int
    rows: list[list[str | None]] | None = None
    first: bytes = b""
    chunks: list[Chunk] = field(default_factory=list)
    total: int = 0
    folder: Path | None = None
    discarded: bool = False

    def wire(self, chunk_url: Callable[[int], str]) -> dict[str, Any]:
        """Return the part of the answer that describes and holds the rows."""
        answer: dict[str, Any] = {
            "rowtype": [column.wire() for column in self.columns],
            "total": self.total,
            "returned": self.total,
            "statementTypeId": self.statement_type,
        }
        if self.rows is not None:
            return answer | {"queryResultFormat": "json", "rowset": self.rows}
        answer |= {
            "queryResultFormat": "arrow",
            "rowsetBase64": base64.b64encode(self.first).decode(),
        }
        if self.chunks:
            answer["chunkHeaders"] = {}
            answer["chunks"] = [
                {
                    "url": chunk_url(number),
                    "rowCount": chunk.rows,
                    "uncompressedSize": chunk.bytes,
                    "compressedSize": chunk.bytes,
                }
                for number, chunk in enumerate(self.chunks)
            ]
        return answer

    @property
    def memory(self) -> int:
        """About how many bytes it holds in memory."""
        cells = len(self.rows or ()) * len(self.columns)
        return len(self.first) + cells * _CELL_BYTES

    def discard(self) -> None:
        """Let go of the rows."""
        self.discarded = True
        self.first, self.chunks, self.rows = b"", [], None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class Shelf:
    """Finished results, kept for clients that come back; the oldest go when it is full."""

    def __init__(self) -> None:
        """Begin empty."""
        self._results: deque[Result] = deque()
        self._changing = threading.Lock()

    def keep(self, finished: Future[Result]) -> None:
        """Put a finished statement's result up, if it has one."""
        if finished.exception() is not None:
            return
        with self._changing:
            self._results.append(finished.result())
            while len(self._results) > 1 and self._too_full():
                self._results.popleft().discard()

    def _too_full(self) -> bool:
        in_memory = sum(result.memory for result in self._results)
        on_disk = sum(chunk.bytes for result in self._results for chunk in result.chunks)
        return len(self._results) > _KEPT or in_memory > _KEPT_IN_MEMORY or on_disk > _KEPT_ON_DISK


def table_of(
    columns: Sequence[ResultColumn], rows: Sequence[Sequence[Any]], statement_type: int
) -> Result:
    """Return a small result, its cells written as Snowflake writes them in JSON."""
    cells = [[_cell(value) for value in row] for row in rows]
    return Result(list(columns), statement_type, rows=cells, total=len(cells))


def status(text: str, statement_type: int = DDL) -> Result:
    """Return the one-line answer of a statement that returns nothing else."""
    return table_of([ResultColumn("status", length=16777216)], [[text]], statement_type)


def done(statement_type: int = SESSION) -> Result:
    """Return Snowflake's usual sentence."""
    return status("Statement executed successfully.", statement_type)


def counts(statement_type: int, numbers: Mapping[str, int]) -> Result:
    """Return the numbers of rows a DML statement touched, under Snowflake's words for them."""
    columns = [ResultColumn(f"number of {words}", "FIXED", 38, 0) for words in numbers]
    return table_of(columns, [list(numbers.values())], statement_type)


def spool(
    reader: pa.RecordBatchReader,
    columns: list[ResultColumn],
    folder: Path,
    limit: int | None = None,
) -> Result:
    """Read a query to its end: a first part in memory, the rest in files of `folder`.

    At no time is more than one chunk in memory, whatever the result's size.
    """
    result = Result(columns, SELECT)
    # Closed even when it is not read to its end: its connection takes nothing new before.
    with closing(reader):
        for table in _chunks(reader, limit):
            data = _ipc(to_wire(table, columns))
            if result.total == 0 and len(data) <= _INLINE_BYTES:
                result.first = data
            else:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path = folder / str(len(result.chunks))
                path.write_bytes(data)
                result.folder = folder
                result.chunks.append(Chunk(path, table.num_rows, len(data)))
            result.total += table.num_rows
    if not result.first:
        result.first = _ipc(to_wire(reader.schema.empty_table(), columns))
    return result


def _chunks(reader: pa.RecordBatchReader, limit: int | None) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = size = seen = 0
    inline = True
    for batch in reader:
        left = batch.num_rows if limit is None else min(batch.num_rows, limit - seen)
        held.append(batch.slice(0, left))
        rows, size, seen = rows + left, size + batch.nbytes, seen + left
        # The first batch goes out by itself, so that it can stand in the answer.
        if inline or rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield pa.Table.from_batches(held, reader.schema)
            held, rows, size, inline = [], 0, 0, False
        if seen == limit:
            break
    if held:
        yield pa.Table.from_batches(held, reader.schema)


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return f"{decimal.Decimal(str(value.timestamp())):.9f}"
    return str(value)
