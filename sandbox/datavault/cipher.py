"""Encryption by the application: nobody who reads the table learns a plaintext."""

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.datavault.errors import RecordDamaged

NONCE_BYTES = 12


class Cipher:
    """AES-256-GCM under one key; good for 2**32 records, as nonces are random."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, tenant: str, key: str, plaintext: bytes) -> bytes:
        """Return nonce, ciphertext and tag as one value that opens for this tenant and key only."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, _associated_data(tenant, key))

    def open(self, tenant: str, key: str, payload: bytes) -> bytes:
        """Return what was sealed; raise RecordDamaged when tenant, key or any byte is another."""
        nonce, ciphertext = payload[:NONCE_BYTES], payload[NONCE_BYTES:]
        try:
            return self._aead.decrypt(nonce, ciphertext, _associated_data(tenant, key))
        except (InvalidTag, ValueError) as error:
            raise RecordDamaged(
                "The stored record does not open: it was changed or moved, "
                "or it was sealed with another DATAVAULT_KEY."
            ) from error


def _associated_data(tenant: str, key: str) -> bytes:
    # The length keeps ("ab", "c") apart from ("a", "bc").
    name = tenant.encode()
    return struct.pack(">I", len(name)) + name + key.encode()
