"""What a connector owes when the way to its warehouse breaks: the right error, in time, no rest."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import Connector
from connectors.errors import ConnectionLost, HostUnreachable, QueryTimeout
from tests.connectors.helpers import drain, nothing_is_left
from tests.connectors.matrix import ROWS, Form
from tests.connectors.proxy import Proxy
from tests.connectors.subject import Subject

TIMES = 2
LOST_WITHIN_S = 10
LIMIT_S = 4
# Three of grace for a server that is late, and five for a cancel request that nobody answers.
SILENT_WITHIN_S = LIMIT_S + 3 + 5 + 1
CLOSED_WITHIN_S = 5

Whole = dict[str, int]


@pytest.fixture(scope="module")
def whole() -> Whole:
    """By provider and way: the bytes of the whole stream, measured once."""
    return {}


@pytest.fixture
def carried(subject: Subject, way: str, whole: Whole) -> int:
    """The bytes that a stream of ``many`` rows takes, from sign-in to its end."""
    subject.needs_sandbox("a relay has no certificate for the warehouse's name")
    key = f"{subject.row.provider} {way}"
    if key not in whole:
        with Proxy() as proxy, connected(subject, way, proxy) as connector:
            assert drain(connector, subject.many(TIMES)) == ROWS * TIMES
            whole[key] = proxy.carried
    return whole[key]


def connected(subject: Subject, way: str, proxy: Proxy) -> Connector:
    form: Form = subject.row.through[way](subject.form, proxy.via)
    return subject.connector(form)


def read(connector: Connector, sql: str) -> Iterator[int]:
    with connector.query(sql) as result:
        for batch in result:
            yield batch.num_rows


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go meanwhile."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_connection_cut_in_mid_stream_is_lost_and_leaves_nothing(
    subject: Subject, way: str, carried: int, temporary: Path
) -> None:
    rows: list[int] = []
    with nothing_is_left(temporary):
        with Proxy() as proxy, connected(subject, way, proxy) as connector:
            proxy.cut_after = carried * 6 // 10
            with pytest.raises(ConnectionLost) as caught:
                rows.extend(read(connector, subject.many(TIMES)))
            assert proxy.broken_at is not None
            assert time.monotonic() - proxy.broken_at < LOST_WITHIN_S
        del connector
    assert caught.value.retryable
    assert sum(rows) < ROWS * TIMES


def test_session_that_was_cut_is_not_used_again(subject: Subject, way: str, carried: int) -> None:
    with Proxy() as proxy, connected(subject, way, proxy) as connector:
        proxy.cut_after = carried * 6 // 10
        with pytest.raises(ConnectionLost):
            drain(connector, subject.many(TIMES))
        # Nobody listens at the old place, which a session anew finds out: at its sign-in, or
        # with its first statement where tokens come from elsewhere.
        with pytest.raises((HostUnreachable, ConnectionLost)) as caught:
            connector.query("SELECT 1 AS one")
    assert caught.value.retryable


def test_server_that_falls_silent_costs_no_more_than_the_time_limit(
    subject: Subject, way: str, carried: int, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in subject.row.patience.items():
        monkeypatch.setattr(name, seconds)
    with nothing_is_left(temporary):
        with Proxy() as proxy, connected(subject, way, proxy) as connector:
            proxy.silent_after = carried // 4
            started = time.monotonic()
            with pytest.raises(QueryTimeout):
                drain(connector, subject.many(TIMES), timeout_s=LIMIT_S)
            assert proxy.broken_at is not None
            assert time.monotonic() - started < SILENT_WITHIN_S
            connector.close()
            assert time.monotonic() - started < SILENT_WITHIN_S + CLOSED_WITHIN_S
        del connector
