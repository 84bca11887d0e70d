"""Spark's Thrift Server, as the bridge uses it: calls over a few TCP connections."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from sandbox.databricks.settings import LOOPBACK

# It logs what it raises as well, and Spark takes its time to start.
logging.getLogger("thrift").setLevel(logging.CRITICAL)

# A fetch of a big result is one message.
_LARGEST = 1 << 30


SparkGone = TTransportException
"""Spark does not answer: it has ended, or is still starting.

Thrift's own error, because its processor hands on no other but answers for it.
"""


class Connection:
    """One TCP connection. Spark ends the session opened over it when it closes."""

    def __init__(self, port: int) -> None:
        """Connect; raise SparkGone."""
        self._transport = TBufferedTransport(TSocket(LOOPBACK, port))
        protocol = TBinaryProtocolAccelerated(
            self._transport, string_length_limit=_LARGEST, container_length_limit=_LARGEST
        )
        self._client = TCLIService.Client(protocol)
        try:
            self._transport.open()
        except TTransportException as error:
            raise SparkGone(message=str(error)) from error

    def call(self, method: str, request: Any) -> Any:
        """Return Spark's answer; raise SparkGone, after which the connection is of no use."""
        try:
            return getattr(self._client, method)(request)
        except (TTransportException, OSError, EOFError) as error:
            self.close()
            raise SparkGone(message=str(error)) from error

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._transport.close()


class Upstream:
    """Calls to one Spark; safe to use from several threads, each with a connection to itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def connect(self) -> Connection:
        """Return a connection that is nobody else's."""
        return Connection(self._port)

    def call(self, method: str, request: Any) -> Any:
        """Return Spark's answer; raise SparkGone."""
        with self._borrowed() as connection:
            return connection.call(method, request)

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self.connect()
        # Not in a finally: one that has failed is not lent again.
        yield connection
        with self._lock:
            self._idle.append(connection)
