"""Encryption: bound to tenant and key, and never twice the same bytes."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.datavault.cipher import Cipher
from sandbox.datavault.errors import RecordDamaged

KEY = bytes(range(32))


def test_what_was_sealed_opens_again():
    cipher = Cipher(KEY)

    assert cipher.open("t", "k", cipher.seal("t", "k", b"secret")) == b"secret"
    assert cipher.open("t", "k", cipher.seal("t", "k", b"")) == b""


def test_a_payload_is_nonce_then_ciphertext_then_tag():
    payload = Cipher(KEY).seal("ab", "c", b"secret")

    assert len(payload) == 12 + len(b"secret") + 16
    associated = b"\0\0\0\x02" + b"ab" + b"c"
    assert AESGCM(KEY).decrypt(payload[:12], payload[12:], associated) == b"secret"


def test_sealing_twice_gives_different_bytes():
    cipher = Cipher(KEY)

    assert len({cipher.seal("t", "k", b"secret") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("tenant", "key"), [("other", "k"), ("t", "other"), ("tk", ""), ("", "tk")]
)
def test_a_payload_moved_to_another_row_does_not_open(tenant: str, key: str):
    cipher = Cipher(KEY)

    with pytest.raises(RecordDamaged, match="does not open"):
        cipher.open(tenant, key, cipher.seal("t", "k", b"secret"))


@pytest.mark.parametrize("position", [0, 12, -1])
def test_a_changed_byte_is_noticed(position: int):
    cipher = Cipher(KEY)
    payload = bytearray(cipher.seal("t", "k", b"secret"))
    payload[position] ^= 1

    with pytest.raises(RecordDamaged):
        cipher.open("t", "k", bytes(payload))


@pytest.mark.parametrize("payload", [b"", b"short", bytes(12), bytes(27)])
def test_a_payload_cut_short_is_noticed(payload: bytes):
    with pytest.raises(RecordDamaged):
        Cipher(KEY).open("t", "k", payload)


def test_another_key_does_not_open():
    with pytest.raises(RecordDamaged):
        Cipher(bytes(32)).open("t", "k", Cipher(KEY).seal("t", "k", b"secret"))
