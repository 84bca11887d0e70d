"""Sign-in: a signed assertion buys a random token that expires, as Google's /token does."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from sandbox.bigquery.errors import ApiError
from sandbox.bigquery.settings import Account, Settings

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 an address
_LONGEST_ASSERTION_S = 3600
_CLOCK_SKEW_S = 60
_SCOPES = (
    "https://www.googleapis.com/auth/bigquery",
    "https://www.googleapis.com/auth/bigquery.readonly",
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/cloud-platform.read-only",
)


class GrantRefused(Exception):
    """The assertion buys nothing; `error` is OAuth's code for it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


class Tokens:
    """The tokens given out so far; safe to use from several threads."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._accounts = {account.email: account for account in settings.accounts}
        self._audiences = [_GOOGLE_TOKEN_URI, settings.token_uri]
        self._lifetime_s = settings.token_lifetime_s
        self._clock = clock
        self._given: dict[str, tuple[Account, float]] = {}
        self._lock = threading.Lock()

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the token response for a JWT grant; raise GrantRefused."""
        if form.get("grant_type") != _GRANT:
            raise GrantRefused("unsupported_grant_type", f"Invalid grant_type: expected {_GRANT}")
        account = self._account(form.get("assertion", ""))
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            self._given = {key: one for key, one in self._given.items() if one[1] > now}
            self._given[token] = (account, now + self._lifetime_s)
        return {"access_token": token, "expires_in": self._lifetime_s, "token_type": "Bearer"}

    def account(self, authorization: str | None) -> Account:
        """Return who an Authorization header stands for; raise the 401 of a stranger."""
        if not authorization:
            raise ApiError(
                401,
                "required",
                "Request is missing required authentication credential. "
                "Expected OAuth 2 access token.",
                location="Authorization",
            )
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            account, expires = self._given.get(token.strip(), (None, 0.0))
        if scheme.lower() != "bearer" or account is None or expires <= self._clock():
            raise ApiError(
                401,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                location="Authorization",
            )
        return account

    def _account(self, assertion: str) -> Account:
        account = self._accounts.get(_issuer(assertion))
        if account is None:
            raise GrantRefused("invalid_grant", "Invalid grant: account not found")
        claims = self._verified(assertion, account)
        if not set(str(claims.get("scope", "")).split()) & set(_SCOPES):
            raise GrantRefused("invalid_scope", "Invalid OAuth scope or ID token audience provided")
        return account

    def _verified(self, assertion: str, account: Account) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                account.public_key,
                algorithms=["RS256"],
                audience=self._audiences,
                options={"require": ["iss", "aud", "iat", "exp"]},
                leeway=_CLOCK_SKEW_S,
            )
        except jwt.InvalidSignatureError as error:
            raise GrantRefused("invalid_grant", "Invalid JWT Signature.") from error
        except jwt.InvalidTokenError as error:
            raise GrantRefused("invalid_grant", f"Invalid JWT: {error}") from error
        if claims["exp"] - claims["iat"] > _LONGEST_ASSERTION_S:
            raise GrantRefused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) "
                "and in a reasonable timeframe.",
            )
        return claims


def _issuer(assertion: str) -> str:
    """Read who an assertion claims to come from, before anything in it is believed."""
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise GrantRefused("invalid_grant", f"Invalid JWT: {error}") from error
    return str(claims.get("iss", ""))
