"""Envelope encryption: what is sealed for one record opens for that record only."""

import base64
import json
from dataclasses import asdict, replace

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.warehouse.conftest import UseRing, new_key
from warehouse import secrets
from warehouse.errors import CredentialsUnreadable, KeyRingInvalid
from warehouse.models import WarehouseConnection
from warehouse.secrets import Envelope, LocalKeyRing

HERE, ELSEWHERE = "team:a/connection:1", "team:b/connection:1"
VALUES = {"user": "reader", "password": "näive \u2028 'secret'", "port": 5432}
KEY = base64.b64encode(bytes(32)).decode()


def test_values_come_back_as_they_went_in() -> None:
    assert secrets.decrypt(secrets.encrypt(VALUES, HERE), HERE) == VALUES


def test_ciphertext_shows_nothing_and_is_never_the_same_twice() -> None:
    first, second = secrets.encrypt(VALUES, HERE), secrets.encrypt(VALUES, HERE)
    assert "reader" not in first
    one, two = Envelope.load(first), Envelope.load(second)
    assert not set(asdict(one).values()) & {two.nonce, two.wrapped_key, two.ciphertext}


@pytest.mark.parametrize("other", [ELSEWHERE, "team:a/connection:2", "", HERE + " "])
def test_another_record_cannot_open_it(other: str) -> None:
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(secrets.encrypt(VALUES, HERE), other)


@pytest.mark.django_db
def test_ciphertext_moved_to_another_row_or_team_does_not_open(
    shop: WarehouseConnection, save: object, other_team: object
) -> None:
    other = save(name="other", of=other_team)  # type: ignore[operator]
    other.encrypted_credentials = shop.encrypted_credentials
    with pytest.raises(CredentialsUnreadable):
        other.read_credentials()
    moved = WarehouseConnection.all_teams.get(pk=shop.pk)
    moved.team = other_team
    with pytest.raises(CredentialsUnreadable):
        moved.read_credentials()


@pytest.mark.parametrize("part", ["wrapped_key", "nonce", "ciphertext"])
def test_any_changed_byte_is_noticed(part: str) -> None:
    envelope = Envelope.load(secrets.encrypt(VALUES, HERE))
    sealed: bytes = getattr(envelope, part)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        tampered = replace(envelope, **{part: bytes(changed)})
        with pytest.raises(CredentialsUnreadable):
            secrets.decrypt(tampered.dump(), HERE)


@pytest.mark.parametrize("part", ["wrapped_key", "nonce", "ciphertext"])
@pytest.mark.parametrize("kept", [0, 1, 11])
def test_part_cut_short_is_noticed(part: str, kept: int) -> None:
    envelope = Envelope.load(secrets.encrypt(VALUES, HERE))
    short = replace(envelope, **{part: getattr(envelope, part)[:kept]})
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(short.dump(), HERE)


@pytest.mark.parametrize("changed", [{"key_id": "another"}, {"version": 2}, {"version": "1"}])
def test_changed_label_is_noticed(changed: dict[str, object]) -> None:
    parts = json.loads(secrets.encrypt(VALUES, HERE)) | changed
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(json.dumps(parts), HERE)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '"x"', "{", '{"version": 1}', '{"password": "plain"}']
)
def test_anything_but_an_envelope_is_unreadable(text: str) -> None:
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(text, HERE)


@pytest.mark.parametrize(
    "text",
    [
        f"k1:{KEY}",
        f"k1:{KEY},k2:{KEY}",
        f" k1:{KEY} ,\n k2:{KEY}\n",
        f"k1:{KEY}\nk2:{KEY}",
        f"k1:{KEY},",
        f"2026-11:{KEY}",
    ],
)
def test_first_key_of_a_ring_is_the_one_that_wraps(text: str) -> None:
    ring = LocalKeyRing.parse(text)
    assert ring.primary in ("k1", "2026-11")
    wrapped = ring.wrap(b"d" * 32, HERE)
    assert (wrapped.key_id, ring.unwrap(wrapped, HERE)) == (ring.primary, b"d" * 32)


SHORT = base64.b64encode(bytes(16)).decode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "WAREHOUSE_KEYS holds no key."),
        (" , ", "WAREHOUSE_KEYS holds no key."),
        (KEY, "Key 1 of WAREHOUSE_KEYS is not of the form id:base64."),
        (f":{KEY}", "Key 1 of WAREHOUSE_KEYS is not of the form id:base64."),
        (f"k1:{KEY},k 2:{KEY}", "Key 2 of WAREHOUSE_KEYS is not of the form id:base64."),
        (f"k1:{KEY},kms:x:{KEY}", "Key kms of WAREHOUSE_KEYS is not base64."),
        ("k1:plain text", "Key k1 of WAREHOUSE_KEYS is not base64."),
        (f"k1:{KEY[:-1]}", "Key k1 of WAREHOUSE_KEYS is not base64."),
        ("k1:", "Key k1 of WAREHOUSE_KEYS has not 32 bytes."),
        (f"k1:{SHORT}", "Key k1 of WAREHOUSE_KEYS has not 32 bytes."),
        (f"k1:{KEY},k1:{KEY}", "WAREHOUSE_KEYS has two keys of id k1."),
    ],
)
def test_ring_that_cannot_be_used_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(KeyRingInvalid) as caught:
        LocalKeyRing.parse(text)
    assert str(caught.value) == sentence


def test_older_key_still_opens_and_a_ring_without_it_does_not(use_ring: UseRing) -> None:
    old, new = new_key("old"), new_key("new")
    use_ring(WAREHOUSE_KEYS=old)
    sealed = secrets.encrypt(VALUES, HERE)
    use_ring(WAREHOUSE_KEYS=f"{new},{old}")
    assert secrets.decrypt(sealed, HERE) == VALUES
    assert Envelope.load(secrets.encrypt(VALUES, HERE)).key_id == "new"
    use_ring(WAREHOUSE_KEYS=new)
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(sealed, HERE)


def test_another_key_of_the_same_id_does_not_open(use_ring: UseRing) -> None:
    sealed = secrets.encrypt(VALUES, HERE)
    use_ring(WAREHOUSE_KEYS=new_key(Envelope.load(sealed).key_id))
    with pytest.raises(CredentialsUnreadable):
        secrets.decrypt(sealed, HERE)


def test_rewrapping_changes_the_wrapped_key_and_nothing_else(use_ring: UseRing) -> None:
    old, new = new_key("old"), new_key("new")
    use_ring(WAREHOUSE_KEYS=old)
    before = Envelope.load(secrets.encrypt(VALUES, HERE))
    use_ring(WAREHOUSE_KEYS=f"{new},{old}")
    after = Envelope.load(secrets.rewrap(before.dump(), HERE))
    assert (after.key_id, after.ciphertext, after.nonce) == (
        "new",
        before.ciphertext,
        before.nonce,
    )
    with pytest.raises(CredentialsUnreadable):
        secrets.rewrap(before.dump(), ELSEWHERE)
    use_ring(WAREHOUSE_KEYS=new)
    assert secrets.decrypt(after.dump(), HERE) == VALUES


def test_no_ring_means_no_encryption_at_all(use_ring: UseRing) -> None:
    use_ring(WAREHOUSE_KEYS="")
    with pytest.raises(ImproperlyConfigured, match="never stored unencrypted"):
        secrets.encrypt(VALUES, HERE)
