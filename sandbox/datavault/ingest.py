"""The producer: make or read records, encrypt them, put them on the stream in batches.

python -m sandbox.datavault.ingest --records 200000 --seed 1
python -m sandbox.datavault.ingest --first 200000 --records 1000 --seed 1   # 1,000 more
python -m sandbox.datavault.ingest --update 500 --of 200000 --seed 1        # change 500
python -m sandbox.datavault.ingest --file records.jsonl                     # or - for stdin
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from sandbox.datavault.cipher import Cipher
from sandbox.datavault.errors import BadRecord, BadSetting, driver_errors, exit_code
from sandbox.datavault.proto.datavault_pb2 import RecordBatch, SealedRecord
from sandbox.datavault.records import Record, read_records, sample_record
from sandbox.datavault.settings import encryption_key, setting
from sandbox.datavault.stream import Stream

RECORDS_PER_ENTRY = 250
BYTES_PER_ENTRY = 1_000_000
ENTRIES_PER_TRIP = 4
# In entries, so about 100,000 records or 50 MB of Redis memory.
MAX_BACKLOG = 400
PATIENCE_S = 60.0

# Called with the number of records written so far.
Report = Callable[[int], None]


def ingest(
    redis_url: str,
    key: bytes,
    first: int,
    count: int,
    seed: int,
    revision: int = 0,
    report: Report | None = None,
) -> int:
    """Send sample records `first` … `first + count - 1` of `seed`; return how many were sent."""
    numbers = range(first, first + count)
    return send(redis_url, key, (sample_record(seed, n, revision) for n in numbers), report)


def update(
    redis_url: str,
    key: bytes,
    count: int,
    of: int,
    seed: int,
    revision: int = 1,
    report: Report | None = None,
) -> int:
    """Send a new revision of `count` records spread evenly over the first `of` of `seed`."""
    if count > of:
        raise BadSetting(f"{count} of {of} records cannot be changed. Ask for at most {of}.")
    numbers = (i * of // count for i in range(count))
    return send(redis_url, key, (sample_record(seed, n, revision) for n in numbers), report)


def send(
    redis_url: str,
    key: bytes,
    records: Iterable[Record],
    report: Report | None = None,
    max_backlog: int = MAX_BACKLOG,
    patience_s: float = PATIENCE_S,
) -> int:
    """Encrypt `records` and put them on the stream; return how many.

    Waits while `max_backlog` entries are unread, and raises BackendStalled when that lasts longer
    than `patience_s`. Sending records again is safe: the backend keeps the newest of each.
    """
    sent = 0
    batches = _batches(Cipher(key), records)
    with driver_errors(), Stream(redis_url) as stream:
        while trip := list(islice(batches, ENTRIES_PER_TRIP)):
            stream.wait_for_room(max_backlog, patience_s)
            stream.append(trip)
            sent += sum(len(batch.records) for batch in trip)
            if report:
                report(sent)
    return sent


def _batches(cipher: Cipher, records: Iterable[Record]) -> Iterator[RecordBatch]:
    sealed: list[SealedRecord] = []
    size = 0
    for record in records:
        sealed.append(_seal(cipher, record))
        size += len(record.plaintext) + len(record.metadata)
        if len(sealed) == RECORDS_PER_ENTRY or size >= BYTES_PER_ENTRY:
            yield RecordBatch(records=sealed)
            sealed, size = [], 0
    if sealed:
        yield RecordBatch(records=sealed)


def _seal(cipher: Cipher, record: Record) -> SealedRecord:
    return SealedRecord(
        tenant=record.tenant,
        key=record.key,
        payload=cipher.seal(record.tenant, record.key, record.plaintext),
        metadata=record.metadata,
    )


def _send_file(redis_url: str, key: bytes, path: str, report: Report) -> int:
    try:
        with open(0 if path == "-" else path, encoding="utf-8") as lines:
            return send(redis_url, key, read_records(lines), report)
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} cannot be read as UTF-8 text ({type(error).__name__}).") from error


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Encrypt records and put them on the stream.")
    parser.add_argument("--records", type=int, default=200_000, help="how many to make")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same records")
    parser.add_argument("--update", type=int, help="change this many existing records instead")
    parser.add_argument("--of", type=int, help="how many records exist; with --update")
    parser.add_argument("--revision", type=int, default=1, help="what to change them to")
    parser.add_argument("--file", help="read records from this file of JSON lines instead")
    arguments = parser.parse_args(argv)
    if (arguments.update is None) != (arguments.of is None):
        parser.error("--update and --of belong together.")
    if arguments.file and arguments.update is not None:
        parser.error("--file and --update exclude each other.")
    return arguments


def _show(sent: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{sent:,} records sent\r")
        sys.stderr.flush()


def _run(arguments: argparse.Namespace) -> None:
    redis_url, key, started = setting("DATAVAULT_REDIS_URL"), encryption_key(), time.monotonic()
    seed, revision = arguments.seed, arguments.revision
    if arguments.file:
        sent = _send_file(redis_url, key, arguments.file, _show)
    elif arguments.update is not None:
        sent = update(redis_url, key, arguments.update, arguments.of, seed, revision, _show)
    else:
        sent = ingest(redis_url, key, arguments.first, arguments.records, seed, report=_show)
    sys.stdout.write(f"{sent:,} records sent in {time.monotonic() - started:.1f} s\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    arguments = _arguments(argv)
    return exit_code(lambda: _run(arguments))


if __name__ == "__main__":
    sys.exit(main())
