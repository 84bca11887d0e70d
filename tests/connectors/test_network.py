"""The network guard: which addresses may be reached, however they are written."""

import ipaddress
import socket

import pytest

from connectors.errors import ConnectorError, HostRefused, HostUnknown, HostUnreachable
from connectors.network import Endpoint, NetworkPolicy, is_public, open_socket

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1
169.254.0.1 169.254.169.254 100.64.0.1 100.100.100.200 100.127.255.255 168.63.129.16
192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 ff0e::1 100::1 2001:db8::1 3fff::1 5f00::1
2001::1 2001:10::1 64:ff9b:1::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:168.63.129.16 ::127.0.0.1
::ffff:0:127.0.0.1 ::10.0.0.1
64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b::168.63.129.16
2002:7f00:1:: 2002:a9fe:a9fe:: 2002:c0a8:101::1 2002:a00:1:: 2002:a83f:8110::
""".split()
PUBLIC = """
8.8.8.8 1.1.1.1 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 11.0.0.1 192.169.0.1
2606:4700:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
""".split()

LOOPBACK_SPELLINGS = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "0x7f.1", "0"]
METADATA_SPELLINGS = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]


def code_of(host: str, policy: NetworkPolicy | None = None, port: int = 5432) -> str:
    """The error's code when a host is resolved; empty when it may be reached."""
    try:
        (policy or NetworkPolicy()).resolve(Endpoint(host, port))
    except ConnectorError as exc:
        return exc.code
    return ""


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(HostRefused):
        NetworkPolicy().resolve(Endpoint(address, 443))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_may_be_reached_and_is_what_is_returned(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    found = NetworkPolicy().resolve(Endpoint(address, 443))
    assert [ipaddress.ip_address(one) for one in found] == [ipaddress.ip_address(address)]


@pytest.mark.parametrize("host", [*LOOPBACK_SPELLINGS, *METADATA_SPELLINGS])
def test_odd_spelling_of_an_address_is_the_address(host: str) -> None:
    assert code_of(host) == "host_refused"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "ip6-localhost"])
def test_name_of_this_machine_is_refused(host: str) -> None:
    assert code_of(host) in ("host_refused", "host_unknown")
    assert code_of("localhost") == "host_refused"


@pytest.mark.parametrize(
    "host",
    [
        "nowhere.invalid",
        "no such host",
        "a" * 300,
        "a..b",
        "",
        " ",
        "/var/run/postgresql",
        "127.0.0.1/x",
        "evil.example/?.snowflakecomputing.com",
        "evil.example#.snowflakecomputing.com",
        "user@evil.example",
        "a,b",
        "a\nb",
        "\udcff",
        "1.2.3.4.5",
        "[::1]",
        "::1%lo",
    ],
)
def test_what_is_no_host_is_unknown(host: str) -> None:
    assert code_of(host) == "host_unknown"


@pytest.mark.parametrize(
    ("entry", "reached", "not_reached"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
        ("127.0.0.0/8", "127.9.9.9", "10.0.0.1"),
        (" 127.0.0.1/8 ", "127.9.9.9", "10.0.0.1"),
        ("::1", "::1", "127.0.0.1"),
        ("fd00::/8", "fd12::1", "fe80::1"),
        ("10.0.0.0/8", "10.1.2.3", "::ffff:10.1.2.3"),
        ("localhost", "localhost", "127.0.0.1"),
        ("LocalHost.", "localhost", "127.0.0.1"),
        ("localhost:5432", "LOCALHOST", "127.0.0.1"),
    ],
)
def test_operator_can_allow_a_private_host(entry: str, reached: str, not_reached: str) -> None:
    policy = NetworkPolicy.allowing([entry, ""])
    assert code_of(reached, policy) == ""
    assert code_of(not_reached, policy) == "host_refused"


def test_host_allowed_with_a_port_is_refused_at_another() -> None:
    policy = NetworkPolicy.allowing(["localhost:5432", "127.0.0.1:5433"])
    assert code_of("localhost", policy, 5432) == ""
    assert code_of("localhost", policy, 6379) == "host_refused"
    assert code_of("127.0.0.1", policy, 5433) == ""
    assert code_of("127.0.0.1", policy, 5432) == "host_refused"


def test_allow_list_with_a_bad_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        NetworkPolicy.allowing(["10.0.0.0/99"])


def test_allowing_a_private_host_opens_no_other() -> None:
    policy = NetworkPolicy.allowing(["localhost"])
    assert code_of("169.254.169.254", policy) == "host_refused"
    assert code_of("8.8.8.8", policy) == ""


def test_name_is_allowed_by_name_only_where_the_client_looks_it_up_again() -> None:
    policy = NetworkPolicy.allowing(["127.0.0.0/8", "db.internal"])
    assert policy.allows(Endpoint("127.0.0.1", 1))
    assert policy.allows(Endpoint("db.internal", 1))
    assert not policy.allows(Endpoint("localhost", 1))
    assert not policy.allows(Endpoint("2130706433", 1))
    assert not policy.allows(Endpoint("10.0.0.1", 1))


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://a.example", Endpoint("a.example", 443, tls=True)),
        ("http://a.example/path?q#f", Endpoint("a.example", 80)),
        ("HTTPS://A.Example:8443/", Endpoint("a.example", 8443, tls=True)),
        ("http://127.0.0.1:9000", Endpoint("127.0.0.1", 9000)),
        ("http://[::1]:9000/", Endpoint("::1", 9000)),
    ],
)
def test_endpoint_of_a_url(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.of_url(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "gopher://a.example",
        "javascript:1",
        "https://",
        "https://:443",
        "https://user@a.example",
        "https://user:secret@a.example",
        "https://@a.example",
        "https://good.googleapis.com@a.example",
        "https://a.example\\@good.googleapis.com",
        "https://a.example\\.googleapis.com",
        "https://a.example:99999",
        "https://a.example:x",
        "https://[::1",
        "https://a b.example",
        "https://a\n.example",
        "https://a\t.example",
        "https://a%2eexample",
        "https://\u2100.example",
    ],
)
def test_url_that_is_not_plain_http_is_refused(url: str) -> None:
    with pytest.raises(HostRefused):
        Endpoint.of_url(url)


def test_refusal_does_not_tell_what_the_name_resolves_to() -> None:
    with pytest.raises(HostRefused) as caught:
        NetworkPolicy().resolve(Endpoint("localhost", 22))
    assert "127" not in f"{caught.value}{caught.value.fields}{caught.value.advice}"
    assert caught.value.__cause__ is None


def test_unknown_host_keeps_the_resolvers_words_to_itself() -> None:
    with pytest.raises(HostUnknown) as caught:
        NetworkPolicy().resolve(Endpoint("nowhere.invalid", 22))
    assert caught.value.__cause__ is None
    assert "nowhere" not in str(caught.value)


def test_socket_is_opened_at_the_first_address_that_answers(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    with open_socket(("127.0.0.9", host), port, 2) as opened:
        assert opened.getpeername() == (host, port)


def test_socket_nowhere_to_be_had_is_unreachable(closed_port: int) -> None:
    for addresses in (("127.0.0.1",), ()):
        with pytest.raises(HostUnreachable) as caught:
            open_socket(addresses, closed_port, 2)
        assert caught.value.retryable
