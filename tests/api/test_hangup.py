"""Noticing that the other end of a socket has gone."""

import socket
import threading
from collections.abc import Iterator

import pytest

from api.hangup import HangupWatch
from connectors.errors import ConnectionLost

SOON_S = 5
NOT_AT_ALL_S = 0.7


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection and the client's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        listening.accept()[0] as server,
    ):
        yield server, client


def test_client_that_goes_is_noticed(ends: tuple[socket.socket, socket.socket]) -> None:
    gone = threading.Event()
    HangupWatch({"gunicorn.socket": ends[0]}, gone.set)
    ends[1].sendall(b"more of the request")
    assert not gone.wait(NOT_AT_ALL_S)
    ends[1].close()
    assert gone.wait(SOON_S)


def test_client_that_goes_after_the_answer_is_its_own_affair(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    gone = threading.Event()
    watch = HangupWatch({"gunicorn.socket": ends[0]}, gone.set)
    watch.close()
    ends[1].close()
    assert not gone.wait(NOT_AT_ALL_S)


def test_server_that_hands_over_no_socket_is_not_watched() -> None:
    before = threading.active_count()
    HangupWatch({}, lambda: None).close()
    assert threading.active_count() == before


def test_query_that_cannot_be_ended_is_logged(
    ends: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    tried = threading.Event()

    def fail() -> None:
        tried.set()
        raise ConnectionLost()

    HangupWatch({"gunicorn.socket": ends[0]}, fail)
    ends[1].close()
    assert tried.wait(SOON_S)
    for thread in threading.enumerate():
        if thread.daemon and thread.name.endswith("(_watch)"):
            thread.join(SOON_S)
    assert "query.not_cancelled" in caplog.text
