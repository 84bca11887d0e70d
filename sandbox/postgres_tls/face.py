"""The go-between: TLS on one side, the sandbox's Postgres on the other."""

import asyncio
import logging
import ssl
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Mapping
from typing import Any

from sandbox.postgres_tls.channel import Channel
from sandbox.redshift import messages, upstream
from sandbox.redshift.messages import ProtocolError, Startup
from sandbox.redshift.scram import ScramFailed
from sandbox.redshift.upstream import Refused

log = logging.getLogger("sandbox.postgres_tls")

LOOPBACK = "127.0.0.1"
READ_LIMIT = 256 * 1024


async def serve(settings: Mapping[str, Any]) -> None:
    """Serve until cancelled.

    ``settings``: port, postgres_port, certificate and private_key (files), client_authority (a
    file), and passwords by user, with which those who show a certificate are let in.
    """
    face = Face(settings)
    server = await asyncio.start_server(face.accept, LOOPBACK, settings["port"], limit=READ_LIMIT)
    async with server:
        await server.serve_forever()


class Face:
    """Carries each connection in a task of its own."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(settings["certificate"], settings["private_key"])
        self._tls.load_verify_locations(settings["client_authority"])
        self._tls.verify_mode = ssl.CERT_OPTIONAL

    async def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Carry one connection to its end."""
        try:
            await self._carry(reader, writer)
        except (IncompleteReadError, OSError, TimeoutError) as exc:
            log.info("connection ended: %s", type(exc).__name__)
        except (ProtocolError, ScramFailed) as exc:
            log.warning("connection refused: %s", exc)
        finally:
            writer.close()

    async def _carry(self, outer: StreamReader, writer: StreamWriter) -> None:
        reader, client, startup = await self._negotiate(outer, writer)
        server = await upstream.connect(self._settings["postgres_port"], READ_LIMIT)
        try:
            named = _common_name(client)
            if named is None or startup.code == messages.CANCEL_REQUEST:
                server.writer.write(startup.encoded())
            else:
                user = startup.parameters().get("user", "")
                await upstream.sign_in(server, startup, self._password(user, named))
                client.write(messages.authentication(messages.AUTH_OK).encoded())
            await _relay((reader, server.writer), (server.reader, client))
        except Refused as refused:
            client.write(refused.answer.encoded())
            await client.drain()
        finally:
            server.writer.close()
            client.close()

    async def _negotiate(
        self, reader: StreamReader, writer: StreamWriter
    ) -> tuple[StreamReader, StreamWriter | Channel, Startup]:
        """Grant TLS if asked, refuse Kerberos, and return the packet that means business."""
        client: StreamWriter | Channel = writer
        while True:
            startup = await messages.read_startup(reader)
            if startup.code == messages.SSL_REQUEST:
                writer.write(b"S")
                client = Channel(self._tls, reader, writer)
                await client.shake_hands()
                reader = client.reader
            elif startup.code == messages.GSS_REQUEST:
                writer.write(b"N")
            else:
                return reader, client, startup

    def _password(self, user: str, named: str) -> str:
        password = self._settings["passwords"].get(user)
        if user != named or password is None:
            text = f'certificate authentication failed for user "{user}"'
            raise Refused(messages.fatal("28000", text))
        return str(password)


def _common_name(client: StreamWriter | Channel) -> str | None:
    """Whom the client's certificate names; ``None`` where it has shown none."""
    certificate: Any = client.certificate if isinstance(client, Channel) else {}
    if not certificate:
        return None
    subject = {name: value for part in certificate["subject"] for name, value in part}
    return str(subject.get("commonName", ""))


async def _relay(*ways: tuple[StreamReader, StreamWriter | Channel]) -> None:
    """Carry bytes both ways until either side is done."""
    tasks = [asyncio.create_task(_pump(*way)) for way in ways]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: StreamReader, writer: StreamWriter | Channel) -> None:
    while data := await reader.read(READ_LIMIT):
        writer.write(data)
        # Waits while the other side does not read, so that nothing piles up here.
        await writer.drain()
