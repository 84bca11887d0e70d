"""A query's rows as Arrow, CSV or Parquet, streamed: a batch, or a row group, in memory at a time.

What goes wrong after the first byte breaks the answer off: no last chunk is sent, so that no HTTP
client takes it for whole.
"""

import io
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cached_property
from itertools import count
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from api import problems
from api.results import ROWS_AT_ONCE, careful, plain
from api.rows import RowStream
from connectors.errors import Unsupported

log = structlog.get_logger(__name__)

GROUP_ROWS = 65_536
GROUP_BYTES = 8 * 2**20
"""A row group of Parquet is written once it has so many rows or bytes."""


class UnframedRows(RowStream):
    """A format that has no place for an error. Readers find a column by its name alone, so each
    has one of its own: the second ``id`` is ``id_1``."""

    @cached_property
    def schema(self) -> pa.Schema:
        fields = zip(self.run.schema, _apart(self.run.schema.names), strict=True)
        return pa.schema([field.with_name(name) for field, name in fields])

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in super().batches():
            yield batch.rename_columns(self.schema.names)

    def body(self) -> Iterator[bytes]:
        try:
            yield from self.parts()
        except Exception as exc:
            log.warning("result.broken_off", run_id=self.run.run_id, code=problems.of(exc).code)
            raise

    @abstractmethod
    def parts(self) -> Iterator[bytes]: ...


class ArrowRows(UnframedRows):
    """Arrow's IPC stream format."""

    def parts(self) -> Iterator[bytes]:
        sink = _Sink()
        with pa.ipc.new_stream(pa.PythonFile(sink, "w"), self.schema) as writer:
            for batch in self.batches():
                writer.write_batch(batch)
                yield sink.taken()
        yield sink.taken()


class CsvRows(UnframedRows):
    """RFC 4180, in UTF-8, with a header. Text is quoted, and NULL is nothing between commas; where
    there are none it is ``""``, as readers leave out an empty line."""

    def parts(self) -> Iterator[bytes]:
        yield _line([_quoted(name) for name in self.schema.names]).encode()
        for batch in self.batches():
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                columns = [c.to_pylist() for c in batch.slice(start, ROWS_AT_ONCE).columns]
                lines = (_line(map(_cell, row)) for row in zip(*columns, strict=True))
                yield "".join(lines).encode()


class ParquetRows(UnframedRows):
    """Row groups of GROUP_ROWS rows or GROUP_BYTES, compressed with zstd."""

    def prepare(self) -> None:
        self._sink = _Sink()
        try:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._sink, "w"), self.schema, compression="zstd"
            )
        except pa.ArrowException as exc:
            raise Unsupported(
                "Parquet cannot hold a column of this result.", hint="Ask for another format."
            ) from exc

    def parts(self) -> Iterator[bytes]:
        # Whatever goes wrong from here on is seen in the same way, however many rows there were.
        yield self._sink.taken()
        group: list[pa.RecordBatch] = []
        for batch in self.batches():
            group.append(batch)
            if _is_enough(group):
                yield self._written(group)
                group = []
        if group:
            yield self._written(group)
        self._writer.close()
        yield self._sink.taken()

    def _written(self, group: list[pa.RecordBatch]) -> bytes:
        self._writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """Takes what is written until somebody fetches it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def taken(self) -> bytes:
        """All that was written since this was last asked."""
        found, self._parts = b"".join(self._parts), []
        return found


def _is_enough(group: list[pa.RecordBatch]) -> bool:
    rows = sum(one.num_rows for one in group)
    return bool(rows >= GROUP_ROWS or sum(one.nbytes for one in group) >= GROUP_BYTES)


def _apart(names: list[str]) -> list[str]:
    """Names of which none is another's: a repeated one gets the next number that is free."""
    taken, found = set(names), dict[str, None]()
    for name in names:
        own = name
        if name in found:
            own = next(one for n in count(1) if (one := f"{name}_{n}") not in taken)
            taken.add(own)
        found[own] = None
    return list(found)


def _line(cells: Iterable[str]) -> str:
    return (",".join(cells) or '""') + "\r\n"


def _cell(value: Any) -> str:
    """As in JSON, without JSON's quotes, and numbers of any size as they are."""
    match value:
        case None:
            return ""
        case str():
            return _quoted(value)
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return str(careful(value))
        case Decimal():
            return format(value, "f")
        case list() | tuple() | dict():
            return _quoted(_json(careful(value)))
        case _:
            return _quoted(_json(value).strip('"'))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> str:
    return orjson.dumps(value, default=plain, option=orjson.OPT_UTC_Z).decode()
