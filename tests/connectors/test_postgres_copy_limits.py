"""COPY that is limited, cut into batches, or ended in its middle."""

import time
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import QueryCancelled
from connectors.postgres import text_rows
from connectors.postgres.copy import FIRST_BYTES, PIECE_BYTES, CopyExecution
from tests.connectors.copied import Session, assert_same, copy
from tests.connectors.helpers import rows_of

PROVIDER = "postgres"
MB = 2**20
ENDLESS = "SELECT generate_series(1, 1000000000000) AS n"


def test_row_limit_does_not_read_the_whole_query(connector: Connector) -> None:
    with connector.query(ENDLESS, limits=Limits(timeout_s=20, max_rows=5)) as result:
        assert result.read_all().column(0).to_pylist() == [1, 2, 3, 4, 5]
    assert result.truncated


def test_byte_limit_does_not_read_the_whole_query(connector: Connector) -> None:
    limits = Limits(timeout_s=20, max_bytes_returned=MB)
    with connector.query(ENDLESS, limits=limits) as result:
        assert sum(batch.nbytes for batch in result) <= MB
    assert result.truncated
    assert rows_of(connector, "SELECT 1 AS one") == [(1,)]


def test_query_that_is_left_in_the_middle_ends_in_the_server(
    session: Session, endpoints: dict[str, Any]
) -> None:
    execution = CopyExecution(session, ENDLESS, 60, "left-in-the-middle")
    execution.start()
    next(execution.batches())
    execution.close()
    assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with psycopg.connect(endpoints["postgres"]["superuser_dsn"]) as server:
        found = server.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", [session.info.backend_pid]
        ).fetchone()
    assert found == ("idle",)


def test_server_ends_by_itself_at_the_row_limit(session: Session) -> None:
    execution = CopyExecution(session, ENDLESS, 60, "limited", max_rows=5)
    execution.start()
    assert next(execution.batches()).num_rows == 6
    assert session.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    execution.close()


def test_cancel_that_the_server_has_missed_is_seen(session: Session) -> None:
    execution = CopyExecution(session, "SELECT pg_sleep(60)", 60, "missed")
    execution.start()
    began = time.monotonic()
    execution.cancel()
    with pytest.raises(QueryCancelled):
        next(execution.batches())
    execution.close()
    assert time.monotonic() - began < 5
    assert copy(session, "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_first_rows_come_before_the_query_has_ended(connector: Connector) -> None:
    slow = "SELECT repeat('x', 10000) AS w, pg_sleep(CASE WHEN g > 20 THEN 60 ELSE 0 END)"
    with connector.query(f"{slow} FROM generate_series(1, 30) AS g", run_id="r") as result:
        assert next(iter(result)).num_rows > 5


WIDE = "repeat('x', 300000)"


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("g", 2_000_000),
        ("NULL::numeric(30,2), NULL::numeric(30,2), NULL::bool", 400_000),
        (WIDE, 100),
        (f"CASE WHEN g % 2 = 0 THEN {WIDE} ELSE 'x' END", 100),
        (", ".join(f"g AS c{n}" for n in range(1600)), 2_000),
    ],
    ids=["narrow", "null", "wide", "uneven", "many columns"],
)
def test_batches_are_bounded_by_bytes(
    connector: Connector, monkeypatch: pytest.MonkeyPatch, columns: str, rows: int
) -> None:
    # On a slow machine pieces are long in coming, and are then handed on as they are.
    monkeypatch.setattr("connectors.postgres.copy.WAKE_S", 60)
    sql = f"SELECT {columns} FROM generate_series(1, {rows}) AS g"
    with connector.query(sql) as result:
        sizes = [batch.nbytes for batch in result]
    assert result.rows == rows
    assert max(sizes) <= text_rows.BATCH_BYTES
    assert len(sizes) <= 5 + 2 * sum(sizes) / text_rows.BATCH_BYTES


def test_first_batch_is_small(connector: Connector) -> None:
    with connector.query("SELECT generate_series(1, 1000000) AS n") as result:
        assert next(iter(result)).nbytes <= FIRST_BYTES + PIECE_BYTES


@pytest.mark.parametrize("kind", ["text", "bytea"])
def test_huge_value_has_a_batch_of_its_own(connector: Connector, kind: str) -> None:
    size = 50_000_000
    value = (
        f"convert_to(repeat('x', {size}), 'UTF8')" if kind == "bytea" else f"repeat('x', {size})"
    )
    sql = f"SELECT g, CASE g WHEN 5 THEN {value} END AS v FROM generate_series(1, 10) AS g"
    table = connector.query(sql).read_all()
    assert table.column("g").to_pylist() == list(range(1, 11))
    [value] = table.column("v").drop_null()
    assert len(value.as_buffer()) == size


def test_empty_query_has_a_schema(session: Session) -> None:
    found = copy(session, "SELECT 1::int AS a, '1'::interval AS b WHERE false")
    assert found.schema == pa.schema([("a", pa.int32()), ("b", pa.string())])
    assert found.num_rows == 0


def test_query_without_columns_has_no_rows_to_show(session: Session) -> None:
    assert_same(session, "SELECT FROM generate_series(1, 3)")
