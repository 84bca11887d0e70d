"""The go-between: what a Redshift client says is turned into what Postgres understands.

Only the sign-in is read, and then the settings a client makes and its COPY from S3
(`statements.py`, `copying.py`). Otherwise bytes are passed on both ways as they come, never more
than about READ_LIMIT of them at a time in memory for each direction.
"""

import asyncio
import logging
import ssl
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from sandbox.redshift import messages, temporary, upstream
from sandbox.redshift.copying import Copy, Copying
from sandbox.redshift.messages import Message, ProtocolError, Startup
from sandbox.redshift.scram import ScramFailed
from sandbox.redshift.settings import LOOPBACK, Settings, Storage
from sandbox.redshift.statements import Translator
from sandbox.redshift.upstream import Refused, Upstream

log = logging.getLogger("sandbox.redshift")

READ_LIMIT = 256 * 1024
SIGN_IN_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 10.0
BACKLOG = 512

# Keys of Redshift's own drivers, which Postgres would take for settings it does not have.
REDSHIFT_KEYS = frozenset(
    """client_protocol_version driver_discovery_version driver_version idc_client_display_name
    identity_namespace idp_type os_version plugin_name provider_name provider_type replication
    token token_type""".split()
)
# Redshift comes from Postgres 8.0 and reports little; clients must do without the rest.
REPORTED = frozenset(
    """client_encoding server_encoding server_version is_superuser session_authorization
    TimeZone DateStyle integer_datetimes""".split()
)
REPORTS_INSTEAD = {"server_version": "8.0.2", "server_encoding": "UNICODE"}
REPORTS_AS_WELL = {"padb_version": "1.0.77467", "server_protocol_version": "0"}
ENCODING = "client_encoding"


class Face:
    """Listens, and carries each connection in a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(settings.certificate, settings.private_key)

    async def serve(self) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(
            self._accept, LOOPBACK, self._settings.port, limit=READ_LIMIT, backlog=BACKLOG
        )
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._carry(reader, writer)
        except (IncompleteReadError, OSError, TimeoutError) as exc:
            log.info("connection ended: %s", type(exc).__name__)
        except (ProtocolError, ScramFailed) as exc:
            log.warning("connection refused: %s", exc)
        finally:
            await _close(writer)

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        server: Upstream | None = None
        try:
            async with asyncio.timeout(SIGN_IN_TIMEOUT_S):
                startup = await self._negotiate(reader, writer)
                server = await upstream.connect(self._settings.postgres_port, READ_LIMIT)
                if startup.code == messages.CANCEL_REQUEST:
                    await _pass_cancel(server, startup)
                    return
                await self._let_in(startup, reader, writer, server)
            await _relay(reader, writer, server, self._settings.storage)
        except Refused as refused:
            await _send(writer, refused.answer)
        finally:
            if server is not None:
                await _close(server.writer)

    async def _negotiate(self, reader: StreamReader, writer: StreamWriter) -> Startup:
        """Grant TLS if asked, refuse Kerberos, and return the packet that means business."""
        while True:
            startup = await messages.read_startup(reader)
            if startup.code == messages.SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(self._tls)
            elif startup.code == messages.GSS_REQUEST:
                writer.write(b"N")
            else:
                return startup

    async def _let_in(
        self, startup: Startup, reader: StreamReader, writer: StreamWriter, server: Upstream
    ) -> None:
        """Take the client's password, sign in with it or with what it stands for, and report.

        The client is asked for its password in the clear, so that temporary ones can be told
        from Postgres' own; a real cluster asks for a digest of it.
        """
        await _send(writer, messages.authentication(messages.AUTH_CLEARTEXT))
        answer = await messages.read_message(reader)
        if answer.kind != messages.PASSWORD:
            raise ProtocolError("The client did not send its password.")
        asked = startup.parameters()
        user, password = self._known_as(asked.get("user", ""), answer.body.rstrip(b"\0").decode())
        passed = {name: value for name, value in asked.items() if name not in REDSHIFT_KEYS}
        passed = _translated(passed | {"user": user})
        await upstream.sign_in(server, startup.with_parameters(passed), password)
        await _send(writer, messages.authentication(messages.AUTH_OK))
        await _report(writer, server, asked.get(ENCODING))

    def _known_as(self, user: str, password: str) -> tuple[str, str]:
        """User and password for Postgres; raises Refused for a bad temporary credential."""
        named = temporary.temporary_user(user)
        if named is None:
            return user, password
        known = self._settings.passwords.get(named)
        if known and temporary.is_valid(named, password, self._settings.signing_key):
            return named, known
        text = f'password authentication failed for user "{user}"'
        raise Refused(messages.fatal("28P01", text))


def _translated(parameters: dict[str, str]) -> dict[str, str]:
    """Redshift's name for UTF-8 is one that Postgres has given up."""
    if parameters.get(ENCODING, "").upper() == "UNICODE":
        return parameters | {ENCODING: "UTF8"}
    return parameters


async def _report(writer: StreamWriter, server: Upstream, encoding: str | None) -> None:
    """Pass on what Postgres reports of the session, as a cluster would have put it."""
    instead = REPORTS_INSTEAD | {ENCODING: encoding or "UNICODE"}
    while True:
        message = await messages.read_message(server.reader)
        if message.kind == messages.READY:
            for name, value in REPORTS_AS_WELL.items():
                writer.write(messages.parameter_status(name, value).encoded())
        if message.kind == messages.PARAMETER_STATUS:
            name = message.body.split(b"\0", 1)[0].decode()
            if name not in REPORTED:
                continue
            if name in instead:
                message = messages.parameter_status(name, instead[name])
        await _send(writer, message)
        if message.kind in (messages.READY, messages.ERROR):
            return


async def _relay(
    reader: StreamReader, writer: StreamWriter, server: Upstream, storage: Storage | None
) -> None:
    """Carry bytes both ways until either side is done."""
    translator = Translator()
    ways = (_upstream(reader, server, translator), _back(server, writer, translator, storage))
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _upstream(reader: StreamReader, server: Upstream, translator: Translator) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(READ_LIMIT):
            server.writer.write(translator.translate(data))
            # Waits while the other side does not read, so that nothing piles up here.
            await server.writer.drain()


async def _back(
    server: Upstream, writer: StreamWriter, translator: Translator, storage: Storage | None
) -> None:
    copying: Copying | None = None
    with suppress(ConnectionError):
        while data := await server.reader.read(READ_LIMIT):
            # Whoever asks for a COPY has had all answers before it: this is the first to it.
            if copying is None and translator.copy is not None:
                copying = Copying(_rows_of(translator.copy, storage), server.writer)
                translator.copy = None
            if copying is not None:
                data = await copying.shown(data)
                copying = None if copying.is_over else copying
            writer.write(data)
            await writer.drain()


def _rows_of(copy: Copy, storage: Storage | None) -> Callable[[], Iterator[bytes]]:
    # Arrow and boto3 weigh more than the face, and few sessions load anything.
    from sandbox.redshift import bucket

    return partial(bucket.rows, copy, storage)


async def _pass_cancel(server: Upstream, startup: Startup) -> None:
    """Postgres closes once it has seen the request; the client waits for that."""
    server.writer.write(startup.encoded())
    await server.reader.read()


async def _send(writer: StreamWriter, message: Message) -> None:
    writer.write(message.encoded())
    await writer.drain()


async def _close(writer: StreamWriter) -> None:
    """Send what is still to be sent, but do not wait for a client that never reads it."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()
