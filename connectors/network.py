"""The network guard: which addresses a team's connection may reach.

A host is resolved once, every address it has is judged, and the caller connects to the
addresses judged (never to the name again), so a second DNS answer cannot lead elsewhere.
"""

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import HostRefused, HostUnknown, HostUnreachable, TlsFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOKUP_S = 5.0
CONNECT_TIMEOUT_S = 5.0
HOST = re.compile(r"[\w.:-]+")
"""A name or address and nothing that a URL made of it would read as user, port or path."""

UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
NOT_PUBLIC = (
    # Globally routable by the registries, but a cloud's own: Azure's wire server.
    ipaddress.ip_network("168.63.129.16/32"),
    # Older Pythons take these for global: IETF assignments (Oracle's metadata service among
    # them), the relays of 6to4, and documentation.
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("3fff::/20"),
)


@dataclass(frozen=True)
class Endpoint:
    """A host and port that a connection wants to reach."""

    host: str
    port: int
    tls: bool = False
    """It is spoken to over TLS from the first byte on, as https is."""

    @classmethod
    def of_url(cls, url: str) -> "Endpoint":
        """The endpoint of an http(s) URL; raises HostRefused for anything else."""
        try:
            parts = urlsplit(url)
            port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        except (KeyError, ValueError):
            raise HostRefused("Only http and https addresses are allowed.") from None
        if not HOST.fullmatch(parts.hostname or "") or "@" in parts.netloc or not url.isprintable():
            raise HostRefused("That is not a plain http(s) address.")
        return cls(str(parts.hostname), port, tls=parts.scheme == "https")


@dataclass(frozen=True)
class NetworkPolicy:
    """Public addresses, plus what the operator allows: ``host``, ``host:port``, IP or CIDR."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = field(default=())

    @classmethod
    def allowing(cls, entries: Iterable[str]) -> "NetworkPolicy":
        """The policy with the operator's allow-list; raises ValueError for a bad CIDR."""
        hosts, networks = set(), []
        for entry in (raw.strip().lower().rstrip(".") for raw in entries):
            if not entry:
                continue
            network = _network(entry)
            if network is not None:
                networks.append(network)
            elif "/" in entry:
                raise ValueError(f"{entry!r} is neither a host nor a network such as 10.0.0.0/8")
            else:
                hosts.add(entry)
        return cls(frozenset(hosts), tuple(networks))

    def names(self, endpoint: Endpoint) -> bool:
        """The operator's allow-list has this host by name."""
        host = endpoint.host.lower().rstrip(".")
        return host in self.hosts or f"{host}:{endpoint.port}" in self.hosts

    def resolve(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The addresses to connect to. Raises HostUnknown, or HostRefused if any is not allowed."""
        addresses = look_up(endpoint)
        self.judge(endpoint, addresses)
        return addresses

    def judge(self, endpoint: Endpoint, addresses: Iterable[str]) -> None:
        """Raises HostRefused if any of the host's addresses is not allowed."""
        if self.names(endpoint):
            return
        for address in map(ipaddress.ip_address, addresses):
            listed = any(address in network for network in self.networks)
            if not listed and not is_public(address):
                raise HostRefused()

    def allows(self, endpoint: Endpoint) -> bool:
        """The operator's allow-list covers this endpoint: by name, or by an address it is given as.

        What a name resolves to does not count: it is for clients that look it up again.
        """
        try:
            address = ipaddress.ip_address(endpoint.host)
        except ValueError:
            return self.names(endpoint)
        return self.names(endpoint) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Globally routable, looking through IPv4 addresses wrapped in IPv6 ones."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
        if address not in UNICAST:
            return False
    if address.is_multicast or any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global


def open_socket(addresses: Iterable[str], port: int, timeout_s: float) -> socket.socket:
    """A TCP connection to the first of the judged addresses that answers."""
    failure: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=timeout_s)
        except OSError as exc:
            failure = exc
    raise HostUnreachable() from failure


def encrypt(connection: socket.socket, host: str) -> str:
    """TLS over an open connection, judged by the public authorities; says version and expiry.

    Raises TlsFailed. The encrypted channel is closed with the connection.
    """
    try:
        channel = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as exc:
        raise TlsFailed(hint="The server's certificate is not valid for this host.") from exc
    except OSError as exc:
        raise TlsFailed() from exc
    with channel:
        return f"{channel.version()}, certificate valid until {_expiry(channel)}"


def _expiry(channel: ssl.SSLSocket) -> str:
    certificate = channel.getpeercert() or {}
    seconds = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        return address.sixtofour
    return None


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def look_up(endpoint: Endpoint) -> tuple[str, ...]:
    """Every address of the host; raises HostUnknown, also when nobody says within LOOKUP_S."""
    if not HOST.fullmatch(endpoint.host):
        raise HostUnknown()
    found: list[Any] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM))

    # The system's own lookup takes no deadline.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LOOKUP_S)
    if not found:
        raise HostUnknown()
    return tuple(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found))
