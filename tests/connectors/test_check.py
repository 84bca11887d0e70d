"""The contract of check(): steps in order, each named, all within a bound, cancellable."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from connectors import Connector, NetworkPolicy, connect
from connectors.check import CHECK_TIMEOUT_S
from connectors.errors import ConnectorError, CredentialsRejected
from connectors.types import CheckReport
from tests.connectors.matrix import MATRIX
from tests.connectors.subject import Subject
from tests.waiting import wait_for

STEPS = [
    "resolve", "network policy", "connect", "TLS", "sign in", "usable", "read", "write refused",
]  # fmt: skip
AT_ONCE_S = 2
SIGN_IN_S = 15


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A loopback port where connections are taken and nothing is ever said."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield int(server.getsockname()[1])


Hung = dict[str, Future[tuple[CheckReport, float]]]


@pytest.fixture(scope="module")
def hung(
    credentials: dict[str, dict[str, object]], loopback: NetworkPolicy, silent_port: int
) -> Iterator[Hung]:
    """Checks of every provider against the silent port, all at once; with the seconds it took."""

    def checked(connector: Connector) -> tuple[CheckReport, float]:
        with connector:
            started = time.monotonic()
            return connector.check(), time.monotonic() - started

    with ThreadPoolExecutor(len(MATRIX)) as threads:
        yield {
            row.provider: threads.submit(
                checked,
                connect(
                    row.provider,
                    row.pointed_at(dict(credentials[row.provider]), "127.0.0.1", silent_port),
                    network=loopback,
                ),
            )
            for row in MATRIX
        }


def test_check_passes_step_by_step(subject: Subject) -> None:
    with subject.connector() as connector:
        report = connector.check()
    assert report.ok, report.failure
    assert [step.name for step in report.steps] == STEPS
    assert all(step.ms >= 0 for step in report.steps)
    assert not [step for step in report.steps if step.code and step.name != "write refused"]
    assert next(step.detail for step in report.steps if step.name == "read") == "1 row"


def test_a_warning_says_what_it_is_and_what_to_do(subject: Subject) -> None:
    with subject.connector() as connector:
        last = connector.check().steps[-1]
    assert last.code in ("", "role_can_write")
    assert bool(last.code) == bool(last.hint)
    assert last.detail


def test_wrong_secret_fails_at_sign_in(subject: Subject) -> None:
    with subject.connector(subject.row.with_wrong_secret(subject.form)) as connector:
        report = connector.check()
    assert [(step.name, step.code) for step in report.steps if not step.ok] == [
        ("sign in", "credentials_rejected")
    ]
    assert report.failure is not None
    assert report.failure.hint


def test_wrong_secret_fails_every_verb_in_time(subject: Subject) -> None:
    wrong = subject.row.with_wrong_secret(subject.form)
    for verb in (
        lambda c: c.query("SELECT 1 AS one"),
        lambda c: c.fetch_tables(subject.schema),
        lambda c: c.estimate("SELECT 1 AS one"),
    ):
        started = time.monotonic()
        with subject.connector(wrong) as connector, pytest.raises(CredentialsRejected) as caught:
            verb(connector)
        assert time.monotonic() - started < SIGN_IN_S
        assert not caught.value.retryable


def test_closed_port_fails_at_connect(
    subject: Subject, loopback: NetworkPolicy, closed_port: int
) -> None:
    form = subject.at("127.0.0.1", closed_port)
    with subject.connector(form, network=loopback) as connector:
        report = connector.check()
        assert report.failure is not None
        assert (report.failure.name, report.failure.code) == ("connect", "host_unreachable")
        with pytest.raises(ConnectorError) as caught:
            connector.query("SELECT 1 AS one")
    assert caught.value.code == "host_unreachable"


def test_unknown_host_fails_at_resolve(subject: Subject, loopback: NetworkPolicy) -> None:
    form = subject.at("nowhere.invalid", 443)
    with subject.connector(form, network=loopback) as connector:
        failure = connector.check().failure
    assert failure is not None
    assert (failure.name, failure.code) == ("resolve", "host_unknown")


def test_private_address_is_refused_before_anything_is_sent(
    subject: Subject, listener: socket.socket
) -> None:
    form = subject.at("127.0.0.1", listener.getsockname()[1])
    with subject.connector(form, network=NetworkPolicy()) as connector:
        failure = connector.check().failure
        for verb in (connector.fetch_tables, lambda: connector.query("SELECT 1 AS one")):
            with pytest.raises(ConnectorError) as caught:
                verb()
            assert caught.value.code == "host_refused"
    assert failure is not None
    # Where the client looks names up again, only the provider's own names are looked up at all.
    step = "resolve" if connector.domains else "network policy"
    assert (failure.name, failure.code) == (step, "host_refused")
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_check_of_a_silent_server_is_cancelled_at_once(
    subject: Subject, loopback: NetworkPolicy, silent_port: int
) -> None:
    form = subject.at("127.0.0.1", silent_port)
    with subject.connector(form, network=loopback) as connector, ThreadPoolExecutor(1) as threads:
        running = threads.submit(connector.check, "check-1")
        wait_for(lambda: connector.cancel("check-1"))
        cancelled = time.monotonic()
        failure = running.result(AT_ONCE_S).failure
        assert time.monotonic() - cancelled < AT_ONCE_S
        assert not connector.cancel("check-1")
    assert failure is not None
    assert failure.code == "query_cancelled"
    assert failure.name in STEPS


def test_check_leaves_an_open_session_alone(shared: Connector) -> None:
    assert shared.query("SELECT 1 AS one").read_all().num_rows == 1
    result = shared.query("SELECT 1 AS one")
    assert shared.check().ok
    assert result.read_all().num_rows == 1


def test_check_leaves_no_thread(subject: Subject) -> None:
    before = set(threading.enumerate())
    with subject.connector() as connector:
        assert connector.check().ok
    wait_for(lambda: set(threading.enumerate()) <= before)


def test_silent_server_fails_at_a_named_step_within_the_bound(subject: Subject, hung: Hung) -> None:
    report, seconds = hung[subject.row.provider].result(CHECK_TIMEOUT_S + 2)
    assert seconds < CHECK_TIMEOUT_S + 1
    assert report.failure is not None
    assert report.failure.name in ("TLS", "sign in")
    assert report.failure.code in ("host_unreachable", "tls_failed", "check_timeout")
    assert report.failure.hint
