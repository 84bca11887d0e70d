"""Signing in to Postgres on behalf of a client whose password is known."""

import asyncio
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

from sandbox.redshift import messages
from sandbox.redshift.messages import Message, ProtocolError, Startup
from sandbox.redshift.scram import MECHANISM, ScramClient
from sandbox.redshift.settings import LOOPBACK


class Refused(Exception):
    """Postgres ended the sign-in; ``answer`` is its own error, to be passed on as it is."""

    def __init__(self, answer: Message) -> None:
        super().__init__("Postgres refused the sign-in.")
        self.answer = answer


@dataclass(frozen=True)
class Upstream:
    """A connection to Postgres that has been let in and is about to report itself ready."""

    reader: StreamReader
    writer: StreamWriter


async def connect(port: int, limit: int) -> Upstream:
    """Open a connection; raises OSError where Postgres is not there."""
    return Upstream(*await asyncio.open_connection(LOOPBACK, port, limit=limit))


async def sign_in(upstream: Upstream, startup: Startup, password: str) -> None:
    """Send the startup and prove the password; raises Refused with Postgres' answer.

    Also raises ScramFailed, and ProtocolError for a way to sign in that is not known here.
    """
    upstream.writer.write(startup.encoded())
    scram = ScramClient(password)
    while True:
        message = await messages.read_message(upstream.reader)
        if message.kind == messages.ERROR:
            raise Refused(message)
        if message.kind != messages.AUTHENTICATION:
            raise ProtocolError("Postgres answered a startup with something else.")
        if message.authentication == messages.AUTH_OK:
            return
        answer = _answer(scram, message)
        if answer is not None:
            upstream.writer.write(Message(messages.PASSWORD, answer).encoded())


def _answer(scram: ScramClient, message: Message) -> bytes | None:
    data = message.body[4:]
    match message.authentication:
        case messages.AUTH_SASL if MECHANISM.encode() in data.split(b"\0"):
            first = scram.first()
            return MECHANISM.encode() + b"\0" + len(first).to_bytes(4, "big") + first
        case messages.AUTH_SASL_CONTINUE:
            return scram.final(data)
        case messages.AUTH_SASL_FINAL:
            scram.verify(data)
            return None
        case _:
            raise ProtocolError("Postgres asks for something other than SCRAM-SHA-256.")
