"""The Redis Stream between ingest and backend.

An entry is deleted once it is stored, so the stream's length is the backlog. Its memory is bounded
by making producers wait: MAXLEN would bound it too, by throwing away what nobody has read yet.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import redis
from google.protobuf.message import DecodeError

from sandbox.datavault.errors import BackendStalled
from sandbox.datavault.proto.datavault_pb2 import RecordBatch, SealedRecord
from sandbox.datavault.settings import connect_redis

STREAM = "datavault:records"
DEAD_LETTERS = "datavault:dead-letters"
GROUP = "backend"
# One name for every backend: whoever is the writer inherits what the one before left unfinished.
CONSUMER = "writer"
POLL_S = 0.05


class Entry(NamedTuple):
    """One entry as Redis holds it."""

    id: bytes
    fields: dict[bytes, bytes]


class DeadLetter(NamedTuple):
    """What could not be stored, as it came, and why."""

    fields: dict[bytes, bytes]
    reason: str


class Stream:
    """The stream at one Redis; raises the driver's errors, see `errors.driver_errors`."""

    def __init__(self, url: str) -> None:
        # Typed Any: the driver's own types join its synchronous and asynchronous answers.
        self._redis: Any = connect_redis(url)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: object) -> None:
        self._redis.close()

    def backlog(self) -> int:
        """Return how many entries are not stored yet, in one round trip."""
        return int(self._redis.xlen(STREAM))

    def append(self, batches: Iterable[RecordBatch]) -> None:
        """Put each batch on the stream as one entry, all in one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            for batch in batches:
                pipe.xadd(STREAM, pack(batch))
            pipe.execute()

    def wait_for_room(self, max_backlog: int, patience_s: float) -> None:
        """Return when the backlog is below `max_backlog`; raise BackendStalled if it stays."""
        deadline = time.monotonic() + patience_s
        while self.backlog() >= max_backlog:
            if time.monotonic() > deadline:
                raise BackendStalled(
                    f"The stream has been full for {patience_s:g} s. Is the backend running? "
                    "Start it with: python -m sandbox.datavault.backend.main"
                )
            time.sleep(POLL_S)

    def join_group(self) -> None:
        """Make the consumer group, from the stream's beginning, unless it is there."""
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def oldest(self, count: int, wait_ms: int | None) -> list[Entry]:
        """Return up to `count` unfinished entries, oldest first; wait `wait_ms` for a new one.

        What is new is first taken into the group's pending list and everything is then read from
        that list, so that an entry left by a backend that died is never overtaken by a newer one.
        """
        self._read(">", count, wait_ms)
        return self._read("0", count)

    def finish(self, entries: Sequence[Entry], dead_letters: Iterable[DeadLetter]) -> None:
        """Take `entries` off the stream and keep the dead letters, both or neither."""
        ids = [entry.id for entry in entries]
        with self._redis.pipeline(transaction=True) as pipe:
            for letter in dead_letters:
                pipe.xadd(DEAD_LETTERS, letter.fields | {b"reason": letter.reason.encode()})
            pipe.xack(STREAM, GROUP, *ids)
            pipe.xdel(STREAM, *ids)
            pipe.execute()

    def last_id(self) -> bytes | None:
        """Return the id of the newest entry, or None when the stream is empty."""
        newest = self._redis.xrevrange(STREAM, count=1)
        return newest[0][0] if newest else None

    def holds_up_to(self, last_id: bytes) -> bool:
        """Tell whether an entry as old as `last_id`, or older, is not stored yet."""
        return bool(self._redis.xrange(STREAM, max=last_id, count=1))

    def _read(self, position: str, count: int, wait_ms: int | None = None) -> list[Entry]:
        reply = self._redis.xreadgroup(
            GROUP, CONSUMER, {STREAM: position}, count=count, block=wait_ms
        )
        entries = dict(reply).get(STREAM.encode(), [])
        return [Entry(entry_id, fields or {}) for entry_id, fields in entries]


def pack(batch: RecordBatch) -> dict[bytes, bytes]:
    """Return the fields of the entry that carries `batch`."""
    return {b"batch": batch.SerializeToString()}


def unpack(entry: Entry) -> list[SealedRecord]:
    """Return the records of an entry; raise ValueError with the reason when it has none."""
    packed = entry.fields.get(b"batch")
    if packed is None:
        raise ValueError("The entry has no field named batch.")
    try:
        records = list(RecordBatch.FromString(packed).records)
    except DecodeError as error:
        raise ValueError("The field batch is no RecordBatch message.") from error
    if not records:
        raise ValueError("The field batch holds no record.")
    return records
