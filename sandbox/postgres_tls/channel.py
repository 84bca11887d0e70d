"""TLS over a stream, which tells the client why it was refused.

asyncio's own drops the alert that says so, and a client then only sees that it was hung up on.
"""

import asyncio
import logging
import ssl
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

log = logging.getLogger("sandbox.postgres_tls")

CHUNK = 64 * 1024


class Channel:
    """The clear side of an encrypted stream: ``reader``, and as much of a writer as is needed."""

    def __init__(self, context: ssl.SSLContext, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = StreamReader()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._encrypted = reader
        self._writer = writer

    async def shake_hands(self) -> None:
        """Raises ssl.SSLError when the client has been told why not."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send()
                data = await self._encrypted.read(CHUNK)
                if not data:
                    raise ConnectionResetError("hung up during the handshake") from None
                self._incoming.write(data)
            except ssl.SSLError:
                self._send()
                await self._writer.drain()
                raise
        self._send()
        self._decrypting = asyncio.create_task(self._decrypt())

    @property
    def certificate(self) -> dict[str, object]:
        """The client's, verified; empty where it has shown none."""
        return dict(self._tls.getpeercert() or {})

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._send()

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        """Say that no more will come; without that, a client takes it for an attack."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    def _send(self) -> None:
        self._writer.write(self._outgoing.read())

    async def _decrypt(self) -> None:
        try:
            # The first words may have come with the last of the handshake.
            self._feed()
            while data := await self._encrypted.read(CHUNK):
                self._incoming.write(data)
                self._feed()
        except OSError as exc:
            log.info("connection ended: %s", type(exc).__name__)
        self.reader.feed_eof()

    def _feed(self) -> None:
        try:
            while data := self._tls.read(CHUNK):
                self.reader.feed_data(data)
        except ssl.SSLWantReadError:
            return
