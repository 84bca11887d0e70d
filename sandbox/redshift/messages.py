"""Postgres' wire protocol, as far as a go-between has to read it: startup and sign-in.

Source: PostgreSQL documentation, 54.7 Message Formats.
"""

import struct
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

AUTHENTICATION = b"R"
ERROR = b"E"
PARAMETER_STATUS = b"S"
PASSWORD = b"p"
READY = b"Z"

AUTH_OK = 0
AUTH_CLEARTEXT = 3
AUTH_SASL = 10
AUTH_SASL_CONTINUE = 11
AUTH_SASL_FINAL = 12

# Postgres' own bound for a startup packet; a message of the sign-in is not longer either.
_LONGEST = 10_000


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


@dataclass(frozen=True)
class Message:
    """One message after startup: its kind, and its body without the length."""

    kind: bytes
    body: bytes

    def encoded(self) -> bytes:
        return self.kind + struct.pack("!I", len(self.body) + 4) + self.body

    @property
    def authentication(self) -> int:
        """What an authentication message asks for."""
        return int(struct.unpack("!I", self.body[:4])[0])


@dataclass(frozen=True)
class Startup:
    """The first packet of a connection: a request code or protocol version, and the rest."""

    code: int
    body: bytes

    def encoded(self) -> bytes:
        return struct.pack("!II", len(self.body) + 8, self.code) + self.body

    def parameters(self) -> dict[str, str]:
        """The keys and values of a session's startup."""
        texts = [part.decode("utf-8", "surrogateescape") for part in self.body.split(b"\0")]
        pairs = zip(texts[::2], texts[1::2], strict=False)
        # An empty name ends the list.
        return dict(takewhile(lambda pair: pair[0], pairs))

    def with_parameters(self, parameters: Mapping[str, str]) -> "Startup":
        pairs = (f"{name}\0{value}\0" for name, value in parameters.items())
        return Startup(self.code, "".join(pairs).encode("utf-8", "surrogateescape") + b"\0")


async def read_startup(reader: StreamReader) -> Startup:
    """Read the first packet; raises ProtocolError for what cannot be one."""
    length, code = struct.unpack("!II", await reader.readexactly(8))
    if not 8 <= length <= _LONGEST:
        raise ProtocolError("That is no startup packet.")
    return Startup(code, await reader.readexactly(length - 8))


async def read_message(reader: StreamReader) -> Message:
    """Read one message of the sign-in; raises ProtocolError for one that is too long."""
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    if not 4 <= length <= _LONGEST:
        raise ProtocolError("That is no message of a sign-in.")
    return Message(kind, await reader.readexactly(length - 4))


def authentication(code: int, data: bytes = b"") -> Message:
    return Message(AUTHENTICATION, struct.pack("!I", code) + data)


def parameter_status(name: str, value: str) -> Message:
    return Message(PARAMETER_STATUS, f"{name}\0{value}\0".encode())


def fatal(sqlstate: str, text: str) -> Message:
    """The error that ends a connection, in the shape Postgres gives it."""
    return _error({"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text})


def error(sqlstate: str, text: str, detail: str) -> Message:
    """The error that ends a statement."""
    return _error({"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": text, "D": detail})


def _error(fields: Mapping[str, str]) -> Message:
    return Message(ERROR, "".join(f"{k}{v}\0" for k, v in fields.items()).encode() + b"\0")
