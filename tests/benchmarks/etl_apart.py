"""How long a caller of the sample application waits while its table's neighbour is copied.

``etl_apart.py WHO TABLE SECONDS``, WHO being alone, or how many MB/s the copy may read. Retrieve is
called at a fixed rate, and timed from when each call was due, so that one that is held up holds up
the next ones too. ``seconds`` is the 99th percentile. A copy that has ended before the last call
was nothing to be measured beside, and is an error.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg

from sandbox.datavault.cipher import Cipher
from sandbox.datavault.records import sample_record
from sandbox.files import read_json
from tests.benchmarks.contender import tell

KEY = bytes(range(32))
TOKEN = "benchmark"
SEED = 1
RECORDS = 20_000
CALLS_PER_S = 100
NO_PROXY = [("grpc.enable_http_proxy", 0)]
ALONE = "alone"
START_S = 60
TABLE = """create table if not exists records (
    tenant text, key text, payload bytea not null, metadata jsonb not null,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    primary key (tenant, key))"""
COPYING = """select 1 from pg_stat_activity
    where state = 'active' and query like 'COPY%' and pid <> pg_backend_pid()"""


def fill(dsn: str) -> None:
    """The sample application's records, unless an earlier run has made them."""
    cipher = Cipher(KEY)
    with psycopg.connect(dsn) as owner:
        owner.execute(TABLE)
        there = owner.execute("select count(*) from records").fetchone()
        if there != (RECORDS,):
            owner.execute("truncate records")
            statement = "copy records (tenant, key, payload, metadata) from stdin"
            with owner.cursor().copy(statement) as copy:
                for number in range(RECORDS):
                    one = sample_record(SEED, number)
                    sealed = cipher.seal(one.tenant, one.key, one.plaintext)
                    copy.write_row((one.tenant, one.key, sealed, one.metadata))


def serve(dsn: str) -> None:
    """The sample application's own service, until its parent closes the line."""
    from sandbox.datavault.backend.retrieve import serving

    with serving(dsn, KEY, TOKEN, "127.0.0.1:0") as port:
        print(port, flush=True)
        sys.stdin.read()


@contextmanager
def service(dsn: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.etl_apart", "serve", dsn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline()) if process.stdout else 0
    finally:
        process.kill()
        process.wait()


def _await_copy(server: "psycopg.Connection[Any]", run: "subprocess.Popen[bytes]") -> None:
    """A throttled run pauses between two statements, but never for long."""
    deadline = time.monotonic() + START_S
    while server.execute(COPYING).fetchone() is None:
        if run.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("The run does not read, or not any more: take a larger table.")
        time.sleep(0.01)


@contextmanager
def copying(who: str, superuser: str, table: str) -> Iterator[None]:
    """While a run of a pipeline reads the table."""
    if who == ALONE:
        yield
        return
    arguments = ("-m", "tests.benchmarks.etl_run", table, "1", who)
    run = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    try:
        with psycopg.connect(superuser, autocommit=True) as server:
            _await_copy(server, run)
            yield
            _await_copy(server, run)
    finally:
        run.kill()
        run.wait()


def waits(port: int, seconds: float) -> list[float]:
    """How long each call took, from when it was due, in seconds."""
    import grpc

    from sandbox.datavault.proto.datavault_pb2 import RetrieveRequest
    from sandbox.datavault.proto.datavault_pb2_grpc import DataVaultStub

    found = []
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        stub = DataVaultStub(channel)
        begun = time.perf_counter() + 0.5
        for number in range(int(seconds * CALLS_PER_S)):
            one = sample_record(SEED, number * 7919 % RECORDS)
            due = begun + number / CALLS_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))
            stub.Retrieve(
                RetrieveRequest(tenant=one.tenant, key=one.key), timeout=30, metadata=metadata
            )
            found.append(time.perf_counter() - due)
    return found


def measure(who: str, table: str, seconds: float) -> None:
    endpoints = read_json(Path(os.environ["SANDBOX_HOME"]) / "endpoints.json")
    dsn = str(endpoints["postgres"]["datavault_dsn"])
    fill(dsn)
    with service(dsn) as port:
        waits(port, 1)
        with copying(who, endpoints["postgres"]["superuser_dsn"], table):
            found = waits(port, seconds)
    *_, p99 = quantiles(found, n=100)
    tell(p99, len(found), None)


def main(who: str, *arguments: str) -> None:
    if who == "serve":
        serve(*arguments)
    else:
        table, seconds = arguments
        measure(who, table, float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
