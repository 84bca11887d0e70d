"""Temporary credentials: the issuer signs them, the face checks them, neither asks the other."""

import hashlib
import hmac
import re
from datetime import UTC, datetime

# What AWS puts before the user of a temporary credential: an existing one, or one made on the fly.
_PREFIX = re.compile(r"IAMA?:(?P<user>.+)")


def password_for(user: str, expires: datetime, signing_key: str) -> str:
    """A password that ``user`` can sign in with until ``expires``."""
    seconds = int(expires.timestamp())
    return f"{seconds}.{_signature(user, seconds, signing_key)}"


def temporary_user(user: str) -> str | None:
    """The database user of a temporary credential; ``None`` when it is none."""
    found = _PREFIX.fullmatch(user)
    return found["user"] if found else None


def is_valid(user: str, password: str, signing_key: str) -> bool:
    """The password was issued for this database user and has not expired."""
    seconds, _, signature = password.partition(".")
    if not seconds.isdecimal():
        return False
    expected = _signature(user, int(seconds), signing_key)
    fresh = int(seconds) > datetime.now(UTC).timestamp()
    return hmac.compare_digest(signature.encode(), expected.encode()) and fresh


def _signature(user: str, seconds: int, signing_key: str) -> str:
    text = f"{user}\n{seconds}".encode()
    return hmac.new(signing_key.encode(), text, hashlib.sha256).hexdigest()
