"""Files of events or persons: JSON lines, also gzipped, or Parquet; read a part at a time."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.events.items import exact_json

ROWS_AT_ONCE = 5_000
MAX_LINE_BYTES = 4_000_000
UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)
"""What reading may raise."""
# An integer that may need more than 64 bits, which the quick parser makes a float.
_LONG = re.compile(rb"[:,\[]\s*-?\d{19}")


class Line(NamedTuple):
    """A line, or row, of a file: its number from 1, its text, and what it says."""

    number: int
    text: bytes
    item: Any
    fault: str
    """Why it says nothing, or empty."""


class Lines:
    """Iterate it for all of a file; ``position`` is how far that is, in bytes.

    Raises what UNREADABLE says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._share = 0.0

    @property
    def position(self) -> int:
        if self._file is not None:
            return self._file.tell()
        return int(self._path.stat().st_size * self._share)

    def __iter__(self) -> Iterator[Line]:
        return self._rows() if self._path.suffix == ".parquet" else self._lines()

    def _lines(self) -> Iterator[Line]:
        with self._path.open("rb") as file:
            self._file = file
            source: Any = gzip.GzipFile(fileobj=file) if self._path.suffix == ".gz" else file
            read = partial(source.readline, MAX_LINE_BYTES + 1)
            for number, text in enumerate(iter(read, b""), start=1):
                if len(text) > MAX_LINE_BYTES:
                    _skip_rest(read, text)
                if text.strip():
                    yield _parsed(number, text)
            self._file, self._share = None, 1.0

    def _rows(self) -> Iterator[Line]:
        with pq.ParquetFile(self._path) as file:
            read = 0
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for number, row in enumerate(batch.to_pylist(), start=read + 1):
                    item = {name: value for name, value in row.items() if value is not None}
                    yield Line(number, repr(item).encode(), item, "")
                read += batch.num_rows
                self._share = read / file.metadata.num_rows


def _skip_rest(read: Callable[[], bytes], text: bytes) -> None:
    while text and not text.endswith(b"\n"):
        text = read()


def _parsed(number: int, text: bytes) -> Line:
    if len(text) > MAX_LINE_BYTES:
        return Line(number, b"", None, f"This has more than {MAX_LINE_BYTES:,} bytes.")
    try:
        item = exact_json(text) if _LONG.search(text) else orjson.loads(text)
    except ValueError:
        return Line(number, text, None, "This is no JSON.")
    return Line(number, text, item, "")
