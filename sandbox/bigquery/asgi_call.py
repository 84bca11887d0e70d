"""Hand a request to a web application in this process, without a socket in between."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What the application sent back."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def call(
    app: Any,
    method: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
) -> Answer:
    """Run one request in an event loop of its own, so that a slow one holds up nobody else."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": list(headers),
        "client": None,
        "server": None,
    }
    return asyncio.run(_call(app, scope, body))


async def _call(app: Any, scope: dict[str, Any], body: bytes) -> Answer:
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    outgoing: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        outgoing.append(message)

    await app(scope, receive, send)
    start = next(one for one in outgoing if one["type"] == "http.response.start")
    parts = (one.get("body", b"") for one in outgoing if one["type"] == "http.response.body")
    return Answer(start["status"], list(start.get("headers", [])), b"".join(parts))
