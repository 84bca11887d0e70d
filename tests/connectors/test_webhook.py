"""Messages to receivers that a team names: where they may go, how they are signed and bounded."""

import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors import webhook
from connectors.errors import HostRefused, HostUnknown, NotDelivered
from connectors.network import NetworkPolicy
from tests.etl import receivers
from tests.etl.receivers import Receiver, raw_server

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
HERE = NetworkPolicy.allowing(["127.0.0.1"])
ENDED_WITHIN_S = 30
"""Less than it would take without the bound that is tried."""
NOBODY = NetworkPolicy()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receivers.receiver() as found:
        yield found


def test_message_arrives_as_it_was_sent(receiver: Receiver) -> None:
    headers = {"content-type": "application/json", **webhook.signed(KEY, "id-1", 1_700, b"{}")}
    assert webhook.post(receiver.url, b"{}", headers, HERE) == 204
    ((path, came, body),) = receiver.came
    assert (path, body) == ("/hook?team=a", b"{}")
    assert came.items() >= headers.items()
    assert came["host"] == receiver.url.split("/")[2]


def test_signature_is_that_of_standard_webhooks() -> None:
    headers = webhook.signed(KEY, "msg_1", 1_700_000_000, b'{"a": 1}')
    digest = hmac.digest(KEY, b'msg_1.1700000000.{"a": 1}', hashlib.sha256)
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", SECRET[6:], "whsec_!!", "whsec_" + base64.b64encode(b"x" * 23).decode()],
)
def test_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        webhook.secret_of(secret)


def test_secret_is_the_key_in_it() -> None:
    assert webhook.secret_of(SECRET) == KEY


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://10.0.0.8:8443/",
        "https://user:password@93.184.216.34/",
        "ftp://93.184.216.34/",
        "file:///etc/passwd",
        "https://93.184.216.34:99999/",
        "https://93.184.216.34/a b",
        "https://93.184.216.34/\r\nX-Header: 1",
        "https://93.184.216.34/ü",
        "https://93.184.216.34/" + "x" * 2_000,
        "//93.184.216.34/",
        "",
        # In plain text only where the operator says so.
        "http://93.184.216.34/",
    ],
)
def test_address_that_is_not_to_be_reached_is_refused(url: str) -> None:
    with pytest.raises(HostRefused):
        webhook.post(url, b"{}", {}, NOBODY)


def test_host_that_nobody_knows_is_said() -> None:
    with pytest.raises(HostUnknown):
        webhook.post("https://no-such-host.invalid/", b"{}", {}, NOBODY)


def test_second_answer_of_the_name_server_leads_nowhere(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is judged, and this machine when it is asked for again."""
    asked: list[str] = []
    real = socket.getaddrinfo
    reached: list[Any] = []

    def answer(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host != "rebinds.example":
            return real(host, port, *rest, **named)
        asked.append(host)
        to = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (to, port))]

    def connect(address: Any, **_: Any) -> socket.socket:
        reached.append(address[0])
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(NotDelivered):
        webhook.post("https://rebinds.example/", b"{}", {}, NOBODY)
    assert (asked, reached) == (["rebinds.example"], ["93.184.216.34"])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    with receivers.receiver() as inside:
        receiver.status, receiver.location = status, inside.url
        assert webhook.post(receiver.url, b"{}", {}, HERE) == status
        assert len(receiver.came) == 1
        assert inside.came == []


@pytest.mark.parametrize(
    ("answer", "is_taken"),
    [
        (receivers.drip, False),
        (receivers.flood, False),
        (receivers.say_nothing, False),
        (receivers.speak_another_language, False),
        (receivers.large_body, True),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_answer_is_bounded_in_time_and_size(
    answer: Callable[[socket.socket], None], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "SEND_S", 1.5)
    began = time.monotonic()
    with raw_server(answer) as url:
        if is_taken:
            assert webhook.post(url, b"{}", {}, HERE) == 200
        else:
            with pytest.raises(NotDelivered):
                webhook.post(url, b"{}", {}, HERE)
    assert time.monotonic() - began < ENDED_WITHIN_S


def test_closed_and_silent_ports_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SEND_S", 0.5)
    said = set()
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with raw_server(receivers.say_nothing) as silent, raw_server(lambda c: None) as rude:
        for url in (closed, silent, rude, closed.replace("http:", "https:")):
            with pytest.raises(NotDelivered) as told:
                webhook.post(url, b"{}", {}, HERE)
            said.add((told.value.code, told.value.detail, told.value.advice))
    assert len(said) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of this machine's address, with its key; nobody vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    day = timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - day)
        .not_valid_after(datetime.now(UTC) + day)
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "receiver.pem"
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *plain))
    return path


def test_message_goes_over_tls_to_a_receiver_with_a_good_certificate(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receivers.receiver(certificate) as found:
        assert webhook.post(found.url, b"{}", {}, HERE) == 204
        ((path, headers, body),) = found.came
        assert (path, body) == ("/hook?team=a", b"{}")
        assert headers["host"] == found.url.split("/")[2]


def test_certificate_that_nobody_vouches_for_is_not_trusted(certificate: Path) -> None:
    with receivers.receiver(certificate) as found:
        with pytest.raises(NotDelivered):
            webhook.post(found.url, b"{}", {}, HERE)
        assert found.came == []
