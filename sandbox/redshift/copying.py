"""COPY from S3: asked of a cluster, which reads the files; here Postgres is given their rows.

What the client says becomes ``COPY … FROM STDIN``. Once Postgres is ready for rows they are sent
in the client's place, and of its answers the client sees what a cluster would have said.
"""

import asyncio
import re
import struct
from asyncio import StreamWriter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sandbox.redshift import messages
from sandbox.redshift.messages import Message

COPY_DATA, COPY_DONE, COPY_FAIL = b"d", b"c", b"f"
READY_FOR_ROWS = b"G"
COMPLETE = b"C"
INTERNAL_ERROR = "XX000"
_HEADER = struct.Struct("!cI")
_COPY = re.compile(
    rb"""\s*COPY\s+(?P<table>(?:"(?:[^"]|"")+"|[\w.])+)\s+FROM\s+'(?P<url>s3://[^']+)'
    \s+IAM_ROLE\s+'(?P<role>[^']+)'\s+FORMAT\s+(?:AS\s+)?PARQUET(?P<manifest>\s+MANIFEST)?
    \s*;?\s*\0?\Z""",
    re.IGNORECASE | re.VERBOSE,
)


class CopyFailed(Exception):
    """The files cannot be read, in the words of a cluster."""

    def __init__(self, code: int, text: str, context: str) -> None:
        super().__init__(text)
        self.code, self.text, self.context = code, text, context

    def message(self) -> Message:
        """The error as a compute node reports it: its code is in the detail."""
        detail = f"\n  error:  {self.text}\n  code:      {self.code}\n  context:   {self.context}\n"
        return messages.error(INTERNAL_ERROR, self.text, detail)


@dataclass(frozen=True)
class Copy:
    """What a client asks to be loaded; it has no other options than these."""

    table: str
    url: str
    role: str
    has_manifest: bool

    @classmethod
    def asked(cls, text: bytes) -> "Copy | None":
        """The COPY that a query is, if it is one from S3."""
        found = _COPY.match(text)
        if found is None:
            return None
        table, url, role = (found[name].decode() for name in ("table", "url", "role"))
        return cls(table, url, role, found["manifest"] is not None)

    def statement(self) -> bytes:
        """What Postgres is told instead."""
        return f"COPY {self.table} FROM STDIN\0".encode()


class Copying:
    """One COPY of a session, from Postgres' first answer to its last."""

    def __init__(self, rows: Callable[[], Iterator[bytes]], server: StreamWriter) -> None:
        self._rows = rows
        self._server = server
        self._failure: CopyFailed | None = None
        self._held = b""
        self.is_over = False

    async def shown(self, data: bytes) -> bytes:
        """What the client sees of Postgres' answers."""
        data, out, at = self._held + data, bytearray(), 0
        while not self.is_over and len(data) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, at)
            if len(data) - at <= length:
                break
            message = Message(kind, data[at + _HEADER.size : at + 1 + length])
            out += await self._instead(message)
            at += 1 + length
        self._held = data[at:]
        return bytes(out) + (self._held if self.is_over else b"")

    async def _instead(self, message: Message) -> bytes:
        if message.kind == READY_FOR_ROWS:
            await self._send_rows()
            return b""
        if message.kind == messages.ERROR and self._failure:
            return self._failure.message().encoded()
        if message.kind == COMPLETE:
            return Message(COMPLETE, b"COPY\0").encoded()
        self.is_over = message.kind == messages.READY
        return message.encoded()

    async def _send_rows(self) -> None:
        rows = self._rows()
        try:
            while piece := await asyncio.to_thread(next, rows, b""):
                self._server.write(Message(COPY_DATA, piece).encoded())
                await self._server.drain()
        except CopyFailed as failure:
            self._failure = failure
            self._server.write(Message(COPY_FAIL, b"\0").encoded())
        else:
            self._server.write(Message(COPY_DONE, b"").encoded())
        await self._server.drain()
