"""Messages to a receiver that a team names, over HTTP: judged, signed, bounded.

Signed as Standard Webhooks has it (github.com/standard-webhooks/standard-webhooks), so that
receivers can use its libraries.
"""

import base64
import binascii
import hashlib
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from connectors import network
from connectors.errors import ConnectError, HostRefused, NotDelivered
from connectors.network import Endpoint, NetworkPolicy
from connectors.overdue import when_overdue

SEND_S = 10.0
"""For sending and the answer's head together, however slowly either goes."""
MAX_ADDRESSES = 2
"""So many of a host's addresses are tried."""
MAX_URL_CHARS = 2000

SECRET_PREFIX = "whsec_"  # noqa: S105 says what kind of secret follows
SECRET_BYTES = range(24, 65)


def secret_of(text: str) -> bytes:
    """The key in a secret of the form whsec_<base64>; raises ValueError with a sentence."""
    encoded = text.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if encoded == text or len(key) not in SECRET_BYTES:
        raise ValueError("It must be whsec_ and the base64 of 24 to 64 bytes.")
    return key


def endpoint_of(url: str) -> Endpoint:
    """Where a URL leads; raises HostRefused for what no message can be sent to."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or " " in url:
        raise HostRefused("That is not a plain http(s) address.")
    return Endpoint.of_url(url)


def signed(key: bytes, message_id: str, sent_at: int, body: bytes) -> dict[str, str]:
    """The headers that let a receiver tell who sent it, when, and whether it came before."""
    content = b".".join((message_id.encode(), str(sent_at).encode(), body))
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(sent_at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def judge(url: str, policy: NetworkPolicy) -> tuple[str, ...]:
    """The addresses that a message may be sent to; raises HostRefused, HostUnknown.

    In plain text only to hosts that the operator has listed.
    """
    endpoint = endpoint_of(url)
    if not endpoint.tls and not policy.allows(endpoint):
        raise HostRefused(
            "Messages go over https only.",
            hint="Give an https address, or have the operator list the host and port in "
            "WAREHOUSE_ALLOWED_PRIVATE_HOSTS.",
        )
    return policy.resolve(endpoint)[:MAX_ADDRESSES]


def post(url: str, body: bytes, headers: Mapping[str, str], policy: NetworkPolicy) -> int:
    """Send a body; the status that the receiver answers with. What else it says is not read.

    Connects to the addresses that were judged, and follows no redirect. Raises HostRefused,
    HostUnknown, and NotDelivered, which does not tell why, where no answer came.
    """
    addresses, endpoint = judge(url, policy), endpoint_of(url)
    parts = urlsplit(url)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        with _connected(endpoint, addresses) as line:
            line.request("POST", path, body, dict(headers))
            return line.getresponse().status
    except (OSError, HTTPException, ConnectError, ValueError) as exc:
        raise NotDelivered() from exc


@contextmanager
def _connected(endpoint: Endpoint, addresses: tuple[str, ...]) -> Iterator[HTTPConnection]:
    raw = network.open_socket(addresses, endpoint.port, network.CONNECT_TIMEOUT_S)
    raw.settimeout(SEND_S)
    # A receiver that says a byte now and then is never late for any single call.
    with closing(raw.dup()) as handle:
        overdue = threading.Event()
        line = HTTPConnection(endpoint.host, endpoint.port)
        with when_overdue(SEND_S, partial(_cut, handle, overdue)):
            with raw:
                line.sock = _encrypted(raw, endpoint) if endpoint.tls else raw
                if endpoint.tls:
                    line.default_port = 443  # what a Host header leaves out
                with closing(line):
                    yield line
            if overdue.is_set():
                # What was cut short looks like an answer that has ended.
                raise TimeoutError


def _encrypted(raw: socket.socket, endpoint: Endpoint) -> socket.socket:
    return ssl.create_default_context().wrap_socket(raw, server_hostname=endpoint.host)


def _cut(handle: socket.socket, overdue: threading.Event) -> None:
    overdue.set()
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
