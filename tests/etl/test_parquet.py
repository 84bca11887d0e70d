"""Parts of Parquet: what is in them, and what an error on either side leaves."""

import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import parquet
from etl.parquet import Written, row_groups, write_parts

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("kind", pa.string(), metadata={"native": "json"}),
        pa.field("price", pa.decimal128(38, 2)),
    ]
)


def batch(first: int, rows: int) -> pa.RecordBatch:
    ids = pa.array(range(first, first + rows), pa.int64())
    kinds = pa.array([f"kind {number % 3}" for number in range(rows)])
    return pa.record_batch([ids, kinds, ids.cast(pa.decimal128(38, 2))], schema=SCHEMA)


def batches(count: int, rows: int = 1000) -> Iterator[pa.RecordBatch]:
    return (batch(number * rows, rows) for number in range(count))


class Files:
    """Parts in memory; those that were completed, and those that were taken back."""

    def __init__(self) -> None:
        self.complete: dict[str, bytes] = {}
        self.taken_back: list[str] = []

    def open(self, part: Written, stack: ExitStack) -> io.BytesIO:
        return stack.enter_context(self._opened(part.name))

    @contextmanager
    def _opened(self, name: str) -> Iterator[io.BytesIO]:
        file = io.BytesIO()
        try:
            yield file
        except BaseException:
            self.taken_back.append(name)
            raise
        self.complete[name] = file.getvalue()


def ignore(rows: int, size: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "PART_BYTES", 30_000)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2500)


@pytest.mark.usefixtures("small")
def test_parts_hold_every_row_once_in_order() -> None:
    files, told = Files(), [0, 0]

    def progress(rows: int, size: int) -> None:
        told[0] += rows
        told[1] += size

    parts = write_parts(SCHEMA, batches(40), files.open, progress)
    tables = [pq.read_table(io.BytesIO(files.complete[part.name])) for part in parts]
    assert len(parts) > 2
    assert [part.rows for part in parts] == [table.num_rows for table in tables]
    assert [part.bytes for part in parts] == [*map(len, files.complete.values())]
    assert pa.concat_tables(tables).equals(pa.Table.from_batches(batches(40)))
    assert tables[0].schema.field("kind").metadata[b"native"] == b"json"
    assert told == [40_000, sum(part.bytes for part in parts)]


def test_no_rows_are_no_parts() -> None:
    files = Files()
    assert write_parts(SCHEMA, batches(0), files.open, ignore) == []
    assert not files.complete


@pytest.mark.parametrize("good", [0, 1, 9])
@pytest.mark.usefixtures("small")
def test_source_that_breaks_takes_back_the_open_part(good: int) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(good)
        raise RuntimeError("the source went away")

    files = Files()
    with pytest.raises(RuntimeError, match="went away"):
        write_parts(SCHEMA, broken(), files.open, ignore)
    for part in files.complete.values():
        pq.read_table(io.BytesIO(part))
    assert len(files.taken_back) <= 1
    assert good or not files.complete


@pytest.mark.usefixtures("small")
def test_file_that_breaks_ends_the_reading() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError("No space left on device")

    read = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for number in range(10**6):
            read += 1
            yield batch(number, 1000)

    with pytest.raises(OSError, match="No space"):
        write_parts(SCHEMA, counted(), lambda part, stack: Full(), ignore)
    assert read < 10**6


def test_caller_iterates_and_is_told_in_its_own_thread() -> None:
    threads = set()

    def noted(rows: int, size: int) -> None:
        threads.add(threading.current_thread())

    def read() -> Iterator[pa.RecordBatch]:
        noted(0, 0)
        yield from batches(3)

    write_parts(SCHEMA, read(), Files().open, noted)
    assert threads == {threading.current_thread()}


def test_row_groups_are_bounded_and_a_large_batch_is_one_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", batch(0, 100).nbytes)
    sizes = [50, 40, 20, 500, 1, 100]
    groups = row_groups(SCHEMA, iter([batch(0, rows) for rows in sizes]))
    assert [group.num_rows for group in groups] == [90, 20, 500, 1, 100]
