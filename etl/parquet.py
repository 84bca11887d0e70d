"""Record batches into Parquet files of a bounded size, which a thread of its own encodes."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

PART_BYTES = 128 * 2**20
"""Snowflake loads files of 100–250 MB best. Source: its guide on preparing data files."""
GROUP_ROWS = 65_536
GROUP_BYTES = 16 * 2**20
"""A row group is held in memory while it is gathered and encoded."""
WAITING_BYTES = 2 * GROUP_BYTES
"""Of row groups that wait or are being encoded, while another is gathered."""
SAMPLE_ROWS = 20_000
OFTEN = 5
"""A dictionary of values that are rarer makes files larger, and takes longer."""

Progress = Callable[[int, int], None]
"""Called with rows and bytes added since the last call."""


@dataclass
class Written:
    """A part that is being written, and then one that is complete."""

    name: str
    rows: int = 0
    bytes: int = 0


class Sink(Protocol):
    """What a part is written to, from its beginning to its end."""

    def write(self, data: bytes, /) -> int | None: ...

    def tell(self) -> int: ...


Open = Callable[[Written, ExitStack], Sink]
"""Opens a part for writing. What it leaves on the stack completes the part, or takes it back when
there is an error; an error there is one of the writing."""


def write_parts(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], open_part: Open, progress: Progress
) -> list[Written]:
    """Write parts of about PART_BYTES; none where there are no rows.

    Iterates and tells progress in the caller's thread. An error of either side ends both, and no
    part is begun or completed after it.
    """
    parts = _Parts(schema, open_part)
    with ThreadPoolExecutor(1, "parquet") as thread:
        waiting = _Waiting()
        try:
            for group in row_groups(schema, batches):
                waiting.make_room(group.nbytes, progress)
                waiting.add(group, thread.submit(parts.write, group))
            waiting.make_room(WAITING_BYTES, progress)
            progress(0, thread.submit(parts.end).result())
        except BaseException as exc:
            waiting.give_up()
            thread.submit(parts.abandon, exc).result()
            raise
    return parts.written


class _Waiting:
    """Row groups that the thread has not finished with, oldest first."""

    def __init__(self) -> None:
        self._groups: deque[tuple[int, int, Future[int]]] = deque()
        self._bytes = 0

    def add(self, group: pa.Table, done: Future[int]) -> None:
        self._groups.append((group.num_rows, group.nbytes, done))
        self._bytes += group.nbytes

    def make_room(self, size: int, progress: Progress) -> None:
        """Wait until there is room for so many bytes, or none is left."""
        while self._groups and self._bytes + size > WAITING_BYTES:
            rows, freed, done = self._groups.popleft()
            self._bytes -= freed
            progress(rows, done.result())

    def give_up(self) -> None:
        for _, _, done in self._groups:
            done.cancel()


class _Parts:
    """The writing side, of which one thread at a time makes use."""

    def __init__(self, schema: pa.Schema, open_part: Open) -> None:
        self.written: list[Written] = []
        self._schema = schema
        self._open_part = open_part
        self._stack = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def write(self, group: pa.Table) -> int:
        """Add a row group; the bytes of the part, if that has completed it, else 0."""
        writer = self._writer or self._begin(group)
        # Else the group's rows might be cut into several.
        writer.write_table(group, row_group_size=group.num_rows)
        part = self.written[-1]
        part.rows += group.num_rows
        return self.end() if self._file.tell() >= PART_BYTES else 0

    def end(self) -> int:
        """Complete the part that is open; its bytes, 0 where none is."""
        if self._writer is None:
            return 0
        self._writer.close()
        self._writer = None
        part = self.written[-1]
        part.bytes = self._file.tell()
        self._stack.close()
        return part.bytes

    def abandon(self, error: BaseException) -> None:
        """Take back the part that is open."""
        self._writer = None
        self._stack.__exit__(type(error), error, error.__traceback__)

    def _begin(self, group: pa.Table) -> pq.ParquetWriter:
        part = Written(f"part-{len(self.written):05}.parquet")
        self._file = self._open_part(part, self._stack)
        self.written.append(part)
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=_repeating(group),
            store_decimal_as_integer=True,
            # Whoever loads a part reads all of it.
            write_statistics=False,
        )
        return self._writer


def _repeating(group: pa.Table) -> list[str]:
    """The columns of which a sample has each value often: they gain by a dictionary."""
    sample = group.slice(0, SAMPLE_ROWS)
    columns = zip(sample.column_names, sample.columns, strict=True)
    return [name for name, values in columns if OFTEN * len(values.unique()) <= sample.num_rows]


def row_groups(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together; a batch that is larger than a row group may be is one by itself."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if group and (rows + batch.num_rows > GROUP_ROWS or size + batch.nbytes > GROUP_BYTES):
            yield pa.Table.from_batches(group, schema=schema)
            group, rows, size = [], 0, 0
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if group:
        yield pa.Table.from_batches(group, schema=schema)
