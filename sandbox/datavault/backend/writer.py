"""The hot path's second half: from the stream into Postgres, in order, nothing lost or doubled.

One backend writes at a time and others stand by. A batch is committed first and taken off the
stream after, so a kill in between delivers it again, and storing it again changes nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from sandbox.datavault.backend.store import Store
from sandbox.datavault.errors import BackendStalled, driver_errors
from sandbox.datavault.proto.datavault_pb2 import RecordBatch, SealedRecord
from sandbox.datavault.stream import DeadLetter, Entry, Stream, pack, unpack

log = structlog.get_logger()

ENTRIES_PER_COMMIT = 20
WAIT_MS = 200
POLL_S = 0.1


class Totals(NamedTuple):
    """How many records one backend has stored, and how many things it put aside as dead letters."""

    stored: int = 0
    refused: int = 0

    def plus(self, other: "Totals") -> "Totals":
        return Totals(self.stored + other.stored, self.refused + other.refused)


def run(
    redis_url: str,
    database_url: str,
    stop: threading.Event,
    until_idle: bool = False,
    report: Callable[[Totals], None] | None = None,
) -> Totals:
    """Store what is on the stream until `stop` is set, or until nothing is left to do.

    The batch in hand is always finished. Makes the table if it is missing.
    """
    totals = Totals()
    with driver_errors(), Stream(redis_url) as stream, Store(database_url) as store:
        store.migrate()
        stream.join_group()
        if not _wait_for_turn(stream, store, stop, until_idle):
            return totals
        wait_ms = None if until_idle else WAIT_MS
        while not stop.is_set():
            entries = stream.oldest(ENTRIES_PER_COMMIT, wait_ms)
            if entries:
                totals = totals.plus(_move(stream, store, entries))
                if report:
                    report(totals)
            elif until_idle:
                break
    return totals


def drain(
    redis_url: str, database_url: str, report: Callable[[Totals], None] | None = None
) -> Totals:
    """Store what is on the stream and return when it is empty, whoever did the work."""
    return run(redis_url, database_url, threading.Event(), until_idle=True, report=report)


def wait_until_stored(
    redis_url: str, timeout_s: float = 120.0, report: Callable[[int], None] | None = None
) -> None:
    """Return once all that is on the stream now is in Postgres or among the dead letters.

    `report` is called with the number of entries left. Raises BackendStalled after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    with driver_errors(), Stream(redis_url) as stream:
        last_id = stream.last_id()
        while last_id is not None and stream.holds_up_to(last_id):
            if time.monotonic() > deadline:
                raise BackendStalled(
                    f"{stream.backlog()} entries are still on the stream after {timeout_s:g} s. "
                    "Is the backend running?"
                )
            if report:
                report(stream.backlog())
            time.sleep(POLL_S)


def _wait_for_turn(stream: Stream, store: Store, stop: threading.Event, until_idle: bool) -> bool:
    standing_by = False
    while not store.become_writer():
        if stop.is_set() or (until_idle and stream.backlog() == 0):
            return False
        if not standing_by:
            log.info("writer.standing_by", reason="another backend is writing")
            standing_by = True
        stop.wait(POLL_S)
    return True


def _move(stream: Stream, store: Store, entries: Sequence[Entry]) -> Totals:
    records, dead_letters = _unpack_all(entries)
    refused = store.write(records) if records else []
    dead_letters += [DeadLetter(pack(RecordBatch(records=[r])), why) for r, why in refused]
    stream.finish(entries, dead_letters)
    if dead_letters:
        first = dead_letters[0].reason
        log.warning("writer.dead_letters", count=len(dead_letters), first_reason=first)
    return Totals(len(records) - len(refused), len(dead_letters))


def _unpack_all(entries: Sequence[Entry]) -> tuple[list[SealedRecord], list[DeadLetter]]:
    records: list[SealedRecord] = []
    dead_letters: list[DeadLetter] = []
    for entry in entries:
        try:
            records += unpack(entry)
        except ValueError as error:
            dead_letters.append(DeadLetter(entry.fields, str(error)))
    return records, dead_letters
