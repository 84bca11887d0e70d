"""The contract of a connector, held against every provider by the same tests.

Here: estimate(), query(), what is refused, closing, and what gets out. Beside it test_check,
test_tables, test_form, test_ending and test_faults. A skip comes from the provider's
capabilities, or from its being a real account, and says why.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import Connector, Limits
from connectors.errors import (
    ConnectorError,
    InvalidParameters,
    ObjectNotFound,
    PermissionDenied,
    QueryTimeout,
    SqlInvalid,
    SqlRefused,
)
from connectors.registry import names, provider
from tests.connectors.matrix import MATRIX, ROWS
from tests.connectors.subject import Subject
from tests.waiting import wait_for


def test_every_provider_that_runs_queries_is_in_the_matrix() -> None:
    queried = [name for name in names() if provider(name).capabilities.dialect]
    assert sorted(row.provider for row in MATRIX) == queried


# estimate()


def test_estimate_is_bytes_and_money_or_unknown(shared: Connector, subject: Subject) -> None:
    estimate = shared.estimate(f"SELECT * FROM {subject.table}")
    # A real account may count bytes as they are stored, packed.
    least = 1 if subject.live else ROWS * 100
    assert estimate.bytes_scanned is None or estimate.bytes_scanned >= least
    assert estimate.currency == "USD"
    assert estimate.explanation
    if estimate.cost_high is None:
        assert estimate.cost_low is None
        assert estimate.basis == "unknown"
    else:
        assert isinstance(estimate.cost_high, Decimal)
        assert isinstance(estimate.cost_low, Decimal)
        assert 0 <= estimate.cost_low <= estimate.cost_high
        assert estimate.cost_high > 0


def test_estimate_of_an_unknown_table_is_an_error(shared: Connector) -> None:
    with pytest.raises(ObjectNotFound, match="no_such_table"):
        shared.estimate("SELECT * FROM no_such_table")


def test_estimate_goes_past_no_guard(shared: Connector, subject: Subject) -> None:
    with pytest.raises(SqlRefused):
        shared.estimate(f"DELETE FROM {subject.table}")


# query()


def test_rows_stream_as_arrow(shared: Connector, subject: Subject) -> None:
    with shared.query(f"SELECT id, word FROM {subject.table}") as result:
        schema = result.schema
        batches = list(result)
    assert [name.lower() for name in schema.names] == ["id", "word"]
    assert all(batch.schema == schema for batch in batches)
    ids = pa.concat_arrays([batch.column(0) for batch in batches]).to_pylist()
    assert sorted(ids) == list(range(1, ROWS + 1))
    assert (result.rows, result.truncated) == (ROWS, False)
    assert result.stats.vendor_query_id


def test_empty_result_has_its_schema(shared: Connector, subject: Subject) -> None:
    with shared.query(f"SELECT id, word FROM {subject.table} WHERE id < 0") as result:
        table = result.read_all()
    assert table.num_rows == 0
    assert [name.lower() for name in table.schema.names] == ["id", "word"]
    assert pa.types.is_integer(table.schema.types[0]) or pa.types.is_decimal(table.schema.types[0])
    assert table.schema.types[1] == pa.string()


def test_parameters_are_bound_in_the_providers_own_style(
    shared: Connector, subject: Subject
) -> None:
    for sql, params in subject.row.bound:
        assert [
            tuple(row.values()) for row in shared.query(sql, params).read_all().to_pylist()
        ] == [(7, "x'y")]


def test_wrong_number_of_parameters_is_said(shared: Connector, subject: Subject) -> None:
    sql, params = subject.row.bound[0]
    # BigQuery has no code of its own for it.
    with pytest.raises((InvalidParameters, SqlInvalid)):
        shared.query(sql, params[:1]).read_all()


def test_row_limit_cuts_and_says_so(shared: Connector, subject: Subject) -> None:
    with shared.query(f"SELECT id FROM {subject.table}", limits=Limits(max_rows=7)) as result:
        assert result.read_all().num_rows == 7
    assert (result.rows, result.truncated) == (7, True)
    assert result.stats.vendor_query_id


def test_row_limit_equal_to_the_rows_cuts_nothing(shared: Connector, subject: Subject) -> None:
    limits = Limits(max_rows=ROWS)
    with shared.query(f"SELECT id FROM {subject.table}", limits=limits) as result:
        assert result.read_all().num_rows == ROWS
    assert not result.truncated


def test_byte_limit_cuts_and_says_so(shared: Connector, subject: Subject) -> None:
    limits = Limits(max_bytes_returned=100_000)
    with shared.query(f"SELECT word FROM {subject.table}", limits=limits) as result:
        table = result.read_all()
    assert 0 < table.num_rows < ROWS
    assert table.nbytes <= 100_000
    assert result.truncated


def test_limit_on_bytes_scanned_is_the_servers(shared: Connector, subject: Subject) -> None:
    if not shared.capabilities.limits_bytes_scanned:
        pytest.skip("the server has no limit on bytes scanned (capabilities)")
    with pytest.raises(ConnectorError) as caught:
        shared.query(f"SELECT * FROM {subject.table}", limits=Limits(max_bytes_scanned=1))
    assert caught.value.code == "limit_exceeded"


def test_timeout_ends_the_query_and_spares_the_session(subject: Subject) -> None:
    with subject.connector() as connector:
        started = time.monotonic()
        with pytest.raises(QueryTimeout):
            connector.query(subject.endless("n"), limits=Limits(timeout_s=1)).read_all()
        assert time.monotonic() - started < 6
        assert connector.query("SELECT 1 AS one").read_all().num_rows == 1


def test_unknown_table_is_named_as_such(shared: Connector) -> None:
    with pytest.raises(ObjectNotFound) as caught:
        shared.query("SELECT * FROM no_such_table").read_all()
    assert caught.value.fields == {"sql": "no_such_table"}


def test_nonsense_of_the_dialect_is_invalid(shared: Connector, subject: Subject) -> None:
    with pytest.raises(SqlInvalid):
        shared.query(subject.row.nonsense).read_all()


def test_session_stays_usable_after_an_error(shared: Connector) -> None:
    with pytest.raises(ObjectNotFound):
        shared.query("SELECT * FROM no_such_table").read_all()
    assert shared.query("SELECT 1 AS one").read_all().num_rows == 1


# read-only


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM {table} WHERE id = 1",
        "INSERT INTO {table} (id) VALUES (0)",
        "UPDATE {table} SET id = 0 WHERE id = 1",
        "DROP TABLE {table}",
        "CREATE TABLE {table}_2 AS SELECT 1 AS one",
        "SELECT 1 AS one; DROP TABLE {table}",
        "TRUNCATE TABLE {table}",
    ],
)
def test_guard_refuses_what_writes(shared: Connector, subject: Subject, statement: str) -> None:
    with pytest.raises(SqlRefused):
        shared.query(statement.format(table=subject.table))
    assert shared.query(f"SELECT id FROM {subject.table}").read_all().num_rows == ROWS


class Unguarded:
    """Any connector class, with its first layer of defence taken off."""

    @staticmethod
    def of(kind: type[Connector]) -> type[Connector]:
        return type(f"Unguarded{kind.__name__}", (kind,), {"_guard": lambda self, sql: None})


def test_engine_refuses_what_writes_when_the_guard_is_gone(subject: Subject) -> None:
    connector = subject.connector()
    if not connector.capabilities.read_only_session:
        pytest.skip("the server has no read-only session (capabilities)")
    with Unguarded.of(type(connector))(subject.form, network=subject.network) as unguarded:
        for statement in (
            "DELETE FROM {table}",
            "WITH x AS (DELETE FROM {table} RETURNING 1) SELECT 1",
        ):
            with pytest.raises((PermissionDenied, SqlInvalid)):
                unguarded.query(statement.format(table=subject.table)).read_all()
        assert unguarded.query(f"SELECT id FROM {subject.table}").read_all().num_rows == ROWS


# closing


def test_closing_twice_is_harmless(subject: Subject) -> None:
    connector = subject.connector()
    connector.close()
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
    connector.close()
    connector.close()
    assert connector.query("SELECT 1 AS one").read_all().num_rows == 1
    connector.close()


def test_result_left_half_read_frees_its_session(shared: Connector, subject: Subject) -> None:
    threads = set(threading.enumerate())
    result = shared.query(f"SELECT id, word FROM {subject.table}")
    batches = iter(result)
    assert 0 < next(batches).num_rows <= ROWS
    result.close()
    result.close()
    wait_for(lambda: set(threading.enumerate()) <= threads)
    assert shared.query(f"SELECT id FROM {subject.table}").read_all().num_rows == ROWS


def test_result_never_read_frees_its_session(shared: Connector, subject: Subject) -> None:
    shared.query(f"SELECT id FROM {subject.table}").close()
    assert shared.query("SELECT 1 AS one").read_all().num_rows == 1


def test_closing_leaves_no_thread(subject: Subject) -> None:
    before = set(threading.enumerate())
    with subject.connector() as connector:
        assert connector.check().ok
        connector.query(f"SELECT id FROM {subject.table}").read_all()
    wait_for(lambda: set(threading.enumerate()) <= before)


# what gets out


def test_neither_secret_nor_driver_text_gets_out(
    subject: Subject, log: pytest.LogCaptureFixture
) -> None:
    canary = "canary_4711"
    told: list[ConnectorError] = []

    def fail(connector: Connector, verb: Callable[[Connector], Any]) -> None:
        with closing(connector), pytest.raises(ConnectorError) as caught:
            verb(connector)
        told.append(caught.value)

    wrong = subject.connector(subject.row.with_wrong_secret(subject.form))
    fail(wrong, lambda c: c.query("SELECT 1 AS one"))
    fail(subject.connector(), lambda c: c.query(f"SELECT '{canary}' FROM nowhere").read_all())
    fail(subject.connector(), lambda c: c.query(subject.row.nonsense).read_all())
    secrets = [*wrong.credentials.secrets(), *subject.connector().credentials.secrets()]
    assert secrets
    for error in told:
        shown = f"{error} {error.args} {error.advice} {error.fields} {error!r}"
        assert canary not in shown
        assert not [secret for secret in secrets if len(secret) > 3 and secret in shown]
    assert log.messages.count("warehouse.error") == len(told)
    assert not [secret for secret in secrets if len(secret) > 3 and secret in log.text]
