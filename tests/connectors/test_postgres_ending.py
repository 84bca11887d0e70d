"""How work on a Postgres server ends when it does not end by itself: nobody waits for ever."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, JobContext, NetworkPolicy, connect
from connectors.errors import ConnectionLost, ConnectorError, QueryCancelled, QueryTimeout
from connectors.postgres import extract
from connectors.postgres import wire as postgres_wire
from connectors.providers.postgres import Postgres
from tests.connectors.helpers import drain, nothing_is_left, rows_of
from tests.connectors.proxy import Proxy
from tests.connectors.reading import CHUNK_BYTES, batches_of
from tests.waiting import wait_for

PROVIDER = "postgres"
WITHIN_S = 5

Owner = psycopg.Connection[Any]
Opened = Callable[..., Connector]


@pytest.fixture
def big(owner: Owner, source: str) -> str:
    """A table of some megabytes."""
    owner.execute(
        f"CREATE TABLE {source}.big AS SELECT g AS n, repeat(md5(g::text), 10) AS word "
        "FROM generate_series(1, 60000) AS g"
    )
    return f"{source}.big"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@contextmanager
def through(form: dict[str, Any], loopback: NetworkPolicy) -> Iterator[tuple[Postgres, Proxy]]:
    """A connector whose every byte goes through a proxy."""
    with Proxy() as proxy:
        place = {"host": "127.0.0.1", "port": proxy.via(form["host"], form["port"])}
        with connect("postgres", form | place, network=loopback) as connector:
            assert isinstance(connector, Postgres)
            yield connector, proxy


@pytest.fixture
def proxied(
    credentials: dict[str, dict[str, Any]], loopback: NetworkPolicy
) -> Iterator[tuple[Postgres, Proxy]]:
    with through(credentials["postgres"], loopback) as both:
        yield both


def error_of(running: Future[Any], seconds: float = WITHIN_S) -> ConnectorError:
    error = running.exception(seconds)
    assert isinstance(error, ConnectorError), error
    return error


def extracted(connector: Postgres, table: str) -> Generator[pa.RecordBatch]:
    plan = connector.plan(*table.split("."), since=None, chunk_bytes=CHUNK_BYTES)
    return batches_of(connector, plan)


# A query that waits for a lock has not even begun


def test_query_that_waits_for_a_lock_is_cancelled(
    opened: Opened, threads: ThreadPoolExecutor, big: str, endpoints: dict[str, Any]
) -> None:
    connector = opened("postgres")
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as locking:
        locking.execute(f"LOCK TABLE {big}".encode())
        running = threads.submit(drain, connector, f"SELECT * FROM {big}", 60, "r-1")
        wait_for(lambda: waiting(locking))
        assert connector.cancel("r-1")
        assert isinstance(error_of(running), QueryCancelled)
        assert not waiting(locking)
    assert rows_of(connector, f"SELECT count(*) AS n FROM {big}") == [(60000,)]


def test_query_that_waits_for_a_lock_ends_at_its_time_limit(
    opened: Opened, big: str, endpoints: dict[str, Any]
) -> None:
    connector = opened("postgres")
    with psycopg.connect(endpoints["postgres"]["datavault_dsn"]) as locking:
        locking.execute(f"LOCK TABLE {big}".encode())
        with pytest.raises(QueryTimeout):
            drain(connector, f"SELECT * FROM {big}", timeout_s=0.5)
        assert not waiting(locking)


def waiting(server: Owner) -> bool:
    """Somebody waits for a lock on this server's tables."""
    found = server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return bool(found and found[0])


@pytest.mark.parametrize("params", [(), (True,)], ids=["copied", "fetched"])
def test_query_that_somebody_ends_in_the_server_is_cancelled_and_not_late(
    opened: Opened,
    threads: ThreadPoolExecutor,
    params: tuple[Any, ...],
    endpoints: dict[str, Any],
) -> None:
    connector = opened("postgres")
    sql = f"SELECT pg_sleep(60)::text AS s WHERE {'%s' if params else 'true'}"
    with connector.query(sql, params, run_id="unwanted") as result:
        running = threads.submit(result.read_all)
        with psycopg.connect(endpoints["postgres"]["superuser_dsn"]) as server:
            wait_for(
                lambda: server.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name LIKE '%unwanted' AND wait_event = 'PgSleep'"
                ).fetchone()
            )
        error = error_of(running)
    assert isinstance(error, QueryCancelled)
    assert error.detail == "The query was ended in the warehouse."


# A server that takes no cancel request


@pytest.mark.parametrize("params", [(), (True,)], ids=["copied", "fetched"])
def test_cancel_ends_the_wait_also_where_the_server_is_silent(
    proxied: tuple[Postgres, Proxy],
    threads: ThreadPoolExecutor,
    params: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connector, proxy = proxied
    monkeypatch.setattr(postgres_wire, "CANCEL_S", 0.5)
    monkeypatch.setattr(postgres_wire, "END_S", 0.5)
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]
    condition = "%s" if params else "true"
    sql = f"SELECT pg_sleep(60)::text AS s WHERE {condition}"
    result = connector.query(sql, params, run_id="r-1")
    running = threads.submit(result.read_all)
    proxy.silent_after = 0
    connector.cancel("r-1")
    assert isinstance(error_of(running), QueryCancelled)


def test_cancel_between_start_and_first_batch_is_not_lost(opened: Opened) -> None:
    connector = opened("postgres")
    for params in ((), (True,)):
        condition = "%s" if params else "true"
        result = connector.query(
            f"SELECT pg_sleep(60)::text AS s WHERE {condition}", params, run_id="r-1"
        )
        assert connector.cancel("r-1")
        began = time.monotonic()
        with pytest.raises(QueryCancelled):
            result.read_all()
        assert time.monotonic() - began < WITHIN_S


# Extraction


def test_extraction_names_itself_in_the_servers_history(
    credentials: dict[str, dict[str, Any]],
    loopback: NetworkPolicy,
    big: str,
    endpoints: dict[str, Any],
) -> None:
    context = JobContext(service="etl", team="t", run="run-of-an-extraction")
    form = credentials["postgres"]
    with connect("postgres", form, network=loopback, context=context) as connector:
        assert isinstance(connector, Postgres)
        next(extracted(connector, big))
        with psycopg.connect(endpoints["postgres"]["superuser_dsn"]) as server:
            seen = server.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name = 'etl t run-of-an-extraction'"
            ).fetchone()
        assert seen == (1,)


def test_extraction_from_a_server_that_falls_silent_ends(
    proxied: tuple[Postgres, Proxy], big: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector, proxy = proxied
    monkeypatch.setattr(Postgres, "silence_s", 0.5)
    monkeypatch.setattr(extract, "GRACE_S", 0.0)
    monkeypatch.setattr(postgres_wire, "CANCEL_S", 0.5)
    monkeypatch.setattr(postgres_wire, "END_S", 0.5)
    extraction = extracted(connector, big)
    proxy.silent_after = proxy.carried + 2**20
    began = time.monotonic()
    with pytest.raises(ConnectionLost) as caught:
        for _ in extraction:
            pass
    assert time.monotonic() - began < WITHIN_S
    assert caught.value.retryable


def test_extraction_whose_reader_takes_its_time_goes_on(
    opened: Opened, big: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Postgres, "silence_s", 0.3)
    monkeypatch.setattr(extract, "GRACE_S", 0.0)
    connector = opened("postgres")
    assert isinstance(connector, Postgres)
    batches = extracted(connector, big)
    rows = next(batches).num_rows
    slow_until = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > slow_until)
    assert rows + sum(batch.num_rows for batch in batches) == 60000


def test_extraction_that_is_cut_is_lost_at_once_and_leaves_nothing(
    credentials: dict[str, dict[str, Any]],
    loopback: NetworkPolicy,
    big: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nothing_is_left(tmp_path), through(credentials["postgres"], loopback) as (cut, proxy):
        extraction = extracted(cut, big)
        proxy.cut_after = proxy.carried + 2**20
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            for _ in extraction:
                pass
        assert time.monotonic() - began < WITHIN_S


def test_extraction_that_is_left_frees_the_server(
    opened: Opened, big: str, endpoints: dict[str, Any]
) -> None:
    connector = opened("postgres")
    assert isinstance(connector, Postgres)
    batches = extracted(connector, big)
    next(batches)
    began = time.monotonic()
    batches.close()
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"], autocommit=True) as server:
        pid = connector._connection.info.backend_pid
        state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
        wait_for(lambda: server.execute(state, [pid]).fetchone() == ("idle",))
    assert time.monotonic() - began < WITHIN_S
