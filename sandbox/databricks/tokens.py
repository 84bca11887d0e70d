"""Sign-in: a personal access token, or one that a service principal gets for its secret."""

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.databricks.settings import Settings

_SCOPE = "all-apis"


class GrantRefused(Exception):
    """The request buys no token; `body` is OAuth's answer to it."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


class Tokens:
    """The tokens that are good now; safe to use from several threads."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._given: dict[str, float] = {}
        self._lock = threading.Lock()

    def exchange(self, authorization: str | None, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer to a client-credentials request; raise GrantRefused.

        Client id and secret come in the header or in the form, as RFC 6749 allows.
        """
        if form.get("grant_type") != "client_credentials":
            raise GrantRefused(400, "unsupported_grant_type", "Only client_credentials is known.")
        client = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        if not self._is_principal(*client):
            raise GrantRefused(401, "invalid_client", "Client authentication failed")
        if form.get("scope", _SCOPE) != _SCOPE:
            raise GrantRefused(400, "invalid_scope", f"The scope must be {_SCOPE}.")
        token, lifetime_s = secrets.token_urlsafe(32), self._settings.token_lifetime_s
        now = self._clock()
        with self._lock:
            self._given = {key: end for key, end in self._given.items() if end > now}
            self._given[token] = now + lifetime_s
        return {
            "access_token": token,
            "token_type": "Bearer",
            "scope": _SCOPE,
            "expires_in": int(lifetime_s),
        }

    def is_good(self, authorization: str) -> bool:
        """Tell whether an Authorization header holds a token that is valid now."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        if _same(token, self._settings.token):
            return True
        with self._lock:
            return self._given.get(token, 0) > self._clock()

    def _is_principal(self, client_id: str, secret: str) -> bool:
        known = self._settings
        return _same(client_id, known.client_id) & _same(secret, known.client_secret)


def _same(given: str, known: str) -> bool:
    return secrets.compare_digest(given.encode(), known.encode())


def _basic(authorization: str | None) -> tuple[str, str] | None:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret
