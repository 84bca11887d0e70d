"""A relay between a client and a stand-in that counts, falls silent, or cuts both ways."""

import asyncio
import threading
import time
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Self

CHUNK = 64 * 1024


class Proxy:
    """Carries TCP from ports of its own to where they lead; its loop runs in one thread.

    ``carried`` is what servers have sent, in bytes. Past ``cut_after`` of them every connection
    breaks and nobody listens any more; past ``silent_after`` they stay open and carry nothing.
    """

    def __init__(self) -> None:
        self.carried = 0
        self.rounds = 0
        """How often a client has spoken after its server had: requests, whatever the protocol."""
        self.cut_after: int | None = None
        self.silent_after: int | None = None
        self.broken_at: float | None = None
        """When it cut or fell silent, by the monotonic clock."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._servers: list[asyncio.Server] = []
        self._writers: list[StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def via(self, host: str, port: int) -> int:
        """A port of this machine's that leads there."""

        async def accept(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._tasks.add(task)
            try:
                await self._carry(reader, writer, host, port)
            except (asyncio.CancelledError, OSError):
                # The relay ends, or the server is not there: so is the client's connection.
                writer.transport.abort()
            finally:
                self._tasks.discard(task)

        async def listen() -> asyncio.Server:
            return await asyncio.start_server(accept, "127.0.0.1", 0)

        server = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(5)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _carry(
        self, reader: StreamReader, writer: StreamWriter, host: str, port: int
    ) -> None:
        there, to_server = await asyncio.open_connection(host, port)
        self._writers += [writer, to_server]
        # Shared by both ways of this connection: who spoke last.
        spoke = ["server"]
        ways = (
            self._pump(reader, to_server, spoke, "client"),
            self._pump(there, writer, spoke, "server"),
        )
        await asyncio.gather(*ways)

    async def _pump(
        self, reader: StreamReader, writer: StreamWriter, spoke: list[str], who: str
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                self._count(data, spoke, who)
                if _is_past(self.carried, self.silent_after):
                    self._broken()
                    await asyncio.Event().wait()
                if _is_past(self.carried, self.cut_after):
                    self._broken()
                    self._cut()
                    return
                writer.write(data)
                await writer.drain()
        writer.close()

    def _count(self, data: bytes, spoke: list[str], who: str) -> None:
        if who == "server":
            self.carried += len(data)
        elif spoke[0] == "server":
            self.rounds += 1
        spoke[0] = who

    def _broken(self) -> None:
        self.broken_at = self.broken_at or time.monotonic()

    def _cut(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


def _is_past(carried: int, most: int | None) -> bool:
    return most is not None and carried > most
