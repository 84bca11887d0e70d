"""The client over its real wire: rows in, rows out, errors, and how queries end."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from connectors import errors
from connectors.errors import ConnectorError
from connectors.types import Limits
from tests.store.conftest import OURS
from tests.store.running import Engine, reset_peak, rss_mb
from tests.waiting import until, wait_for
from warehouse.errors import StoreNotConfigured, StoreUnavailable
from warehouse.store import client, ddl, limits, names, queries

ROWS = 5_000_000
BATCH = 65_536
SCHEMA = pa.schema([("id", pa.int64()), ("half", pa.float64()), ("text", pa.string())])
COLUMNS = [("id", "Int64"), ("half", "Float64"), ("text", "String")]
ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(toUInt64(1e12))"
GROWTH_MB = 700
"""What five million rows of some 25 bytes may add to the engine: merging parts is part of it."""


@pytest.fixture
def table(store: Engine) -> Iterator[str]:
    """An empty table of our team."""
    database = names.database(OURS)
    client.owner().command(ddl.create_table(database, "t", COLUMNS, ["id"]))
    yield "t"
    client.owner().command(f"DROP TABLE {names.quote(database)}.t SYNC")


def batches(rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, BATCH):
        ids = np.arange(start, min(start + BATCH, rows))
        columns = [pa.array(ids), pa.array(ids / 2), pa.array(ids.astype("U")).cast(pa.string())]
        yield pa.record_batch(columns, schema=SCHEMA)


def insert(rows: int) -> int:
    return client.owner().insert(names.database(OURS), "t", SCHEMA, batches(rows))


def test_rows_come_back_as_they_went_in(table: str) -> None:
    assert insert(3) == 3
    found = queries.run(OURS, "SELECT * FROM t ORDER BY id").read_all()
    assert found.to_pylist() == next(batches(3)).to_pylist()


def test_result_without_rows_has_its_columns(table: str) -> None:
    found = queries.run(OURS, "SELECT id, text FROM t")
    assert found.schema.names == ["id", "text"]
    assert found.read_all().num_rows == 0


def test_insert_of_the_same_rows_again_adds_them_again(table: str) -> None:
    insert(1000)
    insert(1000)
    assert queries.run(OURS, "SELECT count() FROM t").read_all().to_pylist() == [{"count()": 2000}]


def test_millions_of_rows_pass_in_bounded_memory(
    table: str, store: Engine, record_property: Any
) -> None:
    insert(BATCH)
    list(queries.run(OURS, "SELECT * FROM t"))
    before = {"engine": rss_mb(store.pid, "VmRSS"), "client": rss_mb("self", "VmRSS")}
    for pid in (store.pid, "self"):
        reset_peak(pid)
    assert insert(ROWS) == ROWS
    inserted = {"engine": rss_mb(store.pid), "client": rss_mb("self")}
    for pid in (store.pid, "self"):
        reset_peak(pid)
    limits = Limits(max_rows=10_000_000)
    rows = sum(batch.num_rows for batch in queries.run(OURS, "SELECT * FROM t", limits=limits))
    selected = {"engine": rss_mb(store.pid), "client": rss_mb("self")}
    assert rows == ROWS + BATCH
    figures = {"before": before, "insert": inserted, "select": selected}
    record_property("memory_mb", figures)
    for peak in (inserted, selected):
        assert peak["engine"] - before["engine"] < GROWTH_MB, figures
        assert peak["client"] - before["client"] < 150, figures


def test_insert_that_breaks_off_writes_nothing_of_its_block(table: str) -> None:
    def breaking() -> Iterator[pa.RecordBatch]:
        yield from batches(BATCH)
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        client.owner().insert(names.database(OURS), "t", SCHEMA, breaking())
    time.sleep(0.5)
    assert queries.run(OURS, "SELECT count() FROM t").read_all().to_pylist() == [{"count()": 0}]


MAPPED = [
    ("SELECT nothing FROM events", errors.ObjectNotFound),
    ("SELECT id FROM no_such_table", errors.ObjectNotFound),
    ("SELECT sum(name) FROM events", errors.SqlInvalid),
    ("SELECT toInt32('x')", errors.DataError),
    ("SELECT intDiv(1, 0)", errors.DataError),
    ("SELECT {n:Int64}", errors.InvalidParameters),
    ("SELECT length(repeat('x', 2000000000))", errors.DataError),
]


@pytest.mark.parametrize(("sql", "kind"), MAPPED, ids=[sql for sql, _ in MAPPED])
def test_error_is_one_of_ours(sql: str, kind: type[ConnectorError], store: Engine) -> None:
    with pytest.raises(kind) as caught:
        queries.run(OURS, sql).read_all()
    assert "DB::" not in str(caught.value)


def test_parameters_without_a_place_are_refused(store: Engine) -> None:
    with pytest.raises(errors.InvalidParameters):
        queries.run(OURS, "SELECT '%(x)s'", {"x": "', file('/etc/passwd'), '"})


@pytest.mark.parametrize(("count", "size"), [(901, 1), (1, 131_073)])
def test_more_values_than_a_request_holds_are_refused(store: Engine, count: int, size: int) -> None:
    def ask(count: int, size: int) -> Any:
        listed = ", ".join(f"{{v{number}:String}}" for number in range(count))
        values = {f"v{number}": "x" * size for number in range(count)}
        return client.owner().query(f"SELECT 'y' IN ({listed}) AS found", values)

    with pytest.raises(errors.InvalidParameters, match="900 values"):
        ask(count, size)
    fitting = ask(min(count, limits.MAX_VALUES), min(size, limits.MAX_VALUE_BYTES))
    assert fitting.read_all().to_pylist() == [{"found": 0}]


def test_error_behind_the_first_rows_is_told(table: str) -> None:
    insert(ROWS // 5)
    rows = queries.run(OURS, "SELECT id, intDiv(1, id - 900000) FROM t ORDER BY id")
    got: list[int] = []
    with pytest.raises(errors.DataError):
        got.extend(batch.num_rows for batch in rows)
    assert 0 < sum(got) < ROWS // 5


def test_time_limit_ends_a_query(store: Engine) -> None:
    started = time.monotonic()
    with pytest.raises(errors.QueryTimeout):
        client.owner().query(ENDLESS, limits=Limits(timeout_s=1)).read_all()
    assert time.monotonic() - started < 3


def running(query_id: str) -> bool:
    sql = "SELECT count() FROM system.processes WHERE query_id = {id:String}"
    return bool(client.owner().command(sql, {"id": query_id}))


def test_cancel_ends_a_query_and_its_reader_is_told(store: Engine) -> None:
    told: list[ConnectorError] = []

    def read() -> None:
        try:
            client.owner().query(ENDLESS, query_id="cancelled").read_all()
        except ConnectorError as exc:
            told.append(exc)

    reading = threading.Thread(target=read)
    reading.start()
    wait_for(lambda: running("cancelled"))
    client.owner().cancel("cancelled")
    reading.join(2)
    assert [type(exc) for exc in told] == [errors.QueryCancelled]
    client.owner().cancel("cancelled")  # over: harmless


@pytest.mark.parametrize("who", ["owner", "reader"])
@pytest.mark.usefixtures("table")
def test_query_ends_when_its_reader_goes_away(who: str, store: Engine) -> None:
    insert(BATCH)
    session = client.owner() if who == "owner" else client.reader(OURS)
    table = f"{names.database(OURS)}.t"
    sql = f"SELECT a.id, sipHash64(b.text) FROM {table} AS a, {table} AS b"
    rows = session.query(sql, query_id=f"left by the {who}", limits=Limits(timeout_s=60))
    reading = iter(rows)
    next(reading)
    assert running(f"left by the {who}")
    rows.close()
    assert until(lambda: not running(f"left by the {who}"), 1)


def test_queries_of_one_client_run_side_by_side(store: Engine) -> None:
    def sleep() -> None:
        client.owner().command("SELECT sleep(1)")

    threads = [threading.Thread(target=sleep) for _ in range(6)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 4


KEYED = "SELECT number AS k, repeat(toString(number), 10) AS v FROM numbers(1500000)"
LARGE = {
    "join": f"SELECT count() FROM (SELECT number AS k FROM numbers(1500000)) AS a JOIN ({KEYED}) "
    "AS b USING (k) WHERE length(b.v) > 0",
    "group by": "SELECT count(), max(length(v[1])) FROM "
    f"(SELECT k, groupArray(v) AS v FROM ({KEYED}) GROUP BY k)",
}
MEMORY = {"join": 200, "group by": 240}
SPILLING = (
    "join_algorithm = 'direct,grace_hash,hash', max_bytes_in_join = 50000000, "
    "max_bytes_before_external_group_by = 50000000"
)
NOT_SPILLING = (
    "join_algorithm = 'hash', max_bytes_before_external_group_by = 0, "
    "max_bytes_ratio_before_external_group_by = 0"
)


@pytest.mark.parametrize("what", LARGE)
def test_what_does_not_fit_goes_to_disk(what: str, store: Engine) -> None:
    """The same with what readers have and without it, in the same memory."""
    bounded = f"{LARGE[what]} SETTINGS max_threads = 2, max_memory_usage = {MEMORY[what]}000000"
    client.owner().command(f"{bounded}, {SPILLING}")
    with pytest.raises(errors.LimitExceeded):
        client.owner().command(f"{bounded}, {NOT_SPILLING}")


def test_readers_spill(store: Engine) -> None:
    spilling = ["max_bytes_before_external_group_by", "max_bytes_before_external_sort"]
    sql = "SELECT value FROM system.settings WHERE name IN {names:Array(String)} ORDER BY name"
    wanted = {"names": [*spilling, "join_algorithm", "max_bytes_in_join"]}
    found = client.reader(OURS).query(sql, wanted).read_all()["value"].to_pylist()
    quarter = str(1024 * 2**20 // 4)
    assert found == ["direct,grace_hash,hash", quarter, quarter, quarter]


def test_no_store_and_a_dead_one_are_told_apart(settings: Any, tmp_path: Path) -> None:
    settings.CLICKHOUSE_URL = settings.STORE_PATH = ""
    with pytest.raises(StoreNotConfigured):
        client.owner()
    settings.STORE_PATH = str(tmp_path)
    with pytest.raises(StoreUnavailable):
        client.owner()
    settings.CLICKHOUSE_URL = "http://u:p@127.0.0.1:9"
    with pytest.raises(StoreUnavailable) as caught:
        client.owner().command("SELECT 1")
    assert caught.value.retryable


def test_no_query_is_in_the_log(
    table: str, store: Engine, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    queries.run(OURS, "SELECT 'a-literal'").read_all()
    for sql in ("SELECT 'a-literal', intDiv(1, 0)", "SELECT {literal:String}, nothing FROM events"):
        with pytest.raises(ConnectorError):
            queries.run(OURS, sql, {"literal": "a-literal"}).read_all()
    insert(1)
    settings.CLICKHOUSE_URL = "http://u:p@127.0.0.1:9"
    with pytest.raises(StoreUnavailable):
        client.owner().command("SELECT 'a-literal'")
    store.use(settings)
    assert "a-literal" not in caplog.text


def test_wrong_password_is_told(store: Engine, settings: Any) -> None:
    endpoint = store.home.endpoint()
    assert endpoint is not None
    settings.CLICKHOUSE_URL = f"http://warehouse:wrong@{endpoint.address}"
    with pytest.raises(errors.CredentialsRejected):
        client.owner().command("SELECT 1")
