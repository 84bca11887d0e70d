"""What only Redshift has, in what a client says once its session is ready.

Postgres takes a setting that it does not know if its name has a prefix. So ``query_group``, which
labels statements in a cluster's history, is given one here. VARBYTE is a domain, which can have
no length, and COPY from S3 is not for Postgres to do. All this in simple queries only: no driver
says it in another way.
"""

import re
import struct

from sandbox.redshift.copying import Copy

QUERY = b"Q"
_SETTING = re.compile(rb"\b((?:SET|SHOW|RESET)\s+(?:(?:LOCAL|SESSION)\s+)?)(query_group)\b", re.I)
_LENGTH = re.compile(rb"\b(VARBYTE)\s*\(\s*\d+\s*\)", re.I)
_HEADER = struct.Struct("!cI")
# A longer one is no SET, and is passed on in the pieces it comes in.
_LONGEST = 64 * 1024


class Translator:
    """A client's messages in the pieces they come in; holds back no more than one message."""

    def __init__(self) -> None:
        self._held = b""
        self._passing = 0
        self.copy: Copy | None = None
        """The COPY from S3 that was asked for last, until somebody takes it."""

    def translate(self, data: bytes) -> bytes:
        """What to send on of ``data`` and of what was held back before it."""
        data, out, at = self._held + data, bytearray(), 0
        while at < len(data):
            if self._passing:
                piece = data[at : at + self._passing]
                self._passing -= len(piece)
                out += piece
                at += len(piece)
                continue
            if len(data) - at < _HEADER.size:
                break
            kind, length = _HEADER.unpack_from(data, at)
            if kind != QUERY or length > _LONGEST:
                self._passing = length + 1
                continue
            if len(data) - at <= length:
                break
            out += self._translated(data[at + _HEADER.size : at + 1 + length])
            at += 1 + length
        self._held = data[at:]
        return bytes(out)

    def _translated(self, text: bytes) -> bytes:
        if copy := Copy.asked(text):
            self.copy = copy
            text = copy.statement()
        text = _LENGTH.sub(rb"\1", _SETTING.sub(rb"\1redshift.\2", text))
        return _HEADER.pack(QUERY, len(text) + 4) + text
