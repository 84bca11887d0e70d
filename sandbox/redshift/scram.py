"""The client's side of SCRAM-SHA-256, with which the face signs in to Postgres (RFC 5802, 7677)."""

import base64
import hashlib
import hmac
import secrets

MECHANISM = "SCRAM-SHA-256"
_NO_CHANNEL_BINDING = "n,,"


class ScramFailed(Exception):
    """The server does not know the password either, or does not speak SCRAM."""


class ScramClient:
    """One exchange: ``first``, then ``final`` for the server's challenge, then ``verify``."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        # Postgres takes the user's name from the startup message and ignores the one here.
        self._bare = f"n=,r={secrets.token_urlsafe(18)}"
        self._expected = b""

    def first(self) -> bytes:
        return (_NO_CHANNEL_BINDING + self._bare).encode()

    def final(self, challenge: bytes) -> bytes:
        """The proof for the server's nonce, salt and number of rounds."""
        text = challenge.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        rounds, salt = int(fields["i"]), base64.b64decode(fields["s"])
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)
        unproven = f"c={_encoded(_NO_CHANNEL_BINDING.encode())},r={fields['r']}"
        exchanged = ",".join((self._bare, text, unproven)).encode()
        client_key = _mac(salted, b"Client Key")
        signature = _mac(hashlib.sha256(client_key).digest(), exchanged)
        proof = bytes(ours ^ theirs for ours, theirs in zip(client_key, signature, strict=True))
        self._expected = _mac(_mac(salted, b"Server Key"), exchanged)
        return f"{unproven},p={_encoded(proof)}".encode()

    def verify(self, answer: bytes) -> None:
        """Raise ScramFailed unless the server has shown that it knows the password as well."""
        if answer != f"v={_encoded(self._expected)}".encode():
            raise ScramFailed("The server could not prove that it knows the password.")


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
