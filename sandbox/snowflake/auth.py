"""Signing in: password, key pair, OAuth token, programmatic access token. All are verified."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from sandbox.snowflake.config import Config, User
from sandbox.snowflake.errors import LoginRefused

# Snowflake accepts a token for one minute after it was issued; the client makes it just before.
_TOKEN_AGE_S = 60


def authenticate(config: Config, login: Mapping[str, Any]) -> User:
    """Return the user whose credentials these are; raises LoginRefused, saying no more than real.

    `login` is the `data` of a login request as the client sends it.
    """
    method = str(login.get("AUTHENTICATOR") or "SNOWFLAKE").upper()
    if str(login.get("ACCOUNT_NAME") or "").upper() != config.account.upper():
        raise _wrong_password()
    if method == "SNOWFLAKE_JWT":
        return _by_key_pair(config, str(login.get("TOKEN") or ""))
    user = config.user(str(login.get("LOGIN_NAME") or ""))
    if method == "SNOWFLAKE":
        return _by_password(user, str(login.get("PASSWORD") or ""))
    if method == "OAUTH":
        return _by_oauth(config, user, str(login.get("TOKEN") or ""))
    if method == "PROGRAMMATIC_ACCESS_TOKEN":
        return _by_access_token(user, str(login.get("TOKEN") or ""))
    raise LoginRefused("390101", f"This stand-in does not know the authenticator {method}.")


def public_key_fingerprint(key: RSAPublicKey) -> str:
    """Return Snowflake's fingerprint: SHA256 of the DER-encoded public key, in base 64."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def _by_password(user: User | None, password: str) -> User:
    # Snowflake takes a programmatic access token in place of the password, too.
    accepted = [user.password, *user.access_tokens] if user is not None else []
    if user is None or not _among(password, accepted):
        raise _wrong_password()
    return user


def _by_oauth(config: Config, user: User | None, token: str) -> User:
    # The token says who it is for; the login name may be left out.
    for candidate in [user] if user is not None else config.users:
        if _among(token, candidate.oauth_tokens):
            return candidate
    raise LoginRefused("390303", "Invalid OAuth access token. ")


def _by_access_token(user: User | None, token: str) -> User:
    if user is None or not _among(token, user.access_tokens):
        raise LoginRefused("394400", "Programmatic access token is invalid.")
    return user


def _by_key_pair(config: Config, token: str) -> User:
    refused = LoginRefused("390144", "JWT token is invalid.")
    try:
        claimed = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise refused from error
    for user in config.users:
        subject = f"{config.account}.{user.name}".upper()
        for pem in user.public_keys:
            key = serialization.load_pem_public_key(pem.encode())
            if (
                isinstance(key, RSAPublicKey)
                and claimed.get("sub") == subject
                and claimed.get("iss") == f"{subject}.{public_key_fingerprint(key)}"
                and _signed(token, key)
            ):
                return user
    raise refused


def _signed(token: str, key: RSAPublicKey) -> bool:
    try:
        claims = jwt.decode(
            token, key, algorithms=["RS256"], options={"require": ["iat", "exp", "iss", "sub"]}
        )
    except jwt.InvalidTokenError:
        return False
    return float(claims["exp"]) - float(claims["iat"]) <= _TOKEN_AGE_S * 60


def _among(secret: str, accepted: Iterable[str | None]) -> bool:
    # Every candidate is compared, so that the time taken tells nothing about which one matched.
    matches = [
        hmac.compare_digest(secret.encode(), candidate.encode())
        for candidate in accepted
        if candidate
    ]
    return any(matches)


def _wrong_password() -> LoginRefused:
    return LoginRefused("390100", "Incorrect username or password was specified.")
