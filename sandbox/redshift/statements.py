"""Settings that only Redshift has, in what a client says once its session is ready.

Postgres takes a setting that it does not know if its name has a prefix. So ``query_group``, which
labels statements in a cluster's history, is given one here, in simple queries only: no driver
sets it in another way.
"""

import re
import struct

QUERY = b"Q"
_SETTING = re.compile(rb"\b((?:SET|SHOW|RESET)\s+(?:(?:LOCAL|SESSION)\s+)?)(query_group)\b", re.I)
_HEADER = struct.Struct("!cI")
# A longer one is no SET, and is passed on in the pieces it comes in.
_LONGEST = 64 * 1024


class Translator:
    """A client's messages in the pieces they come in; holds back no more than one message."""

    def __init__(self) -> None:
        self._held = b""
        self._passing = 0

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
            out += _renamed(data[at + _HEADER.size : at + 1 + length])
            at += 1 + length
        self._held = data[at:]
        return bytes(out)


def _renamed(text: bytes) -> bytes:
    text = _SETTING.sub(rb"\1redshift.\2", text)
    return _HEADER.pack(QUERY, len(text) + 4) + text
