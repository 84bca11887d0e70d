"""HTTP to the store that tells an answer from one that broke off.

Python's http.client takes the end of a connection for the end of an answer's head. Of an engine
that was killed while it answered, that would be "200" without a body: a result without rows. The
client that we use looks for this too, but only until the first of the final headers has come.
"""

from http.client import HTTPResponse, IncompleteRead

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


def insisting_on_whole_heads(manager: PoolManager) -> PoolManager:
    """The same manager; its connections raise ProtocolError where a head does not say how long the
    body is, which ClickHouse always does."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


class _Answer(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        if not self.chunked and self.length is None:
            self.close()
            raise IncompleteRead(b"")


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
