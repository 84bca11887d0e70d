"""Envelope encryption of credentials.

Each record has a data key of its own (AES-256-GCM), wrapped by the key ring. Team and record id
are associated data of both layers, so a ciphertext moved to another row does not decrypt. The
envelope names the ring's key, so that keys can be rotated while the service runs: only the data
key is wrapped again.
"""

import base64
import binascii
import json
import os
import re
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.exceptions import ImproperlyConfigured

from warehouse import conf
from warehouse.errors import CredentialsUnreadable, KeyRingInvalid, KeysUnavailable

KEY_BYTES = 32
KEY_ID = re.compile(r"[\w.-]+")
KMS = "kms:"
"""What ids of KMS keys begin with in an envelope; a local key's id has no colon."""
NONCE_BYTES = 12
VERSION = 1


@dataclass(frozen=True)
class WrappedKey:
    """A data key as the ring returns it; ``key_id`` says which of its keys wrapped it."""

    key_id: str
    blob: bytes


class KeyRing(Protocol):
    """Wraps data keys. ``context`` must be the same again to unwrap."""

    primary: str

    def wrap(self, data_key: bytes, context: str) -> WrappedKey: ...

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """Raises CredentialsUnreadable."""
        ...


KMS_UNREADABLE = frozenset(
    {"InvalidCiphertextException", "IncorrectKeyException", "NotFoundException"}
)
"""What KMS says when the blob or its key is wrong; anything else may pass.

Source: AWS KMS API Reference, Decrypt, Errors.
"""


class LocalKeyRing:
    """Keys from the environment or a mounted file. The first wraps; all of them unwrap."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self.primary = next(iter(keys))
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def parse(cls, text: str) -> "LocalKeyRing":
        """``id:base64,id:base64``; raises KeyRingInvalid."""
        keys: dict[str, bytes] = {}
        entries = (entry.strip() for entry in text.replace("\n", ",").split(","))
        for number, entry in enumerate(filter(None, entries), start=1):
            key_id, separator, encoded = entry.partition(":")
            if not (separator and KEY_ID.fullmatch(key_id)):
                raise KeyRingInvalid(
                    f"Key {number} of WAREHOUSE_KEYS is not of the form id:base64."
                )
            if key_id in keys:
                raise KeyRingInvalid(f"WAREHOUSE_KEYS has two keys of id {key_id}.")
            keys[key_id] = _decoded(key_id, encoded)
        if not keys:
            raise KeyRingInvalid("WAREHOUSE_KEYS holds no key.")
        return cls(keys)

    def wrap(self, data_key: bytes, context: str) -> WrappedKey:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self.primary].encrypt(nonce, data_key, context.encode())
        return WrappedKey(self.primary, nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        key = self._keys.get(wrapped.key_id)
        if key is None:
            raise CredentialsUnreadable()
        nonce, sealed = wrapped.blob[:NONCE_BYTES], wrapped.blob[NONCE_BYTES:]
        return _opened(key, nonce, sealed, context)


class KmsKeyRing:
    """AWS KMS wraps the data keys; its own yearly rotation is invisible here.

    Keys of ``older``, a local ring, still unwrap: that is how a service moves to KMS.
    """

    def __init__(
        self, key_id: str, endpoint: str | None = None, older: LocalKeyRing | None = None
    ) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self.primary = f"{KMS}{key_id}"
        self._key_id = key_id
        self._older = older
        bounded = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 3})
        try:
            self._client = boto3.client("kms", endpoint_url=endpoint, config=bounded)
        except (BotoCoreError, ValueError) as exc:
            raise KeyRingInvalid(f"WAREHOUSE_KMS_KEY_ID cannot be used: {exc}") from exc

    def wrap(self, data_key: bytes, context: str) -> WrappedKey:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.encrypt(
                KeyId=self._key_id, Plaintext=data_key, EncryptionContext={"record": context}
            )
        except (BotoCoreError, ClientError) as exc:
            raise KeysUnavailable() from exc
        return WrappedKey(self.primary, answer["CiphertextBlob"])

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        if not wrapped.key_id.startswith(KMS):
            if self._older is None:
                raise CredentialsUnreadable()
            return self._older.unwrap(wrapped, context)
        try:
            # The key is named: KMS would open the blob with any key this service may use.
            answer = self._client.decrypt(
                KeyId=wrapped.key_id.removeprefix(KMS),
                CiphertextBlob=wrapped.blob,
                EncryptionContext={"record": context},
            )
        except ClientError as exc:
            if exc.response["Error"]["Code"] in KMS_UNREADABLE:
                raise CredentialsUnreadable() from exc
            raise KeysUnavailable() from exc
        except BotoCoreError as exc:
            raise KeysUnavailable() from exc
        return answer["Plaintext"]


@cache
def key_ring() -> KeyRing:
    """The ring of this process; raises ImproperlyConfigured when there is none to be had."""
    try:
        if not conf.kms_key_id():
            return LocalKeyRing.parse(conf.keys())
        older = LocalKeyRing.parse(conf.keys()) if conf.keys() else None
        return KmsKeyRing(conf.kms_key_id(), conf.kms_endpoint(), older)
    except KeyRingInvalid as exc:
        raise ImproperlyConfigured(
            f"{exc} Credentials are never stored unencrypted; make a key with: "
            "python -c \"import base64, os; print('k1:' + "
            'base64.b64encode(os.urandom(32)).decode())"'
        ) from None


@dataclass(frozen=True)
class Envelope:
    """What is stored for one record; the text form is JSON of base64 parts."""

    version: int
    key_id: str
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes

    def dump(self) -> str:
        parts = asdict(self)
        return json.dumps(
            {name: _text(part) if isinstance(part, bytes) else part for name, part in parts.items()}
        )

    @classmethod
    def load(cls, text: str) -> "Envelope":
        """Raises CredentialsUnreadable for anything but an envelope."""
        try:
            parts = json.loads(text)
            binary = {
                name: base64.b64decode(parts[name], validate=True)
                for name in ("wrapped_key", "nonce", "ciphertext")
            }
            envelope = cls(version=parts["version"], key_id=str(parts["key_id"]), **binary)
        except (ValueError, KeyError, TypeError) as exc:
            raise CredentialsUnreadable() from exc
        if envelope.version != VERSION:
            raise CredentialsUnreadable()
        return envelope


def encrypt(values: dict[str, Any], context: str) -> str:
    """An envelope around ``values``; ``context`` names the record it belongs to."""
    data_key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
    sealed = AESGCM(data_key).encrypt(nonce, json.dumps(values).encode(), context.encode())
    wrapped = key_ring().wrap(data_key, context)
    return Envelope(VERSION, wrapped.key_id, wrapped.blob, nonce, sealed).dump()


def decrypt(text: str, context: str) -> dict[str, Any]:
    """The values in an envelope; raises CredentialsUnreadable, and never guesses."""
    envelope = Envelope.load(text)
    data_key = key_ring().unwrap(WrappedKey(envelope.key_id, envelope.wrapped_key), context)
    plain = _opened(AESGCM(data_key), envelope.nonce, envelope.ciphertext, context)
    values: dict[str, Any] = json.loads(plain)
    return values


def rewrap(text: str, context: str) -> str:
    """The same envelope with its data key wrapped by the primary key."""
    envelope = Envelope.load(text)
    ring = key_ring()
    data_key = ring.unwrap(WrappedKey(envelope.key_id, envelope.wrapped_key), context)
    wrapped = ring.wrap(data_key, context)
    parts = (wrapped.key_id, wrapped.blob, envelope.nonce, envelope.ciphertext)
    return Envelope(VERSION, *parts).dump()


def _opened(key: AESGCM, nonce: bytes, sealed: bytes, context: str) -> bytes:
    try:
        return key.decrypt(nonce, sealed, context.encode())
    except (InvalidTag, ValueError) as exc:
        raise CredentialsUnreadable() from exc


def _decoded(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise KeyRingInvalid(f"Key {key_id} of WAREHOUSE_KEYS is not base64.") from None
    if len(key) != KEY_BYTES:
        raise KeyRingInvalid(f"Key {key_id} of WAREHOUSE_KEYS has not {KEY_BYTES} bytes.")
    return key


def _text(part: bytes) -> str:
    return base64.b64encode(part).decode()
