"""Answers that break off, as an engine that is killed gives them."""

import socket

import pytest
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import ProtocolError

from tests.etl.receivers import raw_server
from warehouse.store.transport import insisting_on_whole_heads

HEAD = b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = HEAD + b"3\r\nabc\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def asked(answer: bytes) -> bytes:
    def say(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    with raw_server(say) as url:
        manager = insisting_on_whole_heads(get_pool_manager())
        return manager.request("POST", url, retries=False).data


@pytest.mark.parametrize("answer", [WHOLE, SIZED], ids=["chunked", "sized"])
def test_whole_answer_is_read(answer: bytes) -> None:
    assert asked(answer) == b"abc"


@pytest.mark.parametrize("answer", [WHOLE, SIZED], ids=["chunked", "sized"])
def test_answer_that_breaks_off_anywhere_is_an_error(answer: bytes) -> None:
    # The zero that ends the chunks says that there are no more.
    for length in range(len(answer.removesuffix(b"0\r\n\r\n"))):
        with pytest.raises(ProtocolError):
            asked(answer[:length])
